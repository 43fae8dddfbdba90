"""Sample clips before and after training, at the same prompts and the same seeds, side by side.

`samples/before-1.mp4`, `samples/after-1.mp4` and so on, and `samples/sheet.png`: one row per
prompt, left the reference, right the policy, frames at even distances. Left out on purpose: any
score of them; that is what `train.compare` is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from data import video
from train.models import SampleSettings
from train.policy import Policy
from train.rollout import clip_seed, generate

_COLUMNS, _LEAST_SIDE, _GAP, _STRIP = 5, 96, 12, 22
_INK, _PAPER = (60, 60, 60), 255


def before_after(
    policy: Policy, prompts: Sequence[str], settings: SampleSettings, folder: Path, *, seed: int
) -> Path:
    """Samples one clip per prompt without and with the adapter; returns the contact sheet.

    Args:
        policy: Trained.
        prompts: One row each.
        settings: Size, steps and guidance.
        folder: That the clips go to; made if needed.
        seed: The same prompt and seed start from the same noise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [clip_seed(seed, prompt, 0) for prompt in prompts]
    made: dict[str, list[UInt8[np.ndarray, "t h w 3"]]] = {}
    for name, within in (("before", policy.reference()), ("after", nullcontext())):
        with within:
            made[name] = list(generate(policy.model, prompts, seeds, settings, batch=len(prompts)))
        for number, frames in enumerate(made[name], start=1):
            video.write(folder / f"{name}-{number}.mp4", frames, settings.fps, lossless=False)
    path = folder / "sheet.png"
    rows = [
        row(prompt, before, after)
        for prompt, before, after in zip(prompts, made["before"], made["after"], strict=True)
    ]
    cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))
    return path


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
