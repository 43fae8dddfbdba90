// The page's dialogs: one at a time, closed by Esc, by their button or by a click beside them.

import { make } from "./dom.js";

export class Dialogs {
  constructor(root) {
    this.all = [...root.querySelectorAll("dialog")];
    for (const dialog of this.all) {
      dialog.addEventListener("click", (event) => {
        const beside = event.target === dialog && event.detail > 0;
        if (beside || event.target.closest(".sl-close")) dialog.close();
      });
    }
  }

  find(name) {
    return this.all.find((dialog) => dialog.dataset.dialog === name);
  }

  get open() {
    return this.all.find((dialog) => dialog.open) ?? null;
  }

  show(name) {
    this.open?.close();
    this.find(name).showModal();
  }
}

// Reasons to skip, each under a digit, or one in the person's own words.
export class SkipDialog {
  constructor(dialogs, chosen) {
    this.dialogs = dialogs;
    this.dialog = dialogs.find("skip");
    this.place = this.dialog.querySelector(".sl-skips");
    this.form = this.dialog.querySelector("form");
    const take = (key, text) => {
      this.dialog.close();
      chosen(key, text);
    };
    this.place.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) take(button.dataset.skip, this.form.elements.why.value);
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      take("other", this.form.elements.why.value);
    });
    this.dialog.addEventListener("keydown", (event) => {
      const button = this.place.children[Number(event.key) - 1];
      if (!button || event.target.matches("input") || event.repeat) return;
      event.preventDefault();
      button.click();
    });
  }

  ask(skips) {
    const buttons = skips.map(({ key, text }, at) => {
      const button = make("button", "", undefined, { type: "button", "data-skip": key });
      button.append(make("kbd", "", String(at + 1)), make("span", "", text));
      return button;
    });
    this.place.replaceChildren(...buttons);
    this.form.reset();
    this.dialogs.show("skip");
  }
}
