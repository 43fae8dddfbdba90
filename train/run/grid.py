"""Sample clips of the reference and of the policy, at the same prompts and the same seeds.

`samples/before-1.mp4`, `samples/after-1.mp4` and so on, and `samples/sheet.png`: one row per
prompt, left the reference, right the policy, frames at even distances; while a run goes on,
`samples/step-000040.png` and the like. What clips lose first is measured beside those of the
reference: how much moves, how colourful they are, how much is burnt out
(`train.sampling.appearance`). Left out on purpose: any score of them; that is what
`train.compare` is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from data import video
from train.models import SampleSettings
from train.policy import Policy
from train.sampling.rollout import clip_seed, generate

_COLUMNS, _LEAST_SIDE, _GAP, _STRIP = 5, 96, 12, 22
_INK, _PAPER = (60, 60, 60), 255
_MEASURES = ("motion", "chroma", "saturated")


class Grid:
    """The same prompts and seeds, again and again; the reference's clips are made once."""

    def __init__(
        self,
        policy: Policy,
        prompts: Sequence[str],
        settings: SampleSettings,
        folder: Path,
        *,
        seed: int,
    ) -> None:
        """Samples nothing yet.

        Args:
            policy: While it is trained, or after.
            prompts: One row each, at least one.
            settings: Size, steps and guidance.
            folder: That sheets and clips go to; made if needed.
            seed: The same prompt and seed start from the same noise.
        """
        self._policy, self._prompts, self._settings = policy, prompts, settings
        self._folder = folder
        self._seeds = [clip_seed(seed, prompt, 0) for prompt in prompts]
        self._base: list[UInt8[np.ndarray, "t h w 3"]] = []

    def at(self, step: int) -> dict[str, float]:
        """The policy's clips after `step` updates: a sheet, and means over them.

        Returns:
            `motion`, `chroma` and `saturated` of the policy, each in [0, 1], and those of the
            reference as `motion_base` and so on.
        """
        clips = self._sampled()
        self._sheet(clips, self._folder / f"step-{step:06d}.png")
        base = {f"{name}_base": value for name, value in _means(self._reference()).items()}
        return _means(clips) | base

    def last(self) -> Path:
        """Clips and sheet of a finished run; returns the sheet."""
        clips = self._sampled()
        for name, some in (("before", self._reference()), ("after", clips)):
            for number, frames in enumerate(some, start=1):
                path = self._folder / f"{name}-{number}.mp4"
                video.write(path, frames, self._settings.fps, lossless=False)
        return self._sheet(clips, self._folder / "sheet.png")

    def _reference(self) -> list[UInt8[np.ndarray, "t h w 3"]]:
        if not self._base:
            with self._policy.reference():
                self._base = self._sampled()
        return self._base

    def _sampled(self) -> list[UInt8[np.ndarray, "t h w 3"]]:
        self._folder.mkdir(parents=True, exist_ok=True)
        return list(
            generate(
                self._policy.model, self._prompts, self._seeds, self._settings,
                batch=len(self._prompts),
            )
        )  # fmt: skip

    def _sheet(self, clips: Sequence[UInt8[np.ndarray, "t h w 3"]], path: Path) -> Path:
        each = zip(self._prompts, self._reference(), clips, strict=True)
        pixels = np.concatenate([row(prompt, before, after) for prompt, before, after in each])
        cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        return path


def _means(clips: Sequence[UInt8[np.ndarray, "t h w 3"]]) -> dict[str, float]:
    """What is measured of clips, as means over them."""
    from train.sampling.appearance import measured  # here: it loads scorers

    frames = torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3).float() / 255
    values = measured(frames)
    return {name: values[name].double().mean().item() for name in _MEASURES}


def row(
    prompt: str, before: UInt8[np.ndarray, "t h w 3"], after: UInt8[np.ndarray, "t h w 3"]
) -> UInt8[np.ndarray, "rows columns 3"]:
    """One row of the sheet: the prompt, frames before, a gap, frames after."""
    left, right = _strip(before), _strip(after)
    gap = np.full((len(left), _GAP, 3), _PAPER, np.uint8)
    frames = np.concatenate([left, gap, right], axis=1)
    title = np.full((_STRIP, frames.shape[1], 3), _PAPER, np.uint8)
    text = f"{prompt}   (left: before, right: after)"
    cv2.putText(title, text, (4, _STRIP - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return np.concatenate([title, frames])


def _strip(frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "rows columns 3"]:
    """A few frames side by side, small ones enlarged without smoothing."""
    pick = np.linspace(0, len(frames) - 1, min(_COLUMNS, len(frames))).round().astype(int)
    times = max(1, -(-_LEAST_SIDE // min(frames.shape[1:3])))
    chosen = frames[pick].repeat(times, axis=1).repeat(times, axis=2)
    return np.concatenate(list(chosen), axis=1)
