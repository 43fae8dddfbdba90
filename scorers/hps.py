"""Human preference for frames: HPSv2.1 and HPSv2, CLIP ViT-H/14 fine-tuned on people's choices.

Wu et al. 2023 (arXiv 2306.09341). The value is the cosine of frame and prompt without a logit scale
(leaderboards print a hundred times that), mean over the frames. v2 and v2.1 are on different
scales, and only clips of one prompt compare.

Dialect `letterbox` is HPSv2's own and the default: nothing is cut or distorted. `vader` squashes
the frame to a square, as VADER does, for parity with its numbers. The checkpoint is read into
open_clip as it is; VADER's loss is `1 - value`, which is the loss's business, not the scorer's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from scorers import resize, weights
from scorers.chunks import in_groups
from scorers.features import cosine
from scorers.nets.stored import fill, frozen, tensors
from scorers.protocol import Card, check

WEIGHTS = ("hpsv2.1",)
CARD = Card(
    summary="HPSv2.1 cosine of frames and prompt (CLIP H/14), mean over frames (VADER)",
    ranges={"preference": (-1.0, 1.0)},
    differentiable=True,
    weights="hpsv2.1 (or hpsv2)",
    licence="Apache-2.0",
)
ARCHITECTURE = "ViT-H-14"
Tokenize = Callable[[list[str]], Int[Tensor, "b n"]]


class Hps:
    """The scorer `hps`."""

    name = "hps"
    dimensions = tuple(CARD.ranges)
    differentiable = CARD.differentiable

    def __init__(self, network: Any, tokenize: Tokenize, version: str, dialect: str) -> None:
        """Wires the parts.

        Args:
            network: an open_clip model.
            tokenize: prompts to token numbers.
            version: of the weights.
            dialect: a name in `resize.DIALECTS`.
        """
        self.version = f"{version}-{dialect}"
        self._network, self._tokenize = network, tokenize
        self._small = resize.DIALECTS[dialect]

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """Mean over frames of the cosine with the clip's own prompt; `fps` plays no part."""
        del fps
        check(frames)
        seen = in_groups(self._features, frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        said = self._network.encode_text(self._tokenize(list(prompts)).to(seen.device))
        return cosine(seen, said[:, None].expand_as(seen)).mean(1, keepdim=True)

    def _features(self, frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        kept = self._network.logit_scale
        side = self._network.visual.image_size
        small = self._small(frames, side if isinstance(side, int) else side[0])
        seen = resize.normalised(small, resize.CLIP_MEAN, resize.CLIP_STD)
        return self._network.encode_image(seen.to(kept.device, kept.dtype))


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None,
    version: str = "hpsv2.1", dialect: str = "letterbox",
) -> Hps:  # fmt: skip
    """The reward with its published weights; `version` is `hpsv2.1` or `hpsv2`."""
    import open_clip

    path = weights.find(version, weights_dir) / weights.TABLE[version].files[0]
    state = tensors(path)
    network: nn.Module = open_clip.create_model(ARCHITECTURE)
    fill(network, state.get("state_dict", state), path)
    return Hps(
        frozen(network, device, dtype), open_clip.get_tokenizer(ARCHITECTURE), version, dialect
    )
