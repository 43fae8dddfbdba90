// Which parts of each clip were really played, in twentieths of its length.

const PARTS = 20;

export class Watched {
  constructor() {
    this.parts = [new Set(), new Set()];
    this.replays = 0; // how often both started again
  }

  // A stretch of clip `side` was seen, as shares of its length.
  saw(side, from, to) {
    if (!(to > from) || to <= 0 || from >= 1) return;
    const first = Math.max(0, Math.floor(from * PARTS));
    const last = Math.min(PARTS, Math.ceil(to * PARTS)) - 1;
    for (let part = first; part <= last; part += 1) this.parts[side].add(part);
  }

  share(side) {
    return this.parts[side].size / PARTS;
  }

  missing(side) {
    return 1 - this.share(side);
  }

  all(side) {
    return this.parts[side].size === PARTS;
  }
}
