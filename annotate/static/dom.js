// Making elements and sentences, and the two places of the screen. Text that came from elsewhere is
// set as text, never as markup.

export const SIDES = ["left", "right"];
export const OTHER = { left: "right", right: "left" };

export function make(tag, name = "", text = undefined, attributes = {}) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// "{a} of {b}" with the values of `values`.
export function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// A number as the page's language writes it; `digits` after the point, or as many as it has.
export function number(value, digits) {
  const least = digits ?? 0;
  const most = digits ?? 20;
  const settings = { minimumFractionDigits: least, maximumFractionDigits: most, useGrouping: false };
  return value.toLocaleString(document.documentElement.lang || "en", settings);
}

// What this browser remembers; a browser that forbids it forgets, and nothing else changes.
export function remembered(name) {
  try {
    return JSON.parse(localStorage.getItem(`second-look.${name}`) ?? "null");
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`second-look.${name}`, JSON.stringify(value));
  } catch {
    // full or forbidden: it holds until the page is left
  }
}
