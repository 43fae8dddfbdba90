// OmniScore beside the clips: which it prefers, by how much and how surely, and every dimension as
// two bars that grow from the middle, left clip to the left, right clip to the right. The higher one
// is told by its number and a sign, not by colour alone. Raw values and ranges come on demand.

import { fill, make, number, OTHER, SIDES } from "./dom.js";

const SIGNS = { left: "◂", right: "▸" };
const LEAST = 0.1; // points; a smaller margin is not written as 0.0

const percent = (value) => (100 * value).toFixed(0);
const precise = (value) => number(100 * value, 1);
const raw = (value) => number(Number(value.toPrecision(3)));

export function verdict(opinion, words) {
  if (opinion.left === null || opinion.right === null) return words.prefers_missing;
  if (!opinion.best) return words.prefers_none;
  const side = words[opinion.best].toLowerCase();
  const margin = 100 * opinion.margin < LEAST ? `<${number(LEAST, 1)}` : precise(opinion.margin);
  return fill(words.prefers, { side, margin });
}

export function showOpinion(panel, pair, opinion, words) {
  panel.replaceChildren();
  panel.dataset.best = opinion?.best ?? "";
  panel.classList.toggle("sl-hides", !opinion);
  if (!opinion) {
    const key = pair.scored ? "blind" : "unscored";
    panel.append(make("h2", "", words[`${key}_title`]), make("p", "sl-quiet", words[`${key}_why`]));
    return;
  }
  panel.append(summary(opinion, words), bars(opinion, words));
}

function summary(opinion, words) {
  const box = make("div", "sl-summary");
  const title = make("h2", "", words.opinion);
  if (opinion.heuristic) {
    title.append(" ", make("span", "sl-tag", `* ${words.heuristic}`, { title: words.heuristic_why }));
  }
  const sure = { share: percent(opinion.probability ?? 0) };
  const known = opinion.probability !== null && opinion.best;
  const chance = known ? fill(words.probability, sure) : words.uncalibrated;
  const line = make("p", "sl-quiet sl-chance", chance);
  line.hidden = !opinion.best;
  const note = make("p", "sl-quiet sl-profile", fill(words.profile, opinion));
  box.append(title, make("p", "sl-verdict", verdict(opinion, words)), line, note);
  return box;
}

function bars(opinion, words) {
  const list = make("ul", "sl-bars");
  const total = { label: words.total, left: opinion.left, right: opinion.right, digits: precise };
  list.append(row(total, words, "sl-total"));
  for (const bar of opinion.bars) {
    const names = bar.heuristic ? words.stand_ins : words.dimensions;
    const label = names[bar.key] ?? bar.label;
    list.append(row({ ...bar, label, digits: percent }, words));
  }
  return list;
}

function row(bar, words, name = "") {
  const line = make("li", name);
  const seen = make("div", "sl-bar-row", undefined, { "aria-hidden": "true" });
  if (bar.note) seen.title = bar.note;
  const label = make("span", "sl-label", bar.label);
  if (bar.heuristic) label.append(" ", make("i", "sl-mark", "*", { title: words.heuristic }));
  if (bar.left === null && bar.right === null) {
    seen.append(label, make("span", "sl-missing", words.missing));
  } else {
    seen.append(label, cell("left", bar, words), cell("right", bar, words));
  }
  line.append(seen, make("span", "sl-unseen", spoken(bar, words)));
  if (bar.low != null) line.append(rawLine(bar, words));
  return line;
}

function cell(side, bar, words) {
  const value = bar[side];
  const box = make("span", `sl-value sl-${side}`);
  if (value === null) {
    box.append(make("span", "sl-missing", words.missing));
    return box;
  }
  const track = make("span", "sl-track");
  const part = make("i");
  part.style.inlineSize = `${100 * Math.min(1, Math.max(0, value))}%`;
  track.append(part);
  const higher = leads(bar, side);
  box.classList.toggle("sl-higher", higher);
  box.append(track, make("span", "sl-number", bar.digits(value)));
  box.append(make("span", "sl-sign", higher ? SIGNS[side] : ""));
  return box;
}

// Higher is what reads higher: 95 against 95 is not marked, whatever follows the point.
function leads(bar, side) {
  const [value, other] = [bar[side], bar[OTHER[side]]];
  return other !== null && value > other && bar.digits(value) !== bar.digits(other);
}

// The row in words, for whoever hears the page.
function spoken(bar, words) {
  const parts = SIDES.map((side) => {
    const value = bar[side];
    if (value === null) return `${words[side]} ${words.missing}`;
    return `${words[side]} ${bar.digits(value)}${leads(bar, side) ? ` (${words.higher})` : ""}`;
  });
  const rough = bar.heuristic ? `, ${words.heuristic}` : "";
  return `${bar.label}${rough}: ${parts.join(", ")}.`;
}

function rawLine(bar, words) {
  const values = SIDES.map((side) => {
    const value = bar[`raw_${side}`];
    return value == null ? words.missing : raw(value);
  });
  const range = fill(words.raw_range, { low: raw(bar.low), high: raw(bar.high) });
  return make("span", "sl-raw", `${values[0]} · ${values[1]} (${range})`);
}
