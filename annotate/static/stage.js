// The clips on the page and their controls: where they are, what is loading or broken, how long each
// is, and how the room is shared with OmniScore so that the clips are as large as they can be.

import { fill, number, SIDES } from "./dom.js";

const SIGN_AFTER = 300; // milliseconds of loading after which the page says so
const BESIDE = 310; // pixels for OmniScore beside the clips
const BELOW = 138; // pixels for OmniScore below them
const GAPS = { beside: 18 + 12, below: 12 };
const UNDER = 84; // pixels for captions and controls
const NARROW = 900; // pixels of page width below which everything is one column

export class Stage {
  constructor(root, words) {
    this.root = root;
    this.words = words;
    this.place = root.querySelector(".sl-stage");
    this.bench = root.querySelector(".sl-bench");
    this.scrub = root.querySelector(".sl-scrub");
    this.videos = [...root.querySelectorAll(".sl-stage video")];
    this.aspect = 1.6;
    this.since = [null, null]; // when each clip began to be waited for
    new ResizeObserver(() => this.arrange()).observe(this.bench);
  }

  all(name) {
    return [...this.place.querySelectorAll(name)];
  }

  // A new pair: nothing is broken and nothing is known yet.
  clear() {
    this.all(".sl-broken").forEach((note) => (note.hidden = true));
    this.all("figcaption small").forEach((note) => (note.textContent = ""));
    this.since = [null, null];
  }

  // The clips are there, or are not: frames take the shape of the wider clip, so that both are equal.
  loaded({ broken }) {
    const shapes = this.videos.map((video) => video.videoWidth / video.videoHeight || 0);
    this.aspect = Math.max(...shapes) || 1.6;
    this.place.style.setProperty("--aspect", this.aspect);
    this.all(".sl-broken").forEach((note, side) => (note.hidden = !broken[side]));
    this.arrange();
    if (!broken.some(Boolean)) return "";
    const side = this.words[SIDES[broken.indexOf(true)]].toLowerCase();
    return broken.every(Boolean) ? this.words.broken_both : fill(this.words.broken_notice, { side });
  }

  // OmniScore beside the clips or below them, whichever leaves the clips larger. What it says plays
  // no part: a blind pair is exactly as large as one whose score is shown.
  arrange() {
    const { clientWidth: width, clientHeight: height } = this.bench;
    const beside = (width - BESIDE - GAPS.beside) / 2;
    const below = (width - GAPS.below) / 2;
    const high = (room, most) => Math.min(room / this.aspect, most - UNDER);
    const better = high(below, height - BELOW) > high(beside, height) * 1.02;
    this.bench.dataset.layout = better && innerWidth > NARROW ? "below" : "beside";
  }

  // What the player says about itself, on every frame: only what has changed is written.
  show(player) {
    const frames = Math.round(player.duration * player.fps);
    const frame = Math.min(Math.floor(player.time * player.fps + 1e-6) + 1, frames);
    this.root.classList.toggle("sl-playing", player.playing);
    this.scrub.value = player.duration ? player.time / player.duration : 0;
    write(this.root.querySelector(".sl-time"), frames ? `${frame}/${frames}` : "");
    write(this.root.querySelector(".sl-speed"), `${player.speed}×`);
    if (!player.playing) {
      const spoken = frames ? fill(this.words.frame, { frame, frames }) : "";
      this.scrub.setAttribute("aria-valuetext", spoken);
    }
    this.captions(player);
    this.waiting(player.waits);
  }

  // How long each clip is where they differ, and how far one was shifted alone.
  captions(player) {
    const lengths = this.videos.map((video) => video.duration || 0);
    const differ = player.usable.length === 2 && Math.abs(lengths[0] - lengths[1]) > 0.5 / player.fps;
    this.all("figcaption small").forEach((note, side) => {
      const parts = [];
      const shorter = lengths[side] < lengths[1 - side];
      const seconds = number(lengths[side], 1);
      if (differ) parts.push(fill(shorter ? this.words.shorter : this.words.length, { seconds }));
      const shift = player.shifts[side];
      const word = shift > 0 ? this.words.shift_later : this.words.shift_earlier;
      if (shift) parts.push(fill(word, { frames: Math.abs(shift) }));
      write(note, parts.join(" · "));
    });
  }

  // A clip that keeps the other waiting for longer than a moment says so.
  waiting(waits) {
    const now = performance.now();
    this.all(".sl-waits").forEach((note, side) => {
      if (!waits[side]) this.since[side] = null;
      else this.since[side] ??= now;
      note.hidden = this.since[side] === null || now - this.since[side] < SIGN_AFTER;
    });
  }
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
