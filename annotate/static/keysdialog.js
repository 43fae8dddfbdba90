// All keys, to look up and to change, and the page's few settings. A key that is taken is refused.

import { fill, make, remember, remembered } from "./dom.js";
import { GROUPS, sign, SLOTS } from "./keys.js";

const NAMES = {
  left: "vote_left",
  right: "vote_right",
  tie: "vote_tie",
  unusable: "vote_unusable",
  toggle: "play",
  keys: "keys_title",
  guide: "guide_title",
  history: "history_title",
};

export class KeysDialog {
  constructor(dialogs, keys, words, changed) {
    this.dialogs = dialogs;
    this.dialog = dialogs.find("keys");
    this.keys = keys;
    this.words = words;
    this.changed = changed;
    this.place = this.dialog.querySelector(".sl-keys");
    this.taking = null; // the button that waits for a key
    this.place.addEventListener("click", (event) => this.#wait(event.target.closest("button")));
    this.dialog.addEventListener("keydown", (event) => this.#take(event), { capture: true });
    this.dialog.addEventListener("close", () => (this.taking = null));
    this.dialog.querySelector(".sl-keys-reset").addEventListener("click", () => {
      keys.reset();
      this.#fresh(words.keys_were_reset);
    });
    this.#settings();
  }

  show() {
    this.#fresh("");
    this.dialogs.show("keys");
  }

  name(act) {
    return this.words[NAMES[act] ?? act];
  }

  #say(text) {
    this.dialog.querySelector(".sl-keys-said").textContent = text;
  }

  #fresh(said) {
    const groups = Object.entries(GROUPS).map(([group, acts]) => {
      const box = make("section");
      const list = make("ul");
      list.append(...Object.keys(acts).map((act) => this.#line(act)));
      box.append(make("h3", "", this.words[`keys_${group}`]), list);
      if (group === "answers") box.append(make("p", "sl-quiet", this.words.keys_strong));
      if (group === "page") box.append(make("p", "sl-quiet", `Esc: ${this.words.escape}`));
      return box;
    });
    this.place.replaceChildren(...groups);
    this.#say(said);
    this.changed();
  }

  #line(act) {
    const line = make("li");
    line.append(make("span", "", this.name(act)));
    const keys = this.keys.of(act);
    for (let slot = 0; slot < Math.min(SLOTS, keys.length + 1); slot += 1) {
      const text = keys[slot] === undefined ? "" : sign(keys[slot], this.words);
      const button = make("button", text ? "" : "sl-empty", text, { type: "button" });
      Object.assign(button.dataset, { for: act, slot });
      const which = fill(this.words.keys_slot, { act: this.name(act), slot: slot + 1 });
      button.setAttribute("aria-label", `${which}: ${text || this.words.keys_none}`);
      line.append(button);
    }
    return line;
  }

  #wait(button) {
    if (!button) return;
    this.#fresh(this.words.keys_press);
    this.taking = this.#button(button.dataset);
    this.taking.textContent = this.words.keys_press;
    this.taking.classList.add("sl-taking");
    this.taking.focus();
  }

  #button({ for: act, slot }) {
    const of = [...this.place.querySelectorAll(`[data-for=${act}]`)];
    return of[Math.min(slot, of.length - 1)];
  }

  // The next key while a button waits for one: Escape changes nothing, Delete empties the place.
  #take(event) {
    if (!this.taking || ["Shift", "AltGraph"].includes(event.key)) return;
    if (event.key === "Tab") return this.#fresh("");
    event.preventDefault();
    event.stopPropagation();
    const { dataset } = this.taking;
    this.taking = null;
    this.#fresh(event.key === "Escape" ? "" : this.#assign(dataset, event.key));
    this.#button(dataset).focus();
  }

  #assign({ for: act, slot }, pressed) {
    const key = pressed === "Delete" ? null : pressed;
    const { refused, other } = this.keys.assign(act, Number(slot), key);
    const said = { act: this.name(other ?? act), key: key === null ? "" : sign(key, this.words) };
    if (refused) return fill(this.words[`keys_${refused}`], said);
    const now = this.keys.of(act).map((one) => sign(one, this.words)).join(", ");
    return fill(this.words.keys_set, { act: this.name(act), key: now });
  }

  #settings() {
    const reveal = this.dialog.querySelector("[name=reveal]");
    reveal.checked = remembered("reveal") ?? true;
    reveal.addEventListener("change", () => remember("reveal", reveal.checked));
    const language = this.dialog.querySelector("[name=language]");
    for (const [code, name] of Object.entries(this.words.languages)) {
      language.append(make("option", "", name, { value: code, lang: code }));
    }
    language.value = document.documentElement.lang;
    language.addEventListener("change", () => {
      remember("language", language.value);
      location.assign(new URL(".", document.baseURI));
    });
  }
}
