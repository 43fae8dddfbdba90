// What the person does, by key or by button, and what it means in the state that the page is in.

import { OTHER, remember } from "./dom.js";
import { ANSWERS } from "./view.js";

const STEADY = 150; // milliseconds after a new pair in which keys do not answer: no double hits

export class Acts {
  constructor(page) {
    this.page = page;
  }

  key(event) {
    const { page } = this;
    if (event.key === "Escape") return this.escape(event);
    if (page.dialogs.open || ["ask", "loading"].includes(page.state)) return;
    const meant = page.keys.meaning(event);
    if (!meant) return;
    event.preventDefault();
    const again = event.repeat || performance.now() - page.since < STEADY;
    if (meant.held || !again) this.act(meant.act, meant.strong);
  }

  // Out of a field, out of editing, or a notice is read.
  escape(event) {
    const { page } = this;
    if (page.dialogs.open) return;
    if (event.target.matches?.("input, textarea, select")) return event.target.blur();
    if (page.remark.shown) return page.remark.close();
    if (page.pair?.previous && page.state === "pair") return page.desk.look();
    page.view.notice("");
  }

  click(event) {
    const { page } = this;
    const button = event.target.closest("button");
    if (!button || page.dialogs.open) return;
    if (event.detail) button.blur(); // a mouse leaves no focus behind: the space bar plays
    if (button.matches(".sl-me")) page.desk.askName();
    else if (button.matches(".sl-cancel, .sl-leave")) page.desk.look();
    else if (button.matches(".sl-close-notice")) page.view.notice("");
    else if (button.dataset.act) this.act(button.dataset.act, "strong" in button.dataset);
  }

  act(name, strong = false) {
    const { page } = this;
    const does = {
      undo: () => page.desk.undo(),
      guide: () => this.guide(),
      history: () => page.desk.history(),
      keys: () => this.dialog(() => page.keysDialog.show()),
      image: () => this.dialog(() => page.first.enlarge()),
      raw: () => this.raw(),
    };
    if (does[name]) return does[name]();
    const goes = { due: () => page.desk.reveal(page.held), feedback: () => page.desk.goOn() };
    if (name === "agree" && goes[page.state]) return goes[page.state]();
    const meant =
      (page.state === "reveal" && this.second(name, strong)) ||
      (page.state === "pair" && this.first(name, strong));
    if (!meant) this.playback(name);
  }

  // On a pair that is being judged. True if `name` was meant for it.
  first(name, strong) {
    const { page } = this;
    const best = page.ballot.overall ? page.pair.opinion?.best : null;
    const does = {
      skip: () => page.askSkip(),
      previous: () => page.back(),
      remark: () => page.remark.open("comment"),
      flags: () => page.remark.open("flags"),
      agree: () => best && page.answer(best, strong),
      override: () => best && page.answer(OTHER[best], strong),
    };
    if (ANSWERS.includes(name) && name !== "skip") page.answer(name, strong);
    else if (does[name]) does[name]();
    else return false;
    return true;
  }

  // After the score of a blind pair was shown: keep or change. True if `name` answers that.
  second(name, strong) {
    const { page } = this;
    const { answer } = page.revealed;
    const same = ["agree", "keep"].includes(name);
    const changed = name === "flip" ? OTHER[answer] : same ? answer : name;
    if (!ANSWERS.includes(changed) || changed === "skip") return false;
    if (page.mayAnswer()) page.settle(changed, strong, { same });
    return true;
  }

  playback(name) {
    const { page } = this;
    const { player } = page;
    const does = {
      toggle: () => player.toggle(),
      back: () => player.step(-1),
      forward: () => player.step(1),
      left_back: () => player.align(0, -1),
      left_forward: () => player.align(0, 1),
      right_back: () => player.align(1, -1),
      right_forward: () => player.align(1, 1),
      slower: () => player.faster(-1),
      faster: () => player.faster(1),
      restart: () => player.seek(0),
      loop: () => player.toggleLoop(),
      zoom: () => page.zoom.next(),
    };
    if (!page.pair || !does[name]) return;
    does[name]();
    page.view.press("loop", player.loop);
    remember("player", { speed: player.speed, loop: player.loop });
  }

  dialog(open) {
    this.page.player.pause();
    open();
  }

  guide() {
    const { page } = this;
    if (page.page) this.dialog(() => page.guide.show(page.page.campaign));
  }

  raw() {
    const { view } = this.page;
    view.press("raw", view.root.classList.toggle("sl-raws"));
  }
}
