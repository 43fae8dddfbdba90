"""What a learned judge says of a clip: visual quality, motion quality, text alignment.

VideoReward (Liu et al. 2025, "Improving Video Generation with Human Feedback", arXiv 2501.13918;
VideoAlign): a Qwen2-VL-2B fitted to 182k pairs that people compared, by Bradley-Terry with ties.
It reads the clip (2 frames per second, at most 448 x 448 px), a long question, and one linear head
on the last hidden state at each of three marks in the question.

- Raw values are those of the head: no unit, no bounds; only differences mean anything. The mean and
  deviation that VideoAlign's numbers are divided by are in the profile `judge`.
- The prompt stands after the first two marks and the text model only looks back: visual and motion
  quality do not depend on it.
- Places in the text are counted one by one, through the clip too: VideoAlign's forward pass never
  made Qwen2-VL's places in time, height and width, so that the head was fitted without them.
- The head is in float32 whatever the network is in; VideoAlign has both in bfloat16.

Clips go one by one, each as if alone, and with gradients each is recomputed on the way back.
A single frame has no motion quality. Generators of 2023 and 2024 are what it was fitted to, and
training against visual quality alone is known to drift towards an animated look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from scorers import weights
from scorers.nets import qwen2vl
from scorers.nets import videoreward as published
from scorers.nets.qwen2vl import Reader
from scorers.nets.stored import frozen
from scorers.protocol import Card, check

WEIGHTS = ("videoreward", "videoreward-words")
_ANY = (-float("inf"), float("inf"))
CARD = Card(
    summary="VideoReward (VideoAlign): a Qwen2-VL fitted to people's comparisons of clips",
    ranges={"visual_quality": _ANY, "motion_quality": _ANY, "text_alignment": _ANY},
    differentiable=True,
    weights=WEIGHTS[0],
    licence="Apache-2.0",
)


class VideoReward:
    """The scorer `videoreward`."""

    name, version = "videoreward", "11352-1"
    dimensions = tuple(CARD.ranges)
    differentiable = CARD.differentiable

    def __init__(self, network: Any, head: Float[Tensor, " d"], reader: Reader, words: str) -> None:
        """The scorer with this network.

        Args:
            network: A `Qwen2VLModel`.
            head: What the hidden state is multiplied by.
            reader: With the network's tokenizer.
            words: The question, with `published.PROMPT` where the prompt goes.
        """
        self._network, self._reader = network, reader
        self._head = head.to(network.device, torch.float32)
        self._before, self._after = words.split(published.PROMPT)
        self._marks = [reader.token(mark) for mark in published.ASKED]

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """The three values per clip."""
        check(frames)
        clips = list(zip(frames.to(self._network.device), prompts, fps, strict=True))
        if torch.is_grad_enabled() and frames.requires_grad:
            found = [checkpoint(self._values, *clip, use_reentrant=False) for clip in clips]
        else:
            found = [self._values(*clip) for clip in clips]
        return torch.stack(cast("list[Tensor]", found))

    def _values(
        self, clip: Float[Tensor, "t c h w"], prompt: str, fps: float
    ) -> Float[Tensor, " d"]:
        question = self._before + qwen2vl.plain(prompt) + self._after
        read = self._reader(qwen2vl.chat(qwen2vl.VIDEO + question), [clip], [fps])
        states = self._network(
            input_ids=read.ids,
            pixel_values_videos=read.patches,
            video_grid_thw=read.grid,
            position_ids=torch.arange(read.ids.shape[1], device=read.ids.device).expand(3, 1, -1),
            use_cache=False,
        ).last_hidden_state[0]
        marks = [int((read.ids[0] == mark).nonzero()) for mark in self._marks]
        values = states[marks].float() @ self._head
        return values if len(clip) > 1 else values + values.new_tensor([0.0, torch.nan, 0.0])


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None
) -> VideoReward:
    """The scorer with its published weights."""
    folder, said = (weights.find(row, weights_dir) for row in WEIGHTS)
    settings = published.settings(folder / "model_config.json")
    words = published.words(said / weights.TABLE[WEIGHTS[1]].files[0])
    inner = folder / published.CHECKPOINT
    tokenizer = published.tokenizer(inner / "tokenizer" / "tokenizer.json")
    pad = tokenizer.convert_tokens_to_ids(qwen2vl.PAD)
    network, head = published.network(inner / "model.pth", settings, dtype, cast("int", pad))
    reader = Reader(tokenizer, network.config, published.sight(settings))
    return VideoReward(frozen(network, device, dtype), head, reader, words)
