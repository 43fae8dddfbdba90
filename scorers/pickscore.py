"""Human preference for frames: PickScore v1, CLIP ViT-H/14 fine-tuned on people's choices.

Kirstain et al. 2023 (arXiv 2305.01569): exp(logit scale) times the cosine of frame and prompt, in
about [18, 24], mean over the frames; the softmax over candidates of one prompt is a probability.
Each frame is compared with its own clip's prompt. VADER multiplies all frames by all prompts and
reads row 0, so that every clip of a batch is judged by the first prompt.

Dialect `official`. VADER's loss is |1 - value / 100|: the loss's business, not the scorer's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scorers import resize, weights
from scorers.chunks import per_frame
from scorers.features import Match
from scorers.nets.stored import frozen, pretrained
from scorers.protocol import Card

WEIGHTS = ("pickscore",)
CARD = Card(
    summary="PickScore of frames and prompt (CLIP H/14), mean over frames (VADER)",
    ranges={"preference": (-100.0, 100.0)},
    differentiable=True,
    weights=WEIGHTS[0],
    licence="MIT",
)
Tokenize = Callable[[list[str]], Int[Tensor, "b n"]]


def scorer(network: Any, tokenize: Tokenize, dialect: str) -> Match:
    """The scorer with this network, a `CLIPModel`; `dialect` is a name in `resize.DIALECTS`."""
    side = network.config.vision_config.image_size

    def seen(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        small = resize.DIALECTS[dialect](frames, side)
        pixels = resize.normalised(small, resize.CLIP_MEAN, resize.CLIP_STD)
        ready = pixels.to(network.device, network.dtype)
        return network.get_image_features(pixel_values=ready).pooler_output

    def said(prompts: Sequence[str]) -> Float[Tensor, "b d"]:
        ids = tokenize(list(prompts)).to(network.device)
        return network.get_text_features(input_ids=ids).pooler_output

    scale = network.logit_scale.float().exp().item()
    return Match(
        name="pickscore",
        version=f"1-{dialect}",
        card=CARD,
        seen=partial(per_frame, seen),
        said=said,
        scale=scale,
    )


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None,
    dialect: str = "official",
) -> Match:  # fmt: skip
    """The reward with its published weights; `dialect` is `official` or `vader`."""
    import open_clip
    from transformers import CLIPModel

    network = pretrained(CLIPModel.from_pretrained, weights.find(WEIGHTS[0], weights_dir))
    return scorer(frozen(network, device, dtype), open_clip.get_tokenizer("ViT-H-14"), dialect)
