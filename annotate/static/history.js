// One's own last answers, with what stood before them; each can be opened again and changed.

import { fill, make } from "./dom.js";
import { firstImage } from "./first.js";

const TIME = { dateStyle: "medium", timeStyle: "short" };
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

export class History {
  constructor(dialogs, view, reopen) {
    this.dialogs = dialogs;
    this.view = view;
    this.words = view.words;
    this.list = dialogs.find("history").querySelector(".sl-history");
    this.list.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      dialogs.find("history").close();
      reopen(button.dataset.vote);
    });
    this.list.addEventListener("keydown", (event) => this.#move(event));
  }

  show(votes) {
    const lines = votes.map((vote) => this.#line(vote));
    const none = make("li", "sl-quiet", this.words.history_none);
    this.list.replaceChildren(...(lines.length ? lines : [none]));
    this.dialogs.show("history");
    (this.list.querySelector("button") ?? this.list).focus();
  }

  #line(vote) {
    const { words } = this;
    const line = make("li");
    const what = make("div", "sl-past");
    const when = new Date(vote.time_ms).toLocaleString(document.documentElement.lang, TIME);
    const marks = [when, vote.exposure === "blind" ? words.history_blind : words.history_shown];
    if (vote.comment) marks.push(`“${vote.comment}”`);
    if (vote.revisions.length) {
      const answers = vote.revisions.map(({ answer }) => this.view.named(answer)).join(", ");
      marks.push(fill(words.history_before, { answers }));
    }
    what.append(
      make("p", "sl-past-prompt", vote.prompt, { dir: "auto" }),
      make("p", "", this.view.named(vote.answer, vote.strength)),
      make("p", "sl-quiet", marks.join(" · "), { dir: "auto" }),
    );
    if (vote.image) line.append(firstImage(vote.image, words));
    line.append(what);
    if (vote.editable) line.append(this.#change(vote));
    return line;
  }

  #change(vote) {
    const button = make("button", "", this.words.history_change, { type: "button", "data-vote": vote.vote });
    button.setAttribute("aria-label", `${this.words.history_change}: ${vote.prompt.slice(0, 100)}`);
    return button;
  }

  // The arrow keys go from one answer to the next.
  #move(event) {
    const step = STEPS[event.key];
    const buttons = [...this.list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    if (!step || !buttons.length) return;
    event.preventDefault();
    buttons[Math.min(buttons.length - 1, Math.max(0, at + step))].focus();
  }
}
