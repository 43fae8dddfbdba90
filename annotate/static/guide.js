// The campaign's guideline and worked examples. Opens by itself on a person's first visit of a
// campaign, and again when the guideline has changed. Plain text: paragraphs by blank lines, lists by
// lines that begin with "- ".

import { fill, make, remember, remembered } from "./dom.js";

export class Guide {
  constructor(dialogs, words) {
    this.dialogs = dialogs;
    this.words = words;
    this.place = dialogs.find("guide").querySelector(".sl-guide");
    dialogs.find("guide").addEventListener("close", () => this.place.replaceChildren());
  }

  // Whether this person has not seen this guideline yet, in this browser.
  news({ name, guideline, examples }, annotator) {
    if (!guideline && !examples.length) return false;
    const text = JSON.stringify([guideline, examples.map(({ prompt, why }) => [prompt, why])]);
    const seen = remembered("guides") ?? {};
    const key = `${annotator}/${name}`;
    if (seen[key] === text) return false;
    remember("guides", { ...seen, [key]: text });
    return true;
  }

  show(campaign) {
    const { words } = this;
    const parts = [];
    if (campaign.title) parts.push(make("h3", "", campaign.title));
    parts.push(...(campaign.guideline ? paragraphs(campaign.guideline) : [make("p", "", words.guide_none)]));
    parts.push(make("h3", "", words.guide_questions), questions(campaign.questions));
    if (campaign.examples.length) parts.push(make("h3", "", words.guide_examples));
    parts.push(...campaign.examples.map((example) => this.#example(example)));
    this.place.replaceChildren(...parts);
    this.dialogs.show("guide");
    this.place.scrollTop = 0;
    this.place.focus();
  }

  #example({ prompt, better, why, left, right }) {
    const { words } = this;
    const box = make("article", "sl-example");
    box.append(make("p", "sl-example-prompt", prompt, { dir: "auto" }));
    const clips = make("div", "sl-example-clips");
    for (const [side, address] of [["left", left], ["right", right]]) {
      if (!address) continue;
      const figure = make("figure", "", undefined, { "data-side": side });
      const video = make("video", "", undefined, { playsinline: "", loop: "", controls: "" });
      Object.assign(video, { muted: true, src: new URL(address, document.baseURI).href });
      video.setAttribute("aria-label", words[side]);
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (!calm) video.autoplay = true;
      figure.append(video, make("figcaption", "", words[side]));
      clips.append(figure);
    }
    const answer = words[`vote_${better}`] ?? better;
    box.append(clips, make("strong", "", fill(words.example_better, { better: answer })));
    box.append(make("p", "", why, { dir: "auto" }));
    return box;
  }
}

function questions(asked) {
  const list = make("ol");
  for (const { text, rule } of asked) {
    const line = make("li", "", text);
    if (rule) line.append(" ", make("small", "sl-quiet", rule));
    list.append(line);
  }
  return list;
}

function paragraphs(text) {
  return text.split(/\n\s*\n/).filter((block) => block.trim()).flatMap((block) => {
    const parts = [];
    for (const line of block.trim().split("\n")) {
      const item = line.startsWith("- ");
      const last = parts.at(-1);
      if (item && last?.tagName !== "UL") parts.push(make("ul", "", undefined, { dir: "auto" }));
      if (item) parts.at(-1).append(make("li", "", line.slice(2)));
      else if (last?.tagName === "P") last.textContent += ` ${line}`;
      else parts.push(make("p", "", line, { dir: "auto" }));
    }
    return parts;
  });
}
