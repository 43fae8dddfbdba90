"""Arms of a comparison: what each is trained on, and its judged clips from common noise.

Every arm samples the same prompts from the same seeds, and from the same first images where the
model takes them, so that two clips differ because the adapters do. Clips are judged as they are
made, kept without loss in the comparison's folder, and dropped from memory.

Measures: OmniScore under a profile; for the built-in model the oracle of its world, which no label
and no reward has seen (`data.shapes.judge`); and the raw values of one further scorer, chosen
because no arm was trained on it. People judge in `train.comparison.panel`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import UInt8

import scorers
from data import shapes, video
from data.errors import UserError
from data.omniscore import aggregate
from data.profile import Profile
from data.records import Preference
from scorers.judging import opinions
from scorers.run import load_all
from train import models, policy
from train.comparison.duels import JUDGE, OMNISCORE, ORACLE, Sampled
from train.preference.labelled import Labelled
from train.sampling import first_image
from train.sampling.rollout import clip_seed, generate

if TYPE_CHECKING:
    import numpy as np

    from scorers.protocol import Scorer


@dataclass(frozen=True, kw_only=True)
class Common:
    """Two or more label sources on the same pairs, in the same order."""

    labelled: Mapping[str, Labelled]
    only: Mapping[str, int]
    """Labelled by this source but not by all, so left out."""
    opposed: int
    """Pairs on which not all sources choose the same clip."""

    @property
    def pairs(self) -> int:
        """How many pairs every source labels."""
        return len(next(iter(self.labelled.values())).preferences)


def common(labelled: Mapping[str, Labelled]) -> Common:
    """Keeps the pairs that every source labels; weights stay as they are.

    Raises:
        UserError: there is no such pair.
    """
    by_pair = {
        source: {label.pair: label for label in one.preferences} for source, one in labelled.items()
    }
    shared = set.intersection(*(set(labels) for labels in by_pair.values()))
    if not shared:
        counts = ", ".join(f"{source} {len(labels)}" for source, labels in by_pair.items())
        raise UserError(f"no pair is labelled by every arm ({counts}); vote on scored pairs first")
    chosen = [{labels[pair].chosen for labels in by_pair.values()} for pair in sorted(shared)]
    return Common(
        labelled={
            source: replace(
                one, preferences=_equal_mean([x for x in one.preferences if x.pair in shared])
            )
            for source, one in labelled.items()
        },
        only={source: len(labels) - len(shared) for source, labels in by_pair.items()},
        opposed=sum(len(clips) > 1 for clips in chosen),
    )


def _equal_mean(labels: Sequence[Preference]) -> tuple[Preference, ...]:
    """Weights with mean 1 over the pairs that are left, so that no arm takes larger steps."""
    mean = sum(label.weight for label in labels) / len(labels)
    return tuple(replace(label, weight=label.weight / mean) for label in labels)


def sampled(
    model_source: str,
    arms: Mapping[str, Path | None],
    prompts: Sequence[str],
    profile: Profile,
    folder: Path,
    *,
    samples: int,
    seed: int,
    batch: int,
    device: str = "auto",
    judge: str = "",
    begun: Mapping[str, Mapping[str, str]] | None = None,
) -> list[Sampled]:
    """Sample and judge every arm on every prompt.

    Args:
        model_source: as `train.models.load` takes it; loaded anew for every arm.
        arms: adapter by name; None is the model itself.
        prompts: that no arm was trained on.
        profile: of OmniScore.
        folder: that the clips are kept in, a folder per arm.
        samples: clips per prompt and arm.
        seed: of the noise, the same for every arm.
        batch: clips per pass.
        device: for model and scorers.
        judge: name of a scorer whose raw values are measures too; empty for none.
        begun: for image-to-video, what the clips of each prompt remember of their first image.
    """
    texts = [prompt for prompt in prompts for _ in range(samples)]
    indices = list(range(samples)) * len(prompts)
    seeds = [clip_seed(seed, text, index) for text, index in zip(texts, indices, strict=True)]
    judges: dict[str, Scorer] = {}
    further: Scorer | None = None
    found: list[Sampled] = []
    for place, (arm, adapter) in enumerate(arms.items()):
        model = models.load(model_source, device=device)
        if adapter is not None:
            policy.continue_from(model, adapter)
        judges = judges or load_all(profile, str(model.device))
        further = further or (scorers.load(judge, device=str(model.device)) if judge else None)
        settings = model.sample_defaults
        model.album = first_image.album(begun, settings) if begun else None
        frames = generate(model, texts, seeds, settings, batch=batch, title=arm)
        oracle = model.name == "shapes"
        panel = _Judge(profile, judges, settings.fps, model.device, oracle=oracle, further=further)
        name = re.sub(r"[^\w.-]+", "-", arm)  # an arm may be a path
        shelf = folder / f"{place}-{name}"
        shelf.mkdir(parents=True, exist_ok=True)
        for number, (clip, scores) in enumerate(panel.all(frames, texts, batch)):
            path = shelf / f"{number:04d}.mkv"
            video.write(path, clip, settings.fps, lossless=True)
            found.append(
                Sampled(
                    arm=arm,
                    prompt=texts[number],
                    index=indices[number],
                    path=str(path),
                    scores=scores,
                )
            )
    return found


@dataclass(frozen=True)
class _Judge:
    profile: Profile
    judges: Mapping[str, Scorer]
    fps: float
    device: torch.device
    oracle: bool
    further: Scorer | None

    def all(
        self, frames: Iterator[UInt8[np.ndarray, "t h w 3"]], prompts: Sequence[str], batch: int
    ) -> Iterator[tuple[UInt8[np.ndarray, "t h w 3"], dict[str, float]]]:
        """Every clip with its scores, `batch` at a time."""
        for start in range(0, len(prompts), batch):
            texts = prompts[start : start + batch]
            clips = [next(frames) for _ in texts]
            yield from zip(clips, self._batch(clips, texts), strict=True)

    def _batch(
        self, clips: Sequence[UInt8[np.ndarray, "t h w 3"]], texts: Sequence[str]
    ) -> list[dict[str, float]]:
        wanted = {(row.scorer, row.key) for row in self.profile.dimensions}
        asked = dict(self.judges)
        if self.further is not None:
            asked[self.further.name] = self.further  # if it is one of them, as it was loaded there
        rates = [self.fps] * len(texts)
        every = opinions(asked, clips, texts, rates, self.device)
        said = {name: _named(asked[name], rows) for name, rows in every.items()}
        raw: list[dict[str, float]] = [{} for _ in clips]
        for name in self.judges:
            for one, row in zip(raw, said[name], strict=True):
                one |= {key: value for key, value in row.items() if (name, key) in wanted}
        found = [
            self._scores(clip, text, one) for clip, text, one in zip(clips, texts, raw, strict=True)
        ]
        if self.further is not None:
            for one, row in zip(found, said[self.further.name], strict=True):
                one |= {f"{JUDGE}{self.further.name}, {key}": value for key, value in row.items()}
        return found

    def _scores(
        self, clip: UInt8[np.ndarray, "t h w 3"], text: str, raw: Mapping[str, float]
    ) -> dict[str, float]:
        omni = aggregate(raw, self.profile)
        scores = dict(omni.normalised)
        if omni.total is not None:
            scores[OMNISCORE] = omni.total
        if self.oracle and shapes.parse(text):
            scores[ORACLE] = float(shapes.judge(clip, text)["score"])
        return scores


def _named(judge: Scorer, rows: Sequence[Sequence[float]]) -> list[dict[str, float]]:
    """Raw values per clip by dimension; what could not be judged is absent."""
    return [
        {key: value for key, value in zip(judge.dimensions, row, strict=True)
         if math.isfinite(value)}
        for row in rows
    ]  # fmt: skip
