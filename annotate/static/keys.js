// Which key means what. Keys with Ctrl, Alt or Meta belong to the browser; keys in a field are typing.

const KEYS = {
  1: "left", ArrowLeft: "left",
  2: "right", ArrowRight: "right",
  3: "tie", ArrowDown: "tie",
  4: "unusable", x: "unusable",
  s: "skip",
  u: "undo", Backspace: "undo",
  Enter: "agree", o: "override", k: "keep", c: "flip",
  " ": "toggle", ",": "back", ".": "forward", "[": "slower", "]": "faster",
  l: "loop", z: "zoom", r: "restart", Home: "restart",
};
export const STEPS = ["back", "forward"]; // may be held down

const PRESS = [" ", "Enter"];
const SCROLL = ["ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown", " "];

export function meaning(event) {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  if (target.closest?.("input, textarea, select, [contenteditable]")) return null;
  if (target.closest?.("button, a") && PRESS.includes(key)) return null;
  if (target.closest?.(".sl-prompt") && SCROLL.includes(key)) return null; // a long text in focus
  return KEYS[key.length === 1 ? key.toLowerCase() : key] ?? null;
}
