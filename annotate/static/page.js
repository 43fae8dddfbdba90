// The annotator's page: asks who is there, shows a pair, takes the answer by mouse or key, sends it
// until it has arrived, reveals the score of a blind pair, and goes on. The server decides
// everything (`annotate/api.py`); what is shown is in `view.js`.

import { preload, source, tidy } from "./clips.js";
import { meaning, STEPS } from "./keys.js";
import { Lockstep } from "./lockstep.js";
import { ask, deliver, kept, mint, Refusal } from "./outbox.js";
import { ANSWERS, View } from "./view.js";
import { Zoom } from "./zoom.js";

const OTHER = { left: "right", right: "left" };
const NAME = "second-look.name";
const LOOK_AGAIN = 4000; // milliseconds between looks for new pairs while there is none
const STEADY = 150; // milliseconds after a new pair in which keys do not answer: no double hits

let only; // the page that listens: a second start (Gradio made the component anew) replaces it

export function start(element) {
  only?.stop();
  only = new Page(element.querySelector(".sl"));
  only.begin();
}

class Page {
  constructor(root) {
    this.view = new View(root);
    this.words = this.view.words;
    this.state = "loading"; // ask, idle, pair, reveal
    this.busy = false; // something is on its way to the server
    this.stopped = new AbortController();
    this.player = new Lockstep(...this.view.videos, () => this.view.player(this.player));
    this.zoom = new Zoom(this.view.stage, (scale) => this.view.press("zoom", scale > 1));
    this.listen(root);
  }

  stop() {
    this.stopped.abort();
    this.player.pause();
    clearTimeout(this.timer);
  }

  listen(root) {
    const { signal } = this.stopped;
    const on = (target, event, act) => target.addEventListener(event, act, { signal });
    const { scrub, form } = this.view;
    on(document, "keydown", (event) => this.key(event));
    on(document, "visibilitychange", () => document.hidden && this.player.pause());
    on(root, "click", (event) => this.click(event));
    on(form, "submit", (event) => this.sayName(event));
    on(scrub, "pointerdown", () => this.player.pause());
    on(scrub, "input", () => this.player.seek(scrub.value * this.player.duration));
    on(scrub, "pointerup", () => scrub.blur()); // the arrow keys vote again
  }

  // Asking the server

  async begin() {
    const waiting = kept();
    if (waiting) return this.send(waiting.path, waiting.body, () => this.look());
    try {
      const { annotator } = await ask("api/me");
      annotator ? this.look() : this.askName();
    } catch {
      this.later(() => this.begin());
    }
  }

  async look() {
    try {
      const page = await ask("api/next");
      this.view.notice("");
      this.turn(page);
    } catch (problem) {
      if (problem instanceof Refusal && problem.status === 401) return this.askName();
      this.later(() => this.look());
    }
  }

  later(again) {
    this.view.notice(this.words.unreachable);
    this.wait(again);
  }

  wait(act) {
    clearTimeout(this.timer);
    this.timer = setTimeout(act, LOOK_AGAIN);
  }

  async send(path, body, then) {
    this.busy = true;
    this.enable();
    const waiting = (is) => this.view.notice(is ? this.words.waiting : this.words.delivered);
    try {
      const answer = await deliver(path, body, waiting);
      this.busy = false;
      this.view.notice("");
      then(answer);
    } catch (problem) {
      this.busy = false;
      if (!(problem instanceof Refusal)) throw problem;
      if (problem.status === 401) return this.askName();
      await this.look();
      this.view.notice(this.words.refused.replace("{why}", problem.message));
    }
  }

  // Who am I

  askName() {
    this.player.pause();
    this.enter("ask");
    this.view.nameForm(localStorage.getItem(NAME) ?? "", "", Boolean(this.annotator));
  }

  async sayName(event) {
    event.preventDefault();
    const { name } = this.view.form.elements;
    try {
      const page = await ask("api/me", { name: name.value });
      localStorage.setItem(NAME, page.annotator);
      name.blur();
      kept() ? this.begin() : this.turn(page);
    } catch (problem) {
      this.view.nameError(problem instanceof Refusal ? problem.message : this.words.unreachable);
    }
  }

  // What comes next

  enter(state) {
    this.state = state;
    this.since = performance.now();
    this.view.enter(state);
    this.enable();
  }

