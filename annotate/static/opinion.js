// OmniScore beside the clips: which it prefers and by how much, and every dimension as two bars that
// grow from the middle, left clip to the left, right clip to the right. Text is set as text.

const percent = (value) => (100 * value).toFixed(0);
const precise = (value) => (100 * value).toFixed(1);

function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

export function verdict(opinion, words) {
  if (opinion.left === null || opinion.right === null) return words.prefers_missing;
  if (!opinion.best) return words.prefers_none;
  const side = words[opinion.best].toLowerCase();
  return words.prefers.replace("{side}", side).replace("{margin}", precise(opinion.margin));
}

export function showOpinion(panel, pair, opinion, words) {
  panel.replaceChildren();
  panel.dataset.best = opinion?.best ?? "";
  if (!opinion) {
    const key = pair.scored ? "blind" : "unscored";
    panel.append(make("h2", "", words[`${key}_title`]), make("p", "sl-quiet", words[`${key}_why`]));
    return;
  }
  const title = make("h2", "", words.opinion);
  if (opinion.heuristic) {
    const tag = make("span", "sl-tag", words.heuristic);
    tag.title = words.heuristic_why;
    title.append(" ", tag);
  }
  const table = make("table");
  table.append(row({ label: words.total, left: opinion.left, right: opinion.right }, words, "sl-total"));
  opinion.bars.forEach((bar) => table.append(row(bar, words)));
  const note = words.profile.replace("{profile}", opinion.profile);
  panel.append(title, make("p", "sl-verdict", verdict(opinion, words)), table, make("p", "sl-quiet", note));
}

function row(bar, words, name = "") {
  const line = make("tr", name);
  if (bar.note) line.title = bar.note;
  const label = make("th", "", bar.label);
  label.scope = "row";
  if (bar.left === null && bar.right === null) {
    const gap = make("td", "sl-missing", words.missing);
    gap.colSpan = 2;
    line.append(label, gap);
  } else {
    line.append(label, cell("left", bar, words), cell("right", bar, words));
  }
  return line;
}

function cell(side, bar, words) {
  const value = bar[side];
  const other = bar[side === "left" ? "right" : "left"];
  const box = make("td", `sl-value sl-${side}`);
  if (value === null) {
    box.append(make("span", "sl-missing", words.missing));
    return box;
  }
  const track = make("span", "sl-track");
  const fill = make("i");
  fill.style.inlineSize = `${100 * Math.min(1, Math.max(0, value))}%`;
  track.append(fill);
  const digits = bar.label === words.total ? precise(value) : percent(value);
  box.append(track, make("span", "sl-number", digits));
  if (other !== null && value > other) box.classList.add("sl-higher");
  return box;
}
