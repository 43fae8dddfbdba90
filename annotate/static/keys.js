// Which key means what; people may change it. Keys with Ctrl, Alt or Meta belong to the browser, keys
// in a field are typing, and Escape and Tab stay what they are everywhere.

import { remember, remembered } from "./dom.js";

export const GROUPS = {
  answers: {
    left: ["1", "ArrowLeft"],
    right: ["2", "ArrowRight"],
    tie: ["3", "ArrowDown"],
    unusable: ["4", "x"],
    agree: ["Enter"],
    override: ["o"],
    keep: ["k"],
    flip: ["c"],
    previous: ["b"],
    skip: ["s"],
    undo: ["u", "Backspace"],
    remark: ["m"],
    flags: ["f"],
  },
  clips: {
    toggle: [" "],
    back: [","],
    forward: ["."],
    slower: ["[", "-"],
    faster: ["]", "+"],
    loop: ["l"],
    zoom: ["z"],
    restart: ["r", "Home"],
    left_back: ["q"],
    left_forward: ["a"],
    right_back: ["e"],
    right_forward: ["d"],
  },
  page: { raw: ["i"], guide: ["g"], history: ["h"], keys: ["?"] },
};
const DEFAULTS = Object.assign({}, ...Object.values(GROUPS));
const HELD = ["back", "forward", "left_back", "left_forward", "right_back", "right_forward"];
const FIXED = ["Escape", "Tab", "Shift", "Control", "Alt", "Meta", "AltGraph", "CapsLock", "Dead"];
const PRESS = [" ", "Enter"];
const SCROLL = ["ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown", " "];
const ARROWS = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];
export const SLOTS = 2; // keys per action

const plain = (key) => (key.length === 1 ? key.toLowerCase() : key);

export class KeyMap {
  constructor() {
    this.changed = remembered("keys") ?? {};
  }

  of(act) {
    return this.changed[act] ?? DEFAULTS[act] ?? [];
  }

  // The action of a key, or undefined.
  act(key) {
    return Object.keys(DEFAULTS).find((act) => this.of(act).includes(key));
  }

  // Put `key` (null: none) on a slot; answers why not: "fixed", "taken" (with the action), "last".
  assign(act, slot, key) {
    const keys = [...this.of(act)];
    if (key === null) {
      if (keys.length < 2) return { refused: "last" };
      keys.splice(slot, 1);
    } else {
      const other = this.act(plain(key));
      if (FIXED.includes(key)) return { refused: "fixed" };
      if (other && other !== act) return { refused: "taken", other };
      if (other !== act) keys[Math.min(slot, keys.length)] = plain(key);
    }
    this.changed = { ...this.changed, [act]: keys };
    remember("keys", this.changed);
    return { refused: null };
  }

  reset() {
    this.changed = {};
    remember("keys", this.changed);
  }

  // What a key press asks for: {act, strong, held}; null where it is not ours.
  meaning(event) {
    const { target, shiftKey } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
    if (target.closest?.("input, textarea, select, [contenteditable]")) return null;
    if (target.closest?.("button, a, summary") && PRESS.includes(event.key)) return null;
    if (target.closest?.(".sl-prompt, .sl-bench") === target && SCROLL.includes(event.key)) return null;
    if (target.closest?.(".sl-stage") === target && ARROWS.includes(event.key)) return null;
    const act = this.act(plain(event.key)) ?? this.#byPlace(event.code);
    return act ? { act, strong: shiftKey, held: HELD.includes(act) } : null;
  }

  // Digits by their place: with Shift, and on keyboards where they need it, the character is another.
  #byPlace(code) {
    return code?.startsWith("Digit") ? this.act(code.slice(5)) : undefined;
  }
}

const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Backspace: "⌫" };

// How a key is written on the page.
export function sign(key, words) {
  if (key === " ") return words.key_space;
  return SIGNS[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}

// How a key is told to assistive technology (aria-keyshortcuts).
export const shortcut = (key) => (key === " " ? "Space" : key);
