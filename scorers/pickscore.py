"""Human preference for frames: PickScore v1, CLIP ViT-H/14 fine-tuned on people's choices.

Kirstain et al. 2023 (arXiv 2305.01569): exp(logit scale) times the cosine of frame and prompt, in
about [18, 24], mean over the frames; the softmax over candidates of one prompt is a probability.
Each frame is compared with its own clip's prompt. VADER multiplies all frames by all prompts and
reads row 0, so that every clip of a batch is judged by the first prompt.

Dialect `official`. VADER's loss is |1 - value / 100|: the loss's business, not the scorer's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scorers import resize, weights
from scorers.chunks import in_groups
from scorers.features import cosine
from scorers.nets.stored import frozen, pretrained
from scorers.protocol import Card, check

WEIGHTS = ("pickscore",)
CARD = Card(
    summary="PickScore of frames and prompt (CLIP H/14), mean over frames (VADER)",
    ranges={"preference": (-100.0, 100.0)},
    differentiable=True,
    weights=WEIGHTS[0],
    licence="MIT",
)
Tokenize = Callable[[list[str]], Int[Tensor, "b n"]]


class PickScore:
    """The scorer `pickscore`."""

    dimensions = tuple(CARD.ranges)
    name = "pickscore"
    differentiable = CARD.differentiable

    def __init__(self, network: Any, tokenize: Tokenize, dialect: str) -> None:
        """Wires the parts; `network` is a `CLIPModel`."""
        self.version = f"1-{dialect}"
        self._network, self._tokenize = network, tokenize
        self._small = resize.DIALECTS[dialect]

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """Mean over frames of the scaled cosine with the clip's own prompt."""
        del fps
        check(frames)
        seen = in_groups(self._features, frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        ids = self._tokenize(list(prompts)).to(seen.device)
        said = self._network.get_text_features(input_ids=ids).pooler_output
        found = cosine(seen, said[:, None].expand_as(seen)).mean(1, keepdim=True)
        return found * self._network.logit_scale.float().exp()

    def _features(self, frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        small = self._small(frames, self._network.config.vision_config.image_size)
        seen = resize.normalised(small, resize.CLIP_MEAN, resize.CLIP_STD)
        pixels = seen.to(self._network.device, self._network.dtype)
        return self._network.get_image_features(pixel_values=pixels).pooler_output


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None,
    dialect: str = "official",
) -> PickScore:  # fmt: skip
    """The reward with its published weights; `dialect` is `official` or `vader`."""
    import open_clip
    from transformers import CLIPModel

    network = pretrained(CLIPModel.from_pretrained, weights.find(WEIGHTS[0], weights_dir))
    return PickScore(frozen(network, device, dtype), open_clip.get_tokenizer("ViT-H-14"), dialect)
