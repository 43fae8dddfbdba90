// A comment and flags on the pair, in a panel over the answers. What is typed here never votes; Esc
// goes back to voting, and the text stays until the answer is given.

import { make } from "./dom.js";

export class Remark {
  constructor(root) {
    this.panel = root.querySelector(".sl-remark");
    this.field = root.querySelector(".sl-comment textarea");
    this.flags = root.querySelector(".sl-flags");
    this.button = root.querySelector(".sl-minor [data-act=remark]");
    this.panel.querySelector(".sl-remark-done").addEventListener("click", () => this.close());
    this.panel.addEventListener("keydown", (event) => this.#key(event));
    this.panel.addEventListener("input", () => this.#take());
  }

  // Begin with the remarks of this ballot, as this campaign asks for them.
  begin(ballot, { comments, flags }) {
    this.ballot = ballot;
    this.close();
    this.field.parentElement.hidden = !comments;
    this.field.value = ballot.comment;
    this.flags.hidden = !flags.length;
    const boxes = flags.map(({ key, text }, at) => {
      const label = make("label");
      const box = make("input", "", undefined, { type: "checkbox", name: key });
      box.checked = ballot.flags.has(key);
      label.append(box, ` ${text} `, make("kbd", "", String(at + 1)));
      return label;
    });
    this.flags.replaceChildren(this.flags.firstElementChild, ...boxes);
    this.#mark();
  }

  get boxes() {
    return [...this.flags.querySelectorAll("input")];
  }

  get shown() {
    return !this.panel.hidden;
  }

  open(which) {
    if (this.button.hidden) return;
    const first = { comment: this.field, flags: this.boxes[0] };
    this.panel.hidden = false;
    const place = [first[which], ...Object.values(first)].find((one) => one && !one.closest("[hidden]"));
    this.button.setAttribute("aria-expanded", "true");
    place.focus();
  }

  close() {
    const inside = this.panel.contains(document.activeElement);
    this.panel.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
    if (inside) document.activeElement.blur();
  }

  #key(event) {
    const typing = event.target === this.field;
    const digit = !typing && this.boxes[Number(event.key) - 1];
    if (event.key === "Escape" || (event.key === "Enter" && (!typing || event.ctrlKey))) {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    } else if (digit) {
      event.preventDefault();
      digit.click();
    }
  }

  #take() {
    this.ballot.comment = this.field.value;
    this.ballot.flags = new Set(this.boxes.filter((box) => box.checked).map((box) => box.name));
    this.#mark();
  }

  #mark() {
    const some = this.ballot.comment.trim() || this.ballot.flags.size;
    this.button.classList.toggle("sl-filled", Boolean(some));
  }
}
