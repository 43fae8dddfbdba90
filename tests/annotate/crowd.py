"""Simulated annotators for the lead's pages: careful ones, a hasty one, one always left."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from data.records import Candidate, Decision, Pair, Prompt, Record, Run, Vote, digest

NASTY = (
    "<img src=x onerror=\"document.title='hacked'\"> {{value}} ${document.title='hacked'} "
    "\u202e\u05e9\u05dc\u05d5\u05dd \U0001f980 =HYPERLINK(1)"
)
"""A prompt that tries everything."""
MALICE = "<script>document.title='hacked'</script>"
"""A name that tries the rest."""
PEOPLE = ("ada", "bo", "cy", "hasty harry", "left larry", MALICE)
START_MS = 1_790_000_000_000


def pairs_of(records: Iterable[Record]) -> list[Pair]:
    """The pairs among records."""
    return [one for one in records if isinstance(one, Pair)]


def paper_world(prompts: int) -> list[Record]:
    """Prompts, clips that have no file, and their pairs: large worlds are made quickly."""
    made: list[Record] = []
    for number in range(prompts):
        prompt = Prompt(text=NASTY if number == 0 else f"Scene number {number} of a paper world.")
        two = [_clip(prompt, number, which) for which in range(2)]
        margin = 0.01 + 0.2 * ((number * 37 % 100) / 100)
        made += [prompt, *two]
        made.append(
            Pair.of(
                two[0].sha256, two[1].sha256, prompt=prompt.id, best=two[number % 2].sha256,
                profile="lite", margin=margin, strategy="best-worst",
            )
        )  # fmt: skip
    return made


def _clip(prompt: Prompt, number: int, which: int) -> Candidate:
    sha = digest("paper", number, which) * 2
    return Candidate(
        sha256=sha, prompt=prompt.id, path=f"/nowhere/{sha}.mp4", model=("alpha", "beta")[which],
        fps=8.0, frames=16, width=64, height=64,
    )  # fmt: skip


def votes(pairs: Iterable[Pair], number: int, *, seed: int = 0) -> Iterator[Vote]:
    """So many votes: blind ones with a reveal, shown ones, ties, skips, undos and edits."""
    draw, every = random.Random(seed), list(pairs)
    free = [(pair, who) for pair in every for who in PEOPLE]
    draw.shuffle(free)
    made, now = 0, START_MS
    for pair, who in free:
        for vote in _answer(draw, pair, who, now):
            now += 7_000
            yield vote
            made += 1
            if made == number:
                return


def _answer(draw: random.Random, pair: Pair, who: str, now: int) -> Iterator[Vote]:
    left, right = draw.sample([pair.a, pair.b], 2)
    exposure = "blind" if draw.random() < 0.4 and who != "hasty harry" else "shown"
    best = pair.best or pair.a
    worst = pair.b if best == pair.a else pair.a
    chosen = left if who == "left larry" else best if draw.random() < 0.68 else worst
    seconds = draw.uniform(0.4, 1.6) if who == "hasty harry" else draw.lognormvariate(2.2, 0.5)
    facts = {"pair": pair.id, "annotator": who, "left": left, "right": right, "seconds": seconds}
    kind = draw.random()
    outcome = "skip" if kind < 0.03 else "tie" if kind < 0.15 else "preference"
    if who in ("hasty harry", "left larry"):
        outcome = "preference"
    first = Vote(
        id=str(uuid.UUID(int=draw.getrandbits(128))), outcome=outcome, exposure=exposure,
        preferred=chosen if outcome == "preference" else None, time_ms=now,
        unusable=outcome == "tie" and kind < 0.06,
        reason=NASTY if kind > 0.985 else "", **facts,
    )  # fmt: skip
    yield first
    if exposure == "blind" and outcome == "preference":
        changed = best if draw.random() < 0.2 else chosen
        yield Vote(
            id=str(uuid.UUID(int=draw.getrandbits(128))), outcome="preference", preferred=changed,
            exposure="shown", revises=first.id, time_ms=now + 3_000,
            reason="keep" if changed == chosen else "change",
            **(facts | {"seconds": draw.lognormvariate(0.8, 0.4)}),
        )  # fmt: skip


def run_folder(folder: Path, *, clips: Iterable[Path] = ()) -> Run:
    """A finished run with a folder: curves, and clips before and after."""
    (folder / "samples").mkdir(parents=True)
    lines = [
        {
            "step": step,
            "split": "train",
            "loss": 0.69 - 0.002 * step,
            "accuracy": 0.5 + 0.003 * step,
        }
        for step in range(100)
    ]
    lines += [
        {"step": step, "split": "held-out", "loss": 0.69 - 0.0015 * step, "accuracy": 0.52}
        for step in range(0, 101, 25)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text + '{"step": 101, "lo')
    (folder / "config.json").write_text("{}")
    for number, clip in enumerate(clips):
        name = f"{('before', 'after')[number % 2]}-{number // 2 + 1}.mp4"
        (folder / "samples" / name).write_bytes(clip.read_bytes())
    return Run(
        id=digest("run", folder)[:12], kind="dpo", config={"steps": 100, "labels": MALICE},
        code="abc", snapshot=12, folder=str(folder), started_ms=START_MS,
        finished_ms=START_MS + 75_000, metrics={"loss": 0.49, "accuracy": 0.8},
    )  # fmt: skip


def exclusion(who: str) -> Decision:
    """The decision that leaves somebody out."""
    return Decision(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, who)), topic="person", subject=who,
        values={"counts": False}, by="ada", time_ms=START_MS,
    )  # fmt: skip
