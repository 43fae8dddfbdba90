// What the page shows around the clips: everything that touches the DOM, and nothing that decides.
// Text that came from elsewhere (prompts, names, commands) is set as text, never as markup.

import { fill, make, SIDES } from "./dom.js";
import { shortcut, sign } from "./keys.js";
import { showOpinion, verdict } from "./opinion.js";

export const ANSWERS = ["left", "right", "tie", "unusable", "skip"];
const WORKING = ["pair", "due", "reveal", "feedback"];
const SPOKEN = 300; // letters of a prompt that are read out by themselves

export class View {
  constructor(root, keys) {
    this.root = root;
    this.words = JSON.parse(root.dataset.words);
    this.keys = keys;
    this.showKeys();
  }

  find(name) {
    return this.root.querySelector(name);
  }

  all(name) {
    return [...this.root.querySelectorAll(name)];
  }

  enter(state) {
    this.root.dataset.state = state;
    this.root.removeAttribute("aria-busy");
    const only = { ".sl-ask": "ask", ".sl-idle": "idle", ".sl-due": "due", ".sl-reveal": "reveal" };
    for (const [part, one] of Object.entries(only)) this.find(part).hidden = state !== one;
    this.find(".sl-feedback").hidden = state !== "feedback";
    this.find(".sl-work").hidden = !WORKING.includes(state);
    this.find(".sl-question").hidden = state !== "pair";
    this.find(".sl-tools").hidden = ["loading", "ask"].includes(state);
    if (state !== "pair") for (const part of [".sl-editing", ".sl-steps"]) this.find(part).hidden = true;
  }

  // For whoever hears the page: what has changed. An element that is emptied first speaks again.
  say(text) {
    const place = this.find(".sl-said");
    place.textContent = "";
    requestAnimationFrame(() => (place.textContent = text));
  }

  notice(text, kind = "") {
    const place = this.find(".sl-notice");
    place.firstElementChild.textContent = text;
    place.hidden = !text;
    place.dataset.kind = kind;
  }

  // Keys as they are now, wherever the page shows them.
  showKeys() {
    for (const place of this.all("[data-keys]")) {
      const shift = "shift" in place.dataset ? "⇧" : "";
      const keys = this.keys.of(place.dataset.keys);
      place.replaceChildren(...keys.map((key) => make("kbd", "", shift + sign(key, this.words))));
    }
    for (const button of this.all("[data-act]")) {
      const keys = this.keys.of(button.dataset.act);
      const shift = "strong" in button.dataset ? "Shift+" : "";
      button.setAttribute("aria-keyshortcuts", keys.map((key) => shift + shortcut(key)).join(" "));
      const name = button.getAttribute("aria-label");
      const signs = keys.map((key) => sign(key, this.words)).join(", ");
      if (name) button.title = `${name} (${signs})`;
    }
  }

  me({ annotator, role, progress }) {
    const me = this.find(".sl-me");
    me.textContent = annotator;
    me.hidden = this.find(".sl-progress").hidden = false;
    this.find(".sl-lead").hidden = !["lead", "admin"].includes(role);
    const all = progress.done + progress.left;
    const share = all ? (100 * progress.done) / all : 0;
    this.find(".sl-bar").setAttribute("aria-valuenow", share.toFixed(0));
    this.find(".sl-bar i").style.inlineSize = `${share}%`;
    this.find(".sl-counts").textContent = fill(this.words.progress, progress);
    this.practice(progress.practice);
  }

  practice(practice) {
    const place = this.find(".sl-practice");
    place.hidden = !practice;
    if (practice) place.textContent = fill(this.words.practice, practice);
  }

  campaign(campaign) {
    const choice = this.find(".sl-campaign");
    choice.hidden = campaign.campaigns.length < 2;
    const options = campaign.campaigns.map((one) => {
      const title = one.title || one.name;
      const text = one.left === null ? title : fill(this.words.campaign_left, { title, left: one.left });
      return make("option", "", text, { value: one.name });
    });
    choice.replaceChildren(...options);
    choice.value = campaign.name;
    for (const strong of this.all(".sl-answers [data-strong]")) strong.hidden = !campaign.strength;
    this.find(".sl-answers").classList.toggle("sl-strengths", campaign.strength);
    const remarks = campaign.comments || campaign.flags.length > 0;
    this.find(".sl-minor [data-act=remark]").hidden = !remarks;
  }

  button(act) {
    return this.find(`.sl-answers [data-act=${act}]:not([data-strong])`);
  }

  idle({ title, text, steps }) {
    this.find(".sl-idle h1").textContent = title;
    this.find(".sl-idle-text").textContent = text;
    const lines = steps.flatMap((step) => {
      const command = make("dd");
      command.append(make("code", "", step.command));
      return step.text ? [make("dt", "", step.text), command] : [command];
    });
    this.find(".sl-idle dl").replaceChildren(...lines);
  }

  pair(pair) {
    const prompt = this.find(".sl-prompt");
    prompt.textContent = pair.prompt;
    prompt.scrollTop = 0;
    this.opinion(pair, pair.opinion);
    this.find(".sl-editing").hidden = !pair.previous;
    if (pair.previous) {
      const answer = this.named(pair.previous.answer, pair.previous.strength);
      this.find(".sl-editing p").textContent = fill(this.words.editing, { answer });
    }
    this.say(fill(this.words.new_pair, { prompt: pair.prompt.slice(0, SPOKEN) }));
  }

