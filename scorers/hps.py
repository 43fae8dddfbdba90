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
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from scorers import resize, weights
from scorers.chunks import per_frame
from scorers.features import Match
from scorers.nets.stored import fill, frozen, tensors
from scorers.protocol import Card

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


def scorer(network: Any, tokenize: Tokenize, version: str, dialect: str) -> Match:
    """The scorer with this network.

    Args:
        network: an open_clip model.
        tokenize: prompts to token numbers.
        version: of the weights.
        dialect: a name in `resize.DIALECTS`.
    """
    kept, side = network.logit_scale, network.visual.image_size

    def seen(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        small = resize.DIALECTS[dialect](frames, side if isinstance(side, int) else side[0])
        pixels = resize.normalised(small, resize.CLIP_MEAN, resize.CLIP_STD)
        return network.encode_image(pixels.to(kept.device, kept.dtype))

    def said(prompts: Sequence[str]) -> Float[Tensor, "b d"]:
        return network.encode_text(tokenize(list(prompts)).to(kept.device))

    return Match(
        name="hps",
        version=f"{version}-{dialect}",
        card=CARD,
        seen=partial(per_frame, seen),
        said=said,
    )


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None,
    version: str = "hpsv2.1", dialect: str = "letterbox",
) -> Match:  # fmt: skip
    """The reward with its published weights; `version` is `hpsv2.1` or `hpsv2`."""
    import open_clip

    path = weights.find(version, weights_dir) / weights.TABLE[version].files[0]
    state = tensors(path)
    network: nn.Module = open_clip.create_model(ARCHITECTURE)
    fill(network, state.get("state_dict", state), path)
    words = open_clip.get_tokenizer(ARCHITECTURE)
    return scorer(frozen(network, device, dtype), words, version, dialect)
