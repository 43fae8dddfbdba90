// The first image that both clips were made from (image-to-video): small beside the prompt, large in
// a dialog. Its place has one size, whatever loads; an image that cannot be shown leaves a line there.

import { source } from "./clips.js";
import { make } from "./dom.js";

export class FirstImage {
  constructor(root, words, dialogs) {
    this.words = words;
    this.dialogs = dialogs;
    this.dialog = dialogs.find("image");
    this.place = root.querySelector(".sl-given > .sl-first");
    this.button = this.place.querySelector("button");
    this.gone = this.place.querySelector("p");
  }

  // Of a new pair; null: it has none. A new element each time: the old picture must not stand beside
  // the new prompt until the new one has come.
  show(address) {
    this.address = address;
    this.place.hidden = !address;
    this.#fail(false);
    this.button.replaceChildren(...(address ? [this.#picture(address)] : []));
  }

  #picture(address) {
    const failed = () => this.address === address && this.#fail(true);
    return picture(address, this.words.image, failed);
  }

  #fail(failed) {
    this.button.hidden = failed;
    this.gone.hidden = !failed;
  }

  enlarge() {
    this.dialog.querySelector("img").replaceWith(picture(this.address, this.words.image));
    this.dialogs.show("image");
  }
}

// A small one in a list.
export function firstImage(address, words) {
  const place = make("div", "sl-first");
  const gone = () => place.replaceChildren(make("p", "sl-quiet", words.image_gone));
  place.append(picture(address, words.image, gone));
  return place;
}

function picture(address, alt, failed = () => {}) {
  const image = make("img", "", undefined, { alt, decoding: "async" });
  image.addEventListener("error", failed);
  image.src = source(address);
  return image;
}
