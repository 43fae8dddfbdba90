"""Records without clips on disk, for tests that ask what is counted and never play anything."""

from __future__ import annotations

import hashlib
import itertools

from data.records import Candidate, Pair, Prompt, Vote

_numbers = itertools.count()


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def clip(name: str, prompt: Prompt, *, fps: float = 8.0) -> Candidate:
    return Candidate(
        sha256=sha(name), prompt=prompt.id, path=f"/{name}", model="m",
        fps=fps, frames=4, width=8, height=8,
    )  # fmt: skip


def scene(number: int, **of_pair) -> tuple[Prompt, Candidate, Candidate, Pair]:
    """A prompt, its two clips and their pair."""
    prompt = Prompt(text=f"prompt {number}")
    two = [clip(f"{number}/{which}", prompt, fps=8.0 + 8 * which) for which in range(2)]
    pair = Pair.of(two[0].sha256, two[1].sha256, prompt=prompt.id, **of_pair)
    return prompt, two[0], two[1], pair


def vote(pair: Pair, who: str, answer: str = "a", **rest) -> Vote:
    """An answer: a, b, tie, skip, or undo."""
    preferred = {"a": pair.a, "b": pair.b}.get(answer)
    fields = {"id": f"vote-{next(_numbers)}", "left": pair.a, "right": pair.b, **rest}
    outcome = "preference" if preferred else answer
    return Vote(pair=pair.id, annotator=who, outcome=outcome, preferred=preferred, **fields)
