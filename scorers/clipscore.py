"""Do the frames show what the prompt says: CLIPScore on CLIP ViT-L/14, mean over frames.

Hessel et al. 2021 (arXiv 2104.08718): the cosine of picture and text, here without its factor 2.5
and without cutting at 0, so that gradients do not end there; in about [0.1, 0.35]. The image tower
is the one of `laion` and `aesthetic`, loaded once for all three, and with dialect `official` the
pass over the frames is that of `aesthetic` too.

Frames are read one by one: what moves where is not seen. A weak judge of alignment (VBench's own
is `viclip`); cheap where the tower is loaded anyway. The text is cut at 77 tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scorers import weights
from scorers.clip import frame_features, image_tower
from scorers.features import Match
from scorers.nets.stored import pooled, pretrained
from scorers.protocol import Card

WEIGHTS = ("clip-vit-l-14",)
CARD = Card(
    summary="CLIPScore without its factor: cosine of frames and prompt (CLIP L/14), mean",
    ranges={"alignment": (-1.0, 1.0)},
    differentiable=True,
    weights=WEIGHTS[0],
    licence="MIT",
)
Tokenize = Callable[[list[str]], Int[Tensor, "b n"]]


def scorer(images: Any, texts: Any, tokenize: Tokenize, dialect: str) -> Match:
    """The scorer with these towers, both with projection; `dialect` is in `resize.DIALECTS`."""

    def said(prompts: Sequence[str]) -> Float[Tensor, "b d"]:
        return texts(tokenize(list(prompts)).to(texts.device)).text_embeds

    return Match(
        name="clipscore",
        version=f"1-{dialect}",
        card=CARD,
        seen=partial(frame_features, images, dialect=dialect),
        said=said,
    )


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None,
    dialect: str = "official",
) -> Match:  # fmt: skip
    """The scorer with its published weights; `dialect` is `official`, `vbench` or `vader`."""
    import open_clip
    from transformers import CLIPTextModelWithProjection

    images = image_tower(WEIGHTS[0], device, dtype, weights_dir)
    kind, folder = CLIPTextModelWithProjection, weights.find(WEIGHTS[0], weights_dir)
    texts = pooled(kind, folder, device, dtype, lambda: pretrained(kind.from_pretrained, folder))
    return scorer(images, texts, open_clip.get_tokenizer("ViT-L-14"), dialect)
