"""Overall consistency as VBench measures it: does the clip show what its prompt says (ViCLIP).

The cosine of ViCLIP's clip and text embeddings, without a logit scale; practically 0.15 to 0.35.
Eight frames from the middles of eight equal parts of the clip, dialect `vbench-uint8` at 224 px,
CLIP's normalisation (demos of InternVid use ImageNet's, and their numbers do not compare). The text
is cut at 32 tokens.

VBench keeps text features in a cache that all models of a process share; here nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scorers import resize, weights
from scorers.features import cosine
from scorers.nets.stored import fill, frozen, tensors
from scorers.nets.viclip import ViClip as Network
from scorers.protocol import Card, check

WEIGHTS = ("viclip",)
CARD = Card(
    summary="text-video cosine of ViCLIP, 8 frames (VBench's overall consistency)",
    ranges={"alignment": (-1.0, 1.0)},
    differentiable=True,
    weights=WEIGHTS[0],
    licence="MIT",
)
Tokenize = Callable[[list[str]], Int[Tensor, "b n"]]


class ViClip:
    """The scorer `viclip`."""

    name, version = "viclip", "2"
    dimensions = tuple(CARD.ranges)
    differentiable = CARD.differentiable

    def __init__(self, network: Network, tokenize: Tokenize) -> None:
        self._network, self._tokenize = network, tokenize

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """Cosine of clip and prompt; `fps` plays no part."""
        del fps
        check(frames)
        sizes, kept = self._network.sizes, self._network.temp
        eight = frames[:, middles(frames.shape[1], sizes.frames)]
        small = resize.vbench_uint8(eight.flatten(0, 1), sizes.side)
        seen = resize.normalised(small, resize.CLIP_MEAN, resize.CLIP_STD)
        clips = seen.unflatten(0, eight.shape[:2]).to(kept.device, kept.dtype)
        texts = self._tokenize(list(prompts)).to(kept.device)
        found = cosine(self._network.vision_encoder(clips), self._network.text_encoder(texts))
        return found[:, None]


def middles(frames: int, wanted: int) -> list[int]:
    """The middle frame of each of `wanted` equal parts.

    Of fewer frames all are taken, and the last one again until there are enough (VBench).
    """
    edges = torch.linspace(0, frames, min(wanted, frames) + 1, dtype=torch.float64).int().tolist()
    found = [(begin + end - 1) // 2 for begin, end in pairwise(edges)]
    return found + [frames - 1] * (wanted - len(found))


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None
) -> ViClip:
    """The scorer with its published weights."""
    import open_clip

    path = weights.find(WEIGHTS[0], weights_dir) / weights.TABLE[WEIGHTS[0]].files[0]
    state = tensors(path)
    network = fill(Network(), state.get("model", state), path)
    words = open_clip.SimpleTokenizer(context_length=network.sizes.tokens)
    return ViClip(frozen(network, device, dtype), words)
