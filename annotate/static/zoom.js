// One zoom for both clips: the same part of both, moved together.

const STEPS = [1, 2, 4];

export class Zoom {
  constructor(stage, changed) {
    this.stage = stage;
    this.changed = changed;
    this.reset();
    stage.addEventListener("pointerdown", (event) => this.#drag(event));
    stage.addEventListener("dblclick", (event) => this.#at(event));
  }

  reset() {
    this.scale = 1;
    this.x = this.y = 0; // the shift, in widths and heights of the frame
    this.#apply();
  }

  next() {
    this.scale = STEPS[(STEPS.indexOf(this.scale) + 1) % STEPS.length];
    this.#apply();
  }

  // A double click: nearer, with the point that was hit in the middle; or all the way out.
  #at(event) {
    const frame = event.target.closest(".sl-frame");
    if (!frame) return;
    if (this.scale > 1) return this.reset();
    const box = frame.getBoundingClientRect();
    this.scale = 2;
    this.x = (0.5 - (event.clientX - box.left) / box.width) * this.scale;
    this.y = (0.5 - (event.clientY - box.top) / box.height) * this.scale;
    this.#apply();
  }

  #drag(down) {
    const frame = down.target.closest(".sl-frame");
    if (!frame || this.scale === 1) return;
    const box = frame.getBoundingClientRect();
    const from = { x: this.x - down.clientX / box.width, y: this.y - down.clientY / box.height };
    const move = (event) => {
      this.x = from.x + event.clientX / box.width;
      this.y = from.y + event.clientY / box.height;
      this.#apply();
    };
    frame.setPointerCapture(down.pointerId);
    frame.addEventListener("pointermove", move);
    const stop = () => frame.removeEventListener("pointermove", move);
    frame.addEventListener("pointerup", stop, { once: true });
    frame.addEventListener("pointercancel", stop, { once: true });
  }

  #apply() {
    const most = (this.scale - 1) / 2;
    this.x = Math.min(most, Math.max(-most, this.x));
    this.y = Math.min(most, Math.max(-most, this.y));
    this.stage.style.setProperty("--zoom", this.scale);
    this.stage.style.setProperty("--pan-x", `${100 * this.x}%`);
    this.stage.style.setProperty("--pan-y", `${100 * this.y}%`);
    this.stage.classList.toggle("sl-zoomed", this.scale > 1);
    this.changed(this.scale);
  }
}
