// Two videos on one clock. The clock is ours; each video is held to it. While it runs, a video that
// is a little off is nudged by its playback rate, one that is far off is moved. If either is still
// loading the clock waits for it. The shorter clip holds its last frame until both start again.

const NUDGE_FROM = 0.008; // seconds off the clock that are corrected by rate
const MOVE_FROM = 0.15; // seconds off the clock that are corrected by seeking
const PATIENCE = 0.2; // seconds past the end that a late video may take to show its last frame
const READY = 3; // HTMLMediaElement.HAVE_FUTURE_DATA
export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.5, 2];

const BUCKETS = 20; // how finely "which part was played" is kept

export class Lockstep {
  constructor(left, right, changed) {
    this.videos = [left, right];
    this.changed = changed;
    this.speed = 1;
    this.loop = true;
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
    this.replays = 0;
    this.loads = (this.loads ?? 0) + 1;
    this.played = this.videos.map(() => new Set());
    this.broken = this.videos.map(() => false);
  }

  // Load two clips; resolves when each shows its first frame or has failed. False if superseded.
  async load(sources, fps) {
    this.clear();
    this.fps = fps;
    const mine = this.loads;
    await Promise.all(this.videos.map((video, side) => this.#open(video, sources[side], side, mine)));
    return mine === this.loads;
  }

  #open(video, source, side, mine) {
    return new Promise((done) => {
      const settle = (event) => {
        video.removeEventListener("loadeddata", settle);
        video.removeEventListener("error", settle);
        if (event.type === "error" && mine === this.loads) this.broken[side] = true;
        done();
      };
      video.addEventListener("loadeddata", settle);
      video.addEventListener("error", settle);
      video.src = source;
      video.load();
    });
  }

  get usable() {
    return this.videos.filter((video, side) => !this.broken[side] && video.duration > 0);
  }

  get duration() {
    return Math.max(0, ...this.usable.map((video) => video.duration));
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
    this.usable.forEach((video) => video.pause());
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
    this.seek((there + 0.5) / this.fps);
  }

  seek(time) {
    this.time = Math.min(Math.max(0, time), this.duration);
    this.last = null;
    this.usable.forEach((video) => this.#move(video, this.time));
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
    const [left, right] = this.played.map((buckets) => buckets.size / BUCKETS);
    return { left, right, replays: this.replays, speed: this.speed };
  }

  #move(video, time) {
    const end = Math.max(0, video.duration - 0.5 / this.fps);
    video.currentTime = Math.min(time, end);
  }

  #rewind() {
    this.time = 0;
    this.last = null;
    this.usable.forEach((video) => this.#move(video, 0));
    this.changed();
  }

  #over(video) {
    return this.time >= video.duration;
  }

  #tick(now) {
    if (!this.playing) return;
    const running = this.usable.filter((video) => !this.#over(video));
    const waiting = running.filter((video) => video.seeking || video.readyState < READY);
    if (waiting.length) {
      this.last = null;
      running.forEach((video) => (waiting.includes(video) ? this.#run(video) : video.pause()));
      return;
    }
    this.time += this.last === null ? 0 : ((now - this.last) / 1000) * this.speed;
    this.last = now;
    if (this.#finished()) return this.#finish();
    this.usable.forEach((video) => this.#hold(video));
    this.#remember();
    this.changed();
  }

  // The clock is past the end, and every video has shown its last frame (or is hopelessly late).
  #finished() {
    const late = this.time - this.duration;
    return late > PATIENCE || (late >= 0 && this.usable.every((video) => video.ended));
  }

  #finish() {
    this.#remember();
    if (!this.loop) return this.pause();
    this.replays += 1;
    this.#rewind();
  }

  #run(video) {
    if (video.paused) video.play().catch(() => {}); // a pause in between rejects it: no matter
  }

  #hold(video) {
    if (this.#over(video)) {
      if (video.paused && !video.ended) this.#move(video, video.duration);
      return; // otherwise it runs on to its last frame and stops there by itself
    }
    this.#run(video);
    const off = video.currentTime - this.time;
    if (Math.abs(off) > MOVE_FROM * Math.max(1, this.speed)) this.#move(video, this.time);
    const nudge = Math.abs(off) < NUDGE_FROM ? 0 : Math.max(-0.2, Math.min(0.2, off * 4));
    video.playbackRate = this.speed * (1 - nudge);
  }

  #remember() {
    this.videos.forEach((video, side) => {
      if (this.broken[side] || !video.duration) return;
      const part = Math.min(this.time / video.duration, 0.999);
      this.played[side].add(Math.floor(part * BUCKETS));
    });
  }
}
