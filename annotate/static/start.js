// Begins the page: picks the language, puts its markup in place, and listens to the person.

import { remembered } from "./dom.js";
import { farewell } from "./outbox.js";
import { Page } from "./page.js";

let only; // the page that listens: a second start (Gradio made the component anew) replaces it

export function start(element) {
  only?.abort();
  only = new AbortController();
  const root = speak(element);
  const page = new Page(root);
  listen(page, root, only.signal);
  only.signal.addEventListener("abort", () => {
    page.player.pause();
    clearTimeout(page.timer);
  });
  page.desk.begin();
}

// The markup in the person's language: `?lang=`, their own setting, the app's, the browser's.
function speak(element) {
  const frame = element.querySelector(".sl-languages");
  const has = (language) => frame.querySelector(`template[lang="${language}"]`);
  const wanted = [
    new URLSearchParams(location.search).get("lang"),
    remembered("language"),
    frame.dataset.language, // "auto" is none
    ...navigator.languages.map((tag) => tag.split("-")[0]),
    "en",
  ];
  const language = wanted.find((one) => one && /^\w+$/.test(one) && has(one));
  document.documentElement.lang = language;
  element.querySelector("#second-look")?.remove();
  frame.after(has(language).content.cloneNode(true));
  return element.querySelector("#second-look");
}

function listen(page, root, signal) {
  const on = (target, event, act) => target.addEventListener(event, act, { signal });
  const { player, stage } = page;
  let played = false; // when the page was hidden
  on(document, "keydown", (event) => page.acts.key(event));
  on(document, "visibilitychange", () => {
    if (document.hidden) played = player.playing;
    if (document.hidden) player.pause();
    else if (played && !page.dialogs.open) player.play();
  });
  on(window, "pagehide", () => page.state === "pair" && farewell("api/leave"));
  on(window, "pageshow", (event) => event.persisted && page.desk.look());
  on(root, "click", (event) => page.acts.click(event));
  on(stage.scrub, "pointerdown", () => player.pause());
  on(stage.scrub, "input", () => player.seek(stage.scrub.value * player.duration));
  on(stage.scrub, "pointerup", () => stage.scrub.blur()); // the arrow keys vote again
  const campaigns = root.querySelector(".sl-campaign");
  on(campaigns, "change", () => {
    campaigns.blur();
    page.desk.switchTo(campaigns.value);
  });
}
