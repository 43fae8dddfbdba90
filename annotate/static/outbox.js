// What goes to the server, and gets there. A vote or an undo is kept in the browser (it survives a
// reload) and sent again until the server has acknowledged it; its id, minted once, makes a repeat
// count once. A refusal (4xx) is final: repeating cannot help.

import { remember, remembered } from "./dom.js";

const PAUSES = [300, 700, 1500, 3000, 5000]; // milliseconds between attempts; the last one repeats
const PATIENCE = 10000; // milliseconds for one attempt
const LATER = [401, 429]; // not refused for good: after signing in, or after a while

export class Refusal extends Error {
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}

// A UUID; `crypto.randomUUID` exists on https and localhost only, and the app may be on neither.
export function mint() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte, at) => {
    const fixed = at === 6 ? (byte & 15) | 64 : at === 8 ? (byte & 63) | 128 : byte;
    return fixed.toString(16).padStart(2, "0");
  }).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export async function ask(path, body) {
  const language = { "accept-language": document.documentElement.lang };
  const answer = await fetch(new URL(path, document.baseURI), {
    method: body ? "POST" : "GET",
    headers: body ? { "content-type": "application/json", ...language } : language,
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const told = await answer.json().catch(() => ({}));
  const why = typeof told.detail === "string" ? told.detail : answer.statusText;
  if (answer.status >= 400 && answer.status < 500) throw new Refusal(answer.status, why);
  throw new Error(why);
}

// Say something while the page is going away; nobody waits for an answer.
export function farewell(path) {
  const nothing = new Blob(["{}"], { type: "application/json" });
  navigator.sendBeacon(new URL(path, document.baseURI), nothing);
}

// Send until acknowledged. `waiting(true)` is told once the first attempt has failed.
export async function deliver(path, body, waiting) {
  remember("waiting", { path, body });
  for (let attempt = 0; ; attempt += 1) {
    try {
      const answer = await ask(path, body);
      remember("waiting", null);
      if (attempt) waiting(false);
      return answer;
    } catch (problem) {
      const refused = problem instanceof Refusal;
      if (refused && !LATER.includes(problem.status)) remember("waiting", null);
      if (refused && problem.status !== 429) throw problem;
      waiting(true);
      await new Promise((go) => setTimeout(go, PAUSES[Math.min(attempt, PAUSES.length - 1)]));
    }
  }
}

// What an earlier page could not deliver, or null.
export const kept = () => remembered("waiting");
