// Clips loaded ahead of time, so that the next pair is there at once: small ones are held whole (and
// keep playing if the server goes away), large ones are left to stream.

const WHOLE = 48e6; // bytes up to which a clip is held whole
const HELD = 9; // clips and first images; the oldest go first

const held = new Map();

export function preload(addresses) {
  for (const address of addresses) {
    if (held.has(address)) continue;
    held.set(address, null);
    fetchWhole(address).then(
      (url) => held.set(address, url),
      () => held.delete(address), // it will be streamed, and a real fault shows when it is played
    );
  }
}

// An address for a video element: the held clip, or the server's.
export function source(address) {
  return held.get(address) ?? new URL(address, document.baseURI).href;
}

// Forget the oldest, never those that are on the page.
export function tidy(inUse) {
  for (const [address, url] of held) {
    if (held.size <= HELD) return;
    if (!url || inUse.includes(address)) continue;
    URL.revokeObjectURL(url);
    held.delete(address);
  }
}

async function fetchWhole(address) {
  const answer = await fetch(new URL(address, document.baseURI));
  const size = Number(answer.headers.get("content-length"));
  if (!answer.ok || size > WHOLE) {
    await answer.body?.cancel();
    throw new Error(answer.statusText);
  }
  return URL.createObjectURL(await answer.blob());
}
