"""A small real database for the tests of the page: clips made here, scores chosen by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data import clips, video
from data.omniscore import PROFILES
from data.records import Candidate, Pair, Prompt, Record, Score

MODEL = "SecretModel-9000"
ADAPTER = "secret-adapter"
SEED = 987654321


def disc(
    colour: tuple[int, int, int], *, frames: int = 12, size: int = 96, speed: int = 5
) -> np.ndarray:
    """A disc that moves to the right: uint8 `t h w 3`."""
    rows, columns = np.mgrid[:size, :size]
    film = np.full((frames, size, size, 3), (228, 224, 216), np.uint8)
    for time, picture in enumerate(film):
        inside = (rows - size // 2) ** 2 + (columns - 15 - speed * time) ** 2 < (size // 7) ** 2
        picture[inside] = colour
    return film


def scores(clip: str, level: float, profile: str = "lite") -> Iterator[Score]:
    """One raw value per dimension of the profile, at `level` of its range."""
    for row in PROFILES[profile].dimensions:
        value = row.low + level * (row.high - row.low)
        yield Score(candidate=clip, scorer=row.scorer, version="1", dimension=row.key, value=value)


def fill(db: Path, prompts: int, *, scored: bool = True, profile: str = "lite") -> list[Record]:
    """Two clips and their pair per prompt; even prompts prefer the first clip, by 0.2."""
    db.parent.mkdir(parents=True, exist_ok=True)
    made: list[Record] = []
    for number in range(prompts):
        prompt = Prompt(text=f"A disc numbered {number} that rolls to the right.")
        two = [_clip(db, prompt, number, which) for which in range(2)]
        levels = (0.7, 0.5) if number % 2 == 0 else (0.5, 0.7)
        made += [prompt, *two]
        if scored:
            for clip, level in zip(two, levels, strict=True):
                made += scores(clip.sha256, level, profile)
        made.append(_pair(prompt, two, profile if scored else ""))
    return made


def _clip(db: Path, prompt: Prompt, number: int, which: int) -> Candidate:
    colour = tuple(hashlib.sha256(f"{number}/{which}".encode()).digest()[:3])
    path = db.parent / f"secret-file-{number}-{which}.mkv"
    video.write(path, disc(colour, speed=4 + 2 * which), 8.0, lossless=True)
    return clips.admit(
        db,
        path,
        prompt=prompt,
        model=MODEL,
        adapter=ADAPTER,
        seed=SEED + number,
        settings={"steps": 7},
    )


def _pair(prompt: Prompt, two: list[Candidate], profile: str) -> Pair:
    return Pair.of(two[0].sha256, two[1].sha256, prompt=prompt.id, profile=profile, strategy="test")