  turn(page) {
    clearTimeout(this.timer);
    this.progress(page);
    if (page.pair) return this.show(page.pair, page.preload);
    this.player.pause();
    this.pair = null;
    this.view.idle(page.idle);
    this.enter("idle");
    this.wait(() => this.look());
  }

  progress({ annotator, progress }) {
    this.annotator = annotator;
    this.newest = progress.newest;
    this.view.progress(annotator, progress);
  }

  async show(pair, next) {
    this.pair = pair;
    this.vote = mint();
    this.ready = false;
    this.zoom.reset();
    this.view.pair(pair);
    this.enter("pair");
    if (!(await this.player.load([source(pair.left), source(pair.right)], pair.fps))) return;
    this.ready = true;
    this.since = performance.now();
    this.view.loaded(this.player.broken);
    this.enable();
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.player.play();
    preload(next);
    tidy([pair.left, pair.right, ...next]);
  }

  reveal(reveal) {
    this.revealed = reveal;
    this.vote = mint();
    this.view.reveal(this.pair, reveal);
    this.enter("reveal");
  }

  enable() {
    const revealed = this.state === "reveal";
    const answers = this.mayAnswer();
    this.view.enable({
      answers: answers && !this.broken,
      skip: answers && !revealed,
      undo: !this.busy && this.newest,
      keep: answers,
      mine: revealed ? this.revealed.answer : null,
    });
  }

  get broken() {
    return this.player.broken.some(Boolean);
  }

  mayAnswer() {
    return !this.busy && (this.state === "reveal" || (this.state === "pair" && this.ready));
  }

  // What the person does

  key(event) {
    if (["ask", "loading"].includes(this.state)) return;
    const act = meaning(event);
    if (!act) return;
    event.preventDefault();
    const steps = STEPS.includes(act);
    if (steps || !(event.repeat || performance.now() - this.since < STEADY)) this.act(act);
  }

  click(event) {
    const button = event.target.closest("button");
    if (!button) return;
    if (event.detail) button.blur(); // a mouse leaves no focus behind: the space bar plays
    if (button.matches(".sl-me")) this.askName();
    else if (button.matches(".sl-cancel")) this.look();
    else if (button.dataset.act) this.act(button.dataset.act);
  }

  act(name) {
    if (name === "agree") return this.act(this.state === "reveal" ? "keep" : "confirm");
    if (name === "undo") return this.undo();
    if (this.state === "reveal") return this.second(name) || this.playback(name);
    if (ANSWERS.includes(name)) return this.answer(name);
    const best = this.pair?.opinion?.best;
    if (name === "confirm" && best) return this.answer(best);
    if (name === "override" && best) return this.answer(OTHER[best]);
    return this.playback(name);
  }

  playback(name) {
    const { player } = this;
    const does = {
      toggle: () => player.toggle(),
      back: () => player.step(-1),
      forward: () => player.step(1),
      slower: () => player.faster(-1),
      faster: () => player.faster(1),
      restart: () => player.seek(0),
      loop: () => player.toggleLoop(),
      zoom: () => this.zoom.next(),
    };
    if (this.pair) does[name]?.();
  }

  answer(answer) {
    if (!this.mayAnswer() || (this.broken && answer !== "skip")) return;
    this.cast(this.pair.ticket, answer, this.broken ? "broken clip" : "");
  }

  // After the score of a blind pair was shown: keep or change. True if `name` answers that.
  second(name) {
    const { answer, ticket } = this.revealed;
    const changed = name === "flip" ? OTHER[answer] : name === "keep" ? answer : name;
    if (!ANSWERS.includes(changed) || changed === "skip") return false;
    if (this.mayAnswer()) this.cast(ticket, changed, changed === answer ? "keep" : "change");
    return true;
  }

  cast(ticket, answer, reason) {
    const seconds = (performance.now() - this.since) / 1000;
    const watched = this.player.facts();
    const body = { id: this.vote, ticket, answer, reason, seconds, watched };
    this.send("api/vote", body, (taken) => {
      this.progress(taken.page);
      taken.reveal ? this.reveal(taken.reveal) : this.turn(taken.page);
    });
  }

  undo() {
    if (this.busy || !["pair", "reveal", "idle"].includes(this.state)) return;
    if (!this.newest) return this.view.notice(this.words.nothing_to_undo);
    this.send("api/undo", { id: mint(), vote: this.newest }, (page) => {
      this.turn(page);
      this.view.notice(this.words.undone);
    });
  }
}
