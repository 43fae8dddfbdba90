"""Is a thing absent: object removal by a YOLOS detector (VADER's reward, Fang et al. 2021).

`load("yolos", target="cat")`. The frames go in with a height of 512 px (bilinear, no antialias,
ImageNet normalisation), as in VADER; the processor of the hub uses 800 px, and its scores differ.
Two forms by name:

- `smooth` (default): per frame -log of the sum over all queries of P(target), mean over frames. It
  has a gradient wherever the detector sees a trace, and splitting one object over many weak boxes
  gains nothing.
- `paper`: 1 minus the mean score of the detections of the target whose best class it is and whose
  score exceeds 0.2, per frame, mean over frames; 1 where nothing is detected. No gradient is left
  once nothing is detected. VADER forgets all earlier frames at one without a detection; here each
  frame counts.

The prompt plays no part. Left out on purpose: Grounding DINO.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from data.errors import UserError
from scorers import resize, weights
from scorers.chunks import per_frame
from scorers.nets.stored import frozen, pretrained
from scorers.protocol import Card, Measure

WEIGHTS = ("yolos",)
CARD = Card(
    summary="a thing is not in the frames (YOLOS; VADER's object removal); option target",
    ranges={"absence": (-10.0, float("inf"))},
    differentiable=True,
    weights=WEIGHTS[0],
    licence="Apache-2.0",
)
HEIGHT, DETECTED = 512, 0.2  # px, score: VADER
_FRAMES_AT_ONCE = 4


def scorer(network: Any, target: str, form: str, height: int = HEIGHT) -> Measure:
    """The scorer with this `YolosForObjectDetection`, for the absence of one thing.

    Args:
        network: the detector.
        target: a class that it knows; upper and lower case do not matter.
        form: a name in `FORMS`.
        height: that frames go in with, px.

    Raises:
        UserError: the detector knows no such class, or no such form.
    """
    name = target.casefold()
    classes = {str(one).casefold(): int(at) for at, one in network.config.id2label.items()}
    if name not in classes:
        raise UserError(f"yolos knows no {target!r}; it knows {', '.join(sorted(classes))}")
    if form not in FORMS:
        raise UserError(f"yolos has no form {form!r}; there are {' and '.join(FORMS)}")

    def absence(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        return FORMS[form](_logits(network, frames, height).float(), classes[name])

    def values(frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b d"]:
        return per_frame(absence, frames, _FRAMES_AT_ONCE).mean(1, keepdim=True)

    return Measure(name="yolos", version=f"1-{form}-{name}", card=CARD, values=values)


def _logits(network: Any, frames: Float[Tensor, "n 3 h w"], height: int) -> Float[Tensor, "n q k"]:
    size = (height, round(frames.shape[3] * height / frames.shape[2]))
    small = F.interpolate(frames, size, mode="bilinear", align_corners=False)
    seen = resize.normalised(small, resize.IMAGENET_MEAN, resize.IMAGENET_STD)
    return network(seen.to(network.device, network.dtype)).logits


def unlikely(logits: Float[Tensor, "n q k"], target: int) -> Float[Tensor, " n"]:
    """-log sum over queries of P(target); the last class is "no object"."""
    return -logits.log_softmax(-1)[..., target].logsumexp(-1)


def undetected(logits: Float[Tensor, "n q k"], target: int) -> Float[Tensor, " n"]:
    """1 - mean score of the target's detections; 1 without any."""
    score, best = logits.softmax(-1)[..., :-1].max(-1)
    there = (best == target) & (score > DETECTED)
    total = torch.where(there, score, torch.zeros_like(score)).sum(-1)
    return 1 - total / there.sum(-1).clamp(min=1)


FORMS = {"smooth": unlikely, "paper": undetected}
"""Logits and class to the absence per frame, by name."""


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None,
    target: str = "person", form: str = "smooth",
) -> Measure:  # fmt: skip
    """The reward with its published weights, for the absence of `target`."""
    from transformers import YolosForObjectDetection

    folder = weights.find(WEIGHTS[0], weights_dir)
    network = pretrained(YolosForObjectDetection.from_pretrained, folder)
    return scorer(frozen(network, device, dtype), target, form)
