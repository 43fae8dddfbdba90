// What the page shows: everything that touches the DOM, and nothing that decides. Text that came from
// elsewhere (prompts, names, commands) is set as text, never as markup.

import { showOpinion, verdict } from "./opinion.js";

export const ANSWERS = ["left", "right", "tie", "unusable", "skip"];
const SIDES = ["left", "right"];

function make(tag, text) {
  return Object.assign(document.createElement(tag), { textContent: text });
}

export class View {
  constructor(root) {
    this.root = root;
    this.words = JSON.parse(root.dataset.words);
    this.form = this.find(".sl-ask");
    this.stage = this.find(".sl-stage");
    this.scrub = this.find(".sl-scrub");
    this.videos = [...root.querySelectorAll("video")];
  }

  find(name) {
    return this.root.querySelector(name);
  }

  button(act) {
    return this.find(`.sl-work [data-act=${act}]`);
  }

  enter(state) {
    this.root.dataset.state = state;
    this.root.removeAttribute("aria-busy");
    this.form.hidden = state !== "ask";
    this.find(".sl-idle").hidden = state !== "idle";
    this.find(".sl-work").hidden = !["pair", "reveal"].includes(state);
    this.find(".sl-reveal").hidden = state !== "reveal";
    this.find(".sl-question").hidden = state === "reveal";
  }

  notice(text) {
    const place = this.find(".sl-notice");
    place.textContent = text;
    place.hidden = !text;
  }

  nameForm(name, error, mayCancel) {
    this.form.elements.name.value = name;
    this.find(".sl-cancel").hidden = !mayCancel;
    this.nameError(error);
    this.form.elements.name.select();
    this.form.elements.name.focus();
  }

  nameError(text) {
    this.find(".sl-ask-error").textContent = text;
  }

  progress(annotator, progress) {
    const me = this.find(".sl-me");
    me.textContent = annotator;
    me.hidden = this.find(".sl-progress").hidden = false;
    const all = progress.done + progress.left;
    const share = all ? (100 * progress.done) / all : 0;
    this.find(".sl-bar").setAttribute("aria-valuenow", share.toFixed(0));
    this.find(".sl-bar i").style.inlineSize = `${share}%`;
    const fill = (_, name) => progress[name];
    this.find(".sl-counts").textContent = this.words.progress.replace(/\{(\w+)\}/g, fill);
  }

  idle({ title, text, steps }) {
    this.find(".sl-idle h1").textContent = title;
    this.find(".sl-idle-text").textContent = text;
    const lines = steps.flatMap((step) => {
      const command = document.createElement("dd");
      command.append(make("code", step.command));
      return step.text ? [make("dt", step.text), command] : [command];
    });
    this.find(".sl-idle dl").replaceChildren(...lines);
  }

  pair(pair) {
    const prompt = this.find(".sl-prompt");
    prompt.textContent = pair.prompt;
    prompt.scrollTop = 0;
    this.opinion(pair, pair.opinion);
    this.hints(pair.opinion?.best);
    this.root.querySelectorAll(".sl-broken").forEach((note) => (note.hidden = true));
  }

  opinion(pair, opinion) {
    showOpinion(this.find(".sl-opinion"), pair, opinion, this.words);
  }

  // The clips are there, or are not: frames take the shape of the wider clip, so that both are equal.
  loaded(broken) {
    const shapes = this.videos.map((video) => video.videoWidth / video.videoHeight || 0);
    this.stage.style.setProperty("--aspect", Math.max(...shapes) || 1.6);
    const notes = [...this.root.querySelectorAll(".sl-broken")];
    notes.forEach((note, side) => (note.hidden = !broken[side]));
    if (!broken.some(Boolean)) return;
    const side = this.words[SIDES[broken.indexOf(true)]].toLowerCase();
    const one = this.words.broken_notice.replace("{side}", side);
    this.notice(broken.every(Boolean) ? this.words.broken_both : one);
  }

  reveal(pair, { answer, opinion }) {
    const said = this.words[`vote_${answer}`].toLowerCase();
    const line = this.words.reveal.replace("{answer}", said);
    this.find(".sl-reveal p").textContent = line.replace("{opinion}", verdict(opinion, this.words));
    this.opinion(pair, opinion);
    this.hints(null);
  }

  // "confirm" and "override" under the answers that they are: the same size and the same effort.
  hints(best) {
    for (const side of SIDES) {
      const place = this.button(side).querySelector("small");
      const word = best === side ? "confirm" : "override";
      const hint = [this.words[word], " ", make("kbd", this.words[`${word}_key`])];
      place.replaceChildren(...(best ? hint : []));
    }
  }

  player(player) {
    const frames = Math.round(player.duration * player.fps);
    const frame = Math.min(Math.floor(player.time * player.fps + 1e-6) + 1, frames);
    this.root.classList.toggle("sl-playing", player.playing);
    this.scrub.value = player.duration ? player.time / player.duration : 0;
    this.find(".sl-time").textContent = frames ? `${frame}/${frames}` : "";
    this.find(".sl-speed").textContent = `${player.speed}×`;
    this.press("loop", player.loop);
  }

  press(act, on) {
    this.button(act).setAttribute("aria-pressed", on);
  }

  // Which buttons may be used now; `mine` is the answer that is to be kept or changed.
  enable({ answers, skip, undo, keep, mine }) {
    for (const button of this.root.querySelectorAll("[data-act]")) {
      const { act } = button.dataset;
      if (act === "undo") button.disabled = !undo;
      else if (act === "keep") button.disabled = !keep;
      else if (act === "skip") button.disabled = !skip;
      else if (ANSWERS.includes(act)) button.disabled = !answers;
      if (ANSWERS.includes(act)) button.classList.toggle("sl-mine", act === mine);
    }
  }
}
