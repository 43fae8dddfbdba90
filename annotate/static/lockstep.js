// Two videos on one clock. The clock is ours; each video is held to it. While it runs, a video that
// is a little off is nudged by its playback rate, one that is far off is moved. If either is still
// loading the clock waits for it. The shorter clip holds its last frame until both start again.
// A clip may be shifted alone by whole frames, so that two movements can be laid side by side.

import { Watched } from "./watched.js";

const NUDGE_FROM = 0.008; // seconds off the clock that are corrected by rate
const MOVE_FROM = 0.15; // seconds off the clock that are corrected by seeking
const PATIENCE = 0.2; // seconds past the end that a late video may take to show its last frame
const READY = 3; // HTMLMediaElement.HAVE_FUTURE_DATA
export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.5, 2];

export class Lockstep {
  constructor(left, right, changed) {
    this.videos = [left, right];
    this.changed = changed;
    this.speed = 1;
    this.loop = true;
    this.loads = 0;
    this.clear();
    const tick = (now) => {
      this.#tick(now);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  clear() {
    this.playing = false;
    this.time = 0;
    this.last = null;
    this.loads += 1;
    this.loading = false;
    this.shifts = [0, 0]; // frames that each clip is ahead of the clock
    this.broken = [false, false];
    this.waits = [false, false];
    this.watched = new Watched();
  }

  // Load two clips; resolves when each shows its first frame or has failed. False if superseded.
  async load(sources, fps) {
    this.clear();
    this.fps = fps;
    this.loading = true;
    const mine = this.loads;
    await Promise.all(this.videos.map((video, side) => this.#open(video, sources[side], side, mine)));
    if (mine !== this.loads) return false;
    this.loading = false;
    return true;
  }

  #open(video, source, side, mine) {
    return new Promise((done) => {
      this.waits[side] = true;
      const settle = (event) => {
        video.removeEventListener("loadeddata", settle);
        video.removeEventListener("error", settle);
        if (mine === this.loads) {
          this.broken[side] = event.type === "error";
          this.waits[side] = false;
        }
        done();
      };
      video.addEventListener("loadeddata", settle);
      video.addEventListener("error", settle);
      video.src = source;
      video.load();
    });
  }

  get usable() {
    return [0, 1].filter((side) => !this.broken[side] && this.videos[side].duration > 0);
  }

  // Seconds until the last clip has shown its last frame.
  get duration() {
    return Math.max(0, ...this.usable.map((side) => this.#length(side) - this.#shift(side)));
  }

  // Whether both clips have been played through once (a broken one cannot be).
  get through() {
    return !this.loading && this.usable.every((side) => this.watched.all(side));
  }

  // Seconds of play that are missing until both have been.
  get missing() {
    return Math.max(0, ...this.usable.map((side) => this.watched.missing(side) * this.#length(side)));
  }

  play() {
    if (!this.usable.length) return;
    if (this.time >= this.duration - 0.5 / this.fps) this.#rewind();
    this.playing = true;
    this.last = null;
    this.changed();
  }

  pause() {
    this.playing = false;
    this.waits = this.waits.map((waits) => waits && this.loading);
    this.usable.forEach((side) => this.videos[side].pause());
    this.changed();
  }

  toggle() {
    this.playing ? this.pause() : this.play();
  }

  // Whole frames of the faster clip, to the middle of the frame: a boundary could show either one.
  step(frames) {
    this.pause();
    const here = Math.floor(this.time * this.fps + 1e-6);
    const final = Math.max(0, Math.round(this.duration * this.fps) - 1);
    const there = Math.min(final, Math.max(0, here + frames));
    this.#saw(there / this.fps, (there + 1) / this.fps);
    this.seek((there + 0.5) / this.fps);
  }

  // One clip alone, by whole frames; the shift stays until the next pair.
  align(side, frames) {
    if (!this.usable.includes(side)) return;
    this.pause();
    const most = Math.round(this.#length(side) * this.fps) - 1;
    this.shifts[side] = Math.min(most, Math.max(-most, this.shifts[side] + frames));
    this.seek((Math.floor(this.time * this.fps + 1e-6) + 0.5) / this.fps);
  }

  seek(time) {
    this.time = Math.min(Math.max(0, time), this.duration);
    this.last = null;
    this.usable.forEach((side) => this.#move(side));
    this.changed();
  }

  faster(steps) {
    const at = SPEEDS.indexOf(this.speed) + steps;
    this.speed = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at))];
    this.changed();
  }

  toggleLoop() {
    this.loop = !this.loop;
    this.changed();
  }

  // What was really looked at: share of each clip that was played, and how often both started again.
  facts() {
    const [left, right] = [0, 1].map((side) => this.watched.share(side));
    return { left, right, replays: this.watched.replays, speed: this.speed };
  }

  #length(side) {
    return this.videos[side].duration;
  }

  #shift(side) {
    return this.shifts[side] / this.fps;
  }

  // Where this clip should be now: before its start it holds the first frame, then the last.
  #place(side) {
    return this.time + this.#shift(side);
  }

  #move(side) {
    const end = Math.max(0, this.#length(side) - 0.5 / this.fps);
    this.videos[side].currentTime = Math.min(Math.max(0, this.#place(side)), end);
  }

  #rewind() {
    this.time = 0;
    this.last = null;
    this.usable.forEach((side) => this.#move(side));
    this.changed();
  }

  #running(side) {
    return this.#place(side) >= 0 && this.#place(side) < this.#length(side);
  }

  #tick(now) {
    if (!this.playing) return;
    const running = this.usable.filter((side) => this.#running(side));
    const late = running.filter((side) => {
      const video = this.videos[side];
      return video.seeking || video.readyState < READY;
    });
    this.waits = [0, 1].map((side) => late.includes(side));
    if (late.length) {
      this.last = null;
      running.forEach((side) => (late.includes(side) ? this.#run(side) : this.videos[side].pause()));
      return this.changed();
    }
    const before = this.time;
    this.time += this.last === null ? 0 : ((now - this.last) / 1000) * this.speed;
    this.last = now;
    this.#saw(before, this.time);
    if (this.#finished()) return this.#finish();
    this.usable.forEach((side) => this.#hold(side));
    this.changed();
  }

  // The clock is past the end, and every video has shown its last frame (or is hopelessly late).
  #finished() {
    const late = this.time - this.duration;
    return late > PATIENCE || (late >= 0 && this.usable.every((side) => this.videos[side].ended));
  }

  #finish() {
    if (!this.loop) return this.pause();
    this.watched.replays += 1;
    this.#rewind();
  }

  #run(side) {
    const video = this.videos[side];
    if (video.paused) video.play().catch(() => {}); // a pause in between rejects it: no matter
  }

  #hold(side) {
    const video = this.videos[side];
    const place = this.#place(side);
    if (place < 0) return video.pause();
    if (place >= this.#length(side)) {
      if (video.paused && !video.ended) this.#move(side);
      return; // otherwise it runs on to its last frame and stops there by itself
    }
    this.#run(side);
    const off = video.currentTime - place;
    if (Math.abs(off) > MOVE_FROM * Math.max(1, this.speed)) this.#move(side);
    const nudge = Math.abs(off) < NUDGE_FROM ? 0 : Math.max(-0.2, Math.min(0.2, off * 4));
    video.playbackRate = this.speed * (1 - nudge);
  }

  #saw(from, to) {
    for (const side of this.usable) {
      const [shift, length] = [this.#shift(side), this.#length(side)];
      this.watched.saw(side, (from + shift) / length, (to + shift) / length);
    }
  }
}
