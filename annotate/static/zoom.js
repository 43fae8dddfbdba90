// One zoom for both clips: the same part of both, moved together by dragging, by a click on what
// should be in the middle, or by the arrow keys while the enlarged clips have the focus.

const STEPS = [1, 2, 4];
const CLICK = 4; // pixels that a pointer may wander and still have clicked
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const STRIDE = 0.1; // of the frame, per arrow key

export class Zoom {
  constructor(stage, name, changed) {
    this.stage = stage;
    this.name = name; // what the enlarged clips are called
    this.changed = changed;
    this.reset();
    stage.addEventListener("pointerdown", (event) => this.#drag(event));
    stage.addEventListener("dblclick", (event) => this.#enter(event));
    stage.addEventListener("keydown", (event) => this.#stride(event));
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
  #enter(event) {
    const frame = event.target.closest(".sl-frame");
    if (!frame) return;
    if (this.scale > 1) return this.reset();
    const { x, y } = spot(event, frame);
    this.scale = 2;
    this.x = (0.5 - x) * this.scale;
    this.y = (0.5 - y) * this.scale;
    this.#apply();
  }

  // A click while enlarged: this point to the middle.
  #centre(event, frame) {
    const { x, y } = spot(event, frame);
    this.x += 0.5 - x;
    this.y += 0.5 - y;
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
    const stop = (up) => {
      frame.removeEventListener("pointermove", move);
      const wandered = Math.hypot(up.clientX - down.clientX, up.clientY - down.clientY);
      if (up.type === "pointerup" && wandered < CLICK && up.detail < 2) this.#centre(up, frame);
    };
    frame.setPointerCapture(down.pointerId);
    frame.addEventListener("pointermove", move);
    frame.addEventListener("pointerup", stop, { once: true });
    frame.addEventListener("pointercancel", stop, { once: true });
  }

  #stride(event) {
    const way = ARROWS[event.key];
    if (!way || event.target !== this.stage) return;
    event.preventDefault();
    this.x += STRIDE * way[0];
    this.y += STRIDE * way[1];
    this.#apply();
  }

  #apply() {
    const most = (this.scale - 1) / 2;
    this.x = Math.min(most, Math.max(-most, this.x));
    this.y = Math.min(most, Math.max(-most, this.y));
    this.stage.style.setProperty("--zoom", this.scale);
    this.stage.style.setProperty("--pan-x", `${100 * this.x}%`);
    this.stage.style.setProperty("--pan-y", `${100 * this.y}%`);
    const zoomed = this.scale > 1;
    this.stage.classList.toggle("sl-zoomed", zoomed);
    this.#announce(zoomed);
    this.changed(this.scale);
  }

  // Enlarged, the clips are one more stop of the Tab key, with a name.
  #announce(zoomed) {
    const set = (name, value) =>
      zoomed ? this.stage.setAttribute(name, value) : this.stage.removeAttribute(name);
    set("tabindex", "0");
    set("role", "group");
    set("aria-label", this.name);
  }
}

function spot(event, frame) {
  const box = frame.getBoundingClientRect();
  return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
}
