"""A small database whose clips the tiny model can be trained on: what comes before `train.dpo`."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np

from data import video
from data.omniscore import PROFILES
from data.records import Candidate, Outcome, Pair, Prompt, Score, Split, Vote
from data.store import Store
from tests.train import tiny


def prompt(index: int, split: Split = "train") -> Prompt:
    """A caption that no other index has."""
    colour, side = ("red", "blue")[index % 2], ("left", "right")[index % 3 // 2]
    return Prompt(text=f"a {colour} circle moving {side} {index}", split=split)


def clip(folder: Path, made_for: Prompt, seed: int, *, size: tuple[int, int]) -> Candidate:
    """A lossless clip (width, height) of a bar that grows over noise."""
    width, height = size
    frames = np.random.default_rng(seed).integers(0, 60, (tiny.FRAMES, height, width, 3), np.uint8)
    for t in range(tiny.FRAMES):
        frames[t, 4:9, t : t + 5, seed % 3] = 200
    path = folder / f"{seed}.mkv"
    video.write(path, frames, 8.0, lossless=True)
    return Candidate(
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(), prompt=made_for.id, path=str(path),
        model="tiny", seed=seed, fps=8.0, frames=tiny.FRAMES, width=width, height=height,
    )  # fmt: skip


def build(
    folder: Path, prompts: list[Prompt], *, size: tuple[int, int] = (tiny.SIZE, tiny.SIZE)
) -> Path:
    """A database of one pair per prompt, whose second clip OmniScore calls the best."""
    folder.mkdir(parents=True, exist_ok=True)
    db = folder / "prefs.duckdb"
    with Store.open(db, create=True) as store:
        for i, one in enumerate(prompts):
            worse, better = (clip(folder, one, 2 * i + k, size=size) for k in (0, 1))
            pair = Pair.of(
                worse.sha256, better.sha256, prompt=one.id, best=better.sha256, profile="lite",
                margin=0.1,
            )  # fmt: skip
            store.add([one, worse, better, pair])
    return db


def vote(db: Path, outcome: Outcome = "preference", *, people: int = 1) -> None:
    """Everybody prefers the clip that OmniScore calls the worst (or ties)."""
    with Store.own(db) as owner:
        for pair in owner.all("pairs"):
            assert isinstance(pair, Pair)
            for person in range(people):
                owner.vote(
                    Vote(
                        id=f"{pair.id}-{person}", pair=pair.id, annotator=f"p{person}",
                        left=pair.a, right=pair.b, outcome=outcome,
                        preferred=pair.worst if outcome == "preference" else None,
                    )
                )  # fmt: skip


def real(manifest: Path) -> dict[str, list[Candidate]]:
    """The twelve real clips (GIF, 512x320), two per prompt."""
    made: dict[str, list[Candidate]] = {}
    for row in csv.DictReader(manifest.open()):
        path = manifest.parent / row["video"]
        found = video.probe(path)
        one = Candidate(
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(), path=str(path),
            prompt=Prompt(text=row["prompt"]).id, model=row["model"], fps=found.fps,
            frames=found.frames, width=found.width, height=found.height,
        )  # fmt: skip
        made.setdefault(row["prompt"], []).append(one)
    return made


def score(db: Path, totals: list[float]) -> None:
    """Gives the i-th clip (by seed) a value in every dimension of `lite`."""
    with Store.open(db) as store:
        clips = sorted(store.all("candidates"), key=lambda made: getattr(made, "seed", 0))
        store.add(
            Score(candidate=made.id, scorer=row.scorer, version="1", dimension=row.key, value=value)
            for made, value in zip(clips, totals, strict=True)
            for row in PROFILES["lite"].dimensions
        )
