"""Records for the store's tests."""

from __future__ import annotations

import uuid
from itertools import combinations
from typing import Any

from data.records import Candidate, Decision, Pair, Prompt, Record, Run, Score, Vote

PROMPT = Prompt(text="a small red circle moving left, שלום 🔴")


def sha(number: int) -> str:
    return f"{number:064x}"


def candidate(number: int, **changes: Any) -> Candidate:
    fields: dict[str, Any] = {
        "sha256": sha(number),
        "prompt": PROMPT.id,
        "path": f"/clips/{number}.mkv",
        "model": "shapes",
        "seed": number,
        "settings": {"steps": 4, "guidance": 1.5, "nested": {"list": [1, None, "x"]}},
        "fps": 8.0,
        "frames": 9,
        "width": 48,
        "height": 32,
    }
    return Candidate(**{**fields, **changes})


CANDIDATES = [candidate(number) for number in range(6)]
PAIRS = [
    Pair.of(
        one.sha256, other.sha256, prompt=PROMPT.id, best=one.sha256, margin=0.25, profile="lite"
    )
    for one, other in combinations(CANDIDATES, 2)
]
SCORES = [
    Score(candidate=one.sha256, scorer="classic", version="1", dimension=dimension, value=0.5)
    for one in CANDIDATES
    for dimension in ("motion_smoothness", "dynamic_degree")
]
RUN = Run(id="dpo-1", kind="dpo", config={"beta": 5000.0}, code="abc", started_ms=1)
WORLD: list[Record] = [PROMPT, *CANDIDATES, *SCORES, *PAIRS, RUN]


def vote(pair: Pair = PAIRS[0], annotator: str = "ann", **changes: Any) -> Vote:
    fields: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "pair": pair.id,
        "annotator": annotator,
        "left": pair.b,
        "right": pair.a,
        "outcome": "preference",
        "preferred": pair.b,
        "answers": {"motion": "left"},
        "watched": {"left": 1.0, "right": 0.5},
        "seconds": 3.25,
    }
    return Vote(**{**fields, **changes})


def excluded(who: str, *, counts: bool = False, time_ms: int = 7) -> Decision:
    """That somebody's votes do not count, or that they count again."""
    return Decision(
        id=str(uuid.uuid4()),
        topic="person",
        subject=who,
        values={"counts": counts},
        by="lead",
        time_ms=time_ms,
    )