  opinion(pair, opinion) {
    showOpinion(this.find(".sl-says"), pair, opinion, this.words);
    this.find(".sl-opinion").dataset.best = opinion?.best ?? "";
    this.find(".sl-raw-toggle").hidden = !opinion;
  }

  // The question that stands, its place among the others, and what was said to it before.
  question(ballot, best) {
    const { question, questions, step } = ballot;
    this.find(".sl-question span").textContent = question.text;
    this.find(".sl-question small").textContent = question.rule ?? "";
    const steps = this.find(".sl-steps");
    steps.hidden = questions.length < 2;
    steps.replaceChildren(...questions.map((one, at) => this.#step(one, at, ballot)));
    this.find(".sl-minor [data-act=previous]").hidden = questions.length < 2;
    this.hints(ballot.overall ? best : null);
    const strengths = ballot.overall && this.find(".sl-answers").matches(".sl-strengths");
    for (const side of SIDES) {
      const words = this.words[`${strengths ? "weak" : "vote"}_${side}`];
      this.button(side).firstElementChild.textContent = words;
    }
    if (questions.length > 1) {
      const place = fill(this.words.step, { step: step + 1, steps: questions.length });
      this.say(`${place}: ${question.text}`);
    }
  }

  #step({ key }, at, { step, answers }) {
    const name = this.words.questions[`${key}_name`] ?? key;
    const said = answers[key];
    const chip = make("li", said ? "sl-said-already" : "", name);
    if (said) chip.append(": ", make("b", "", this.words[said] ?? this.words.vote_tie));
    if (at === step) chip.setAttribute("aria-current", "step");
    return chip;
  }

  // An answer in words: "left clearly better".
  named(answer, strength) {
    const strong = { clearly: "strong", slightly: "weak" }[strength];
    return (this.words[`${strong}_${answer}`] ?? this.words[`vote_${answer}`]).toLowerCase();
  }

  due(answer, strength) {
    const said = fill(this.words.due, { answer: this.named(answer, strength) });
    this.find(".sl-due p").textContent = said;
    this.say(said);
  }

  reveal(pair, { answer, opinion }, strength) {
    const line = fill(this.words.reveal, { answer: this.named(answer, strength) });
    const said = fill(line, { opinion: verdict(opinion, this.words) });
    this.find(".sl-reveal p").textContent = said;
    this.opinion(pair, opinion);
    this.hints(null);
    this.say(said);
  }

  feedback({ right, expected, why, round }) {
    const { words } = this;
    const wrong = fill(words.wrong_answer, { expected: words[`vote_${expected}`] });
    const [title, text] = [right ? words.right_answer : wrong, why ?? ""];
    const place = this.find(".sl-feedback");
    place.dataset.right = right;
    place.querySelector("strong").textContent = `${right ? "✓" : "✗"} ${title}`;
    place.querySelector("span").textContent = text;
    place.querySelector(".sl-round").textContent = round ? this.#round(round) : "";
    this.say([title, text, round ? this.#round(round) : ""].join(" "));
  }

  #round({ passed, right, of, tries_left: tries }) {
    const failed = tries > 0 ? "failed" : "failed_for_good";
    return fill(this.words[passed ? "passed" : failed], { right, of, tries });
  }

  // "confirm" and "override" under the answers that they are: the same size and the same effort.
  hints(best) {
    for (const side of SIDES) {
      const act = best === side ? "agree" : "override";
      const word = this.words[best === side ? "confirm" : "override"];
      const keys = this.keys.of(act).slice(0, 1);
      const hint = [word, ...keys.flatMap((key) => [" ", make("kbd", "", sign(key, this.words))])];
      this.button(side).querySelector("small").replaceChildren(...(best ? hint : []));
    }
  }

  gate(text) {
    const place = this.find(".sl-gate");
    if (place.textContent !== text) place.textContent = text;
    place.hidden = !text;
  }

  press(act, on) {
    for (const button of this.all(`[data-act=${act}][aria-pressed]`)) button.setAttribute("aria-pressed", on);
  }

  // Which buttons may be used now; `mine` is the answer that is to be kept or changed, with its
  // strength where that is known. A button that had the focus when it was locked has it again when
  // it is free.
  enable({ answers, skip, undo, keep, previous, agree, mine, dimension }) {
    const focused = document.activeElement;
    const may = { undo, keep, skip, previous, agree };
    for (const button of this.all("[data-act]")) {
      const { act } = button.dataset;
      if (act in may) button.disabled = !may[act];
      else if (ANSWERS.includes(act)) button.disabled = !answers;
      if (ANSWERS.includes(act)) button.classList.toggle("sl-mine", isMine(button.dataset, mine));
    }
    this.find(".sl-answers").classList.toggle("sl-dimension", Boolean(dimension));
    if (focused?.disabled) this.lost = focused;
    if (!this.lost || this.lost.disabled) return;
    if (document.activeElement === document.body) this.lost.focus({ preventScroll: true });
    this.lost = null;
  }
}

// Whether a button says this answer: of two strengths the one that was given.
function isMine({ act, strong }, mine) {
  if (act !== mine?.answer) return false;
  return !mine.strength || (mine.strength === "clearly") === (strong !== undefined);
}
