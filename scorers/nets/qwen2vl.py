"""How Qwen2-VL is shown clips and text: which frames, how large, in patches, in one sequence.

Wang et al. 2024 (arXiv 2409.12191) with the constants of its authors' `qwen-vl-utils`: frames
evenly from the first to the last, an even number, at least four where there are so many; both sides
multiples of 28 px within limits of area; bicubic with antialiasing, rounded to 8 bits; CLIP's
normalisation. A lone frame is shown twice, because a patch spans two frames.

The frames keep their gradients: the rounding passes them straight through. The library's own
loading of files and its sampling (which takes other frames) are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from transformers.models.qwen2_vl.video_processing_qwen2_vl import (
    Qwen2VLVideoProcessor,
    smart_resize,
)

from scorers import resize

PAD = "<|video_pad|>"
VIDEO = f"<|vision_start|>{PAD}<|vision_end|>"
"""Stands for a clip in a text."""
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", PAD)
_LEAST_FRAMES, _MOST_FRAMES = 4, 768
_VIDEO = 2  # the kind of a token that stands for a piece of a clip; text is 0


def chat(question: str) -> str:
    """A question as the model was taught to be asked, up to where its answer begins."""
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    return f"{system}<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


def plain(text: str) -> str:
    """Somebody's words with nothing in them that would be read as markup."""
    return text.replace("<|", "< |")


@dataclass(frozen=True, kw_only=True)
class Sight:
    """How closely a clip is looked at."""

    fps: float = 2.0
    """Frames shown per second of the clip."""
    least: int = 128 * 28 * 28
    """Pixels of a frame; smaller ones are enlarged."""
    most: int = 768 * 28 * 28
    """Pixels of a frame; larger ones are reduced."""

    def frames(self, count: int, fps: float) -> list[int]:
        """Which of `count` frames at `fps` are shown."""
        if count == 1:
            return [0, 0]
        most = min(_MOST_FRAMES, count) // 2 * 2
        wanted = min(max(count / fps * self.fps, _LEAST_FRAMES), most)
        return torch.linspace(0, count - 1, 2 * round(wanted / 2)).round().int().tolist()

    def size(self, height: int, width: int, factor: int) -> tuple[int, int]:
        """Height and width that a frame is shown at: multiples of `factor`."""
        return smart_resize(height, width, factor, min_pixels=self.least, max_pixels=self.most)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One sequence of text and clips, as the network takes it."""

    ids: Int[Tensor, "1 n"]
    kinds: Int[Tensor, "1 n"]
    """Per token: 0 text, 2 clip."""
    patches: Float[Tensor, "m d"]
    """Of all clips, in their order."""
    grid: Int[Tensor, "v 3"]
    """Patches of each clip in time, height and width."""


class Reader:
    """Makes sequences for one network."""

    def __init__(self, tokenizer: Any, config: Any, sight: Sight) -> None:
        """For a network with this configuration.

        Args:
            tokenizer: A fast tokenizer of transformers that knows `SPECIAL`.
            config: A `Qwen2VLConfig`.
            sight: How closely clips are looked at.
        """
        self.tokenizer, self.sight = tokenizer, sight
        vision = config.vision_config
        self._merged: int = vision.spatial_merge_size
        self._factor: int = vision.patch_size * self._merged
        self._patchify = Qwen2VLVideoProcessor(
            do_resize=False, do_rescale=False, cap_pixels_per_frame=False,
            patch_size=vision.patch_size, merge_size=self._merged,
            temporal_patch_size=vision.temporal_patch_size,
        )  # fmt: skip

    def token(self, text: str) -> int:
        """The number of a text that is one token.

        Raises:
            ValueError: it is none, or several.
        """
        ids = self.tokenizer(text, add_special_tokens=False).input_ids
        if len(ids) != 1:
            raise ValueError(f"{text!r} is {len(ids)} tokens to this tokenizer; it must be one")
        return ids[0]

    def __call__(
        self, text: str, clips: Sequence[Float[Tensor, "_ 3 _ _"]], fps: Sequence[float]
    ) -> Reading:
        """The text with each clip in place of its `VIDEO`.

        Args:
            text: Holds `VIDEO` once per clip.
            clips: RGB in [0, 1].
            fps: Frames per second of each.
        """
        shown = [self._shown(*one) for one in zip(clips, fps, strict=True)]
        grid = torch.cat([counts for _, counts in shown])
        first, *rest = text.split(PAD)
        pads = (PAD * (int(counts.prod()) // self._merged**2) for counts in grid)
        whole = first + "".join(pad + part for pad, part in zip(pads, rest, strict=True))
        ids = torch.tensor([self.tokenizer(whole, add_special_tokens=False).input_ids])
        return Reading(
            ids=ids.to(grid.device),
            kinds=(ids == self.token(PAD)).int().to(grid.device) * _VIDEO,
            patches=torch.cat([patches for patches, _ in shown]),
            grid=grid,
        )

    def _shown(
        self, clip: Float[Tensor, "t 3 h w"], fps: float
    ) -> tuple[Float[Tensor, "m d"], Int[Tensor, "1 3"]]:
        """Patches of the frames that are shown, and how many there are each way."""
        frames = clip[self.sight.frames(len(clip), fps)].float()
        size = self.sight.size(frames.shape[2], frames.shape[3], self._factor)
        if tuple(frames.shape[2:]) != size:
            frames = F.interpolate(frames, size, mode="bicubic", antialias=True)
        cut = self._patchify(videos=[resize.rounded(frames)], return_tensors="pt")
        return cut["pixel_values_videos"], cut["video_grid_thw"].to(clip.device)
