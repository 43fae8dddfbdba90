"""Does the clip show an action: probability of a Kinetics class by VideoMAE (VADER's reward).

`load("action", label="archery")`, or without a label: the class whose name stands in the prompt. A
prompt that names none cannot be judged (NaN). The clip is taken at 16 frames, linearly between its
own from the first to the last: the number that the network was trained with (VADER feeds 7, 12 or
14). Frames are squashed to 224 px (dialect `vader`), ImageNet normalisation.

The raw value is the softmax probability in [0, 1], from a log-softmax in float32: VADER's own sum
of exponentials overflows in half precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from data.errors import UserError
from scorers import resize, weights
from scorers.chunks import in_groups
from scorers.nets.stored import frozen, pretrained
from scorers.protocol import Card, check

WEIGHTS = ("videomae",)
CARD = Card(
    summary="probability of a Kinetics action (VideoMAE; VADER); option label, else in the prompt",
    ranges={"action": (0.0, 1.0)},
    differentiable=True,
    weights=WEIGHTS[0],
    licence="CC-BY-NC-4.0 (non-commercial)",
)


class Action:
    """The scorer `action`."""

    name = "action"
    dimensions = tuple(CARD.ranges)
    differentiable = CARD.differentiable

    def __init__(self, network: Any, label: str = "") -> None:
        """Finds the class of a `VideoMAEForVideoClassification`, where one is named.

        Raises:
            UserError: there is no such class.
        """
        names = {str(name).casefold(): int(at) for at, name in network.config.id2label.items()}
        if label and label.casefold() not in names:
            some = ", ".join(sorted(names)[:8])
            raise UserError(f"action knows no {label!r}; it knows {len(names)} such as {some}")
        self.version = f"1-{label.casefold()}" if label else "1"
        self._network, self._names, self._label = network, names, label.casefold()

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """The probability per clip; `fps` plays no part."""
        del fps
        check(frames)
        clips = resize.resampled(frames, self._network.config.num_frames)
        logits = in_groups(self._logits, clips, at_once=1).float().log_softmax(-1)
        classes = [self._class(prompt) for prompt in prompts]
        picked = [row[at].exp() if at is not None else row[0] * float("nan")
                  for row, at in zip(logits, classes, strict=True)]  # fmt: skip
        return torch.stack(picked)[:, None]

    def _logits(self, clips: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b k"]:
        small = resize.vader(clips.flatten(0, 1), self._network.config.image_size)
        seen = resize.normalised(small, resize.IMAGENET_MEAN, resize.IMAGENET_STD)
        batch = seen.unflatten(0, clips.shape[:2])
        return self._network(batch.to(self._network.device, self._network.dtype)).logits

    def _class(self, prompt: str) -> int | None:
        """The class that is asked for; of several in a prompt the longest name."""
        if self._label:
            return self._names[self._label]
        there = [name for name in self._names if name in prompt.casefold()]
        return self._names[max(there, key=len)] if there else None


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None,
    label: str = "",
) -> Action:  # fmt: skip
    """The reward with its published weights, for the action `label`."""
    from transformers import VideoMAEForVideoClassification

    folder = weights.find(WEIGHTS[0], weights_dir)
    network = pretrained(VideoMAEForVideoClassification.from_pretrained, folder)
    return Action(frozen(network, device, dtype), label)
