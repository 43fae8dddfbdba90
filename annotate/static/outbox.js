// What goes to the server, and gets there. A vote or an undo is kept in the browser (it survives a
// reload) and sent again until the server has acknowledged it; its id, minted once, makes a repeat
// count once. A refusal (4xx) is final: repeating cannot help.

const KEPT = "second-look.waiting";
const PAUSES = [300, 700, 1500, 3000, 5000]; // milliseconds between attempts; the last one repeats
const PATIENCE = 10000; // milliseconds for one attempt

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
  const answer = await fetch(new URL(path, document.baseURI), {
    method: body ? "POST" : "GET",
    headers: body ? { "content-type": "application/json" } : {},
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({}));
  const why = typeof told.detail === "string" ? told.detail : answer.statusText;
  if (answer.status >= 400 && answer.status < 500) throw new Refusal(answer.status, why);
  throw new Error(why);
}

// Send until acknowledged. `waiting(true)` is told once the first attempt has failed.
export async function deliver(path, body, waiting) {
  localStorage.setItem(KEPT, JSON.stringify({ path, body }));
  for (let attempt = 0; ; attempt += 1) {
    try {
      const answer = await ask(path, body);
      localStorage.removeItem(KEPT);
      if (attempt) waiting(false);
      return answer;
    } catch (problem) {
      if (problem instanceof Refusal && problem.status !== 401) localStorage.removeItem(KEPT);
      if (problem instanceof Refusal) throw problem;
      waiting(true);
      await new Promise((go) => setTimeout(go, PAUSES[Math.min(attempt, PAUSES.length - 1)]));
    }
  }
}

// What an earlier page could not deliver, or null.
export function kept() {
  return JSON.parse(localStorage.getItem(KEPT) ?? "null");
}
