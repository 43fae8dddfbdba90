"""How alike frames stay, from features of a network: VBench's two-term mean.

Each frame is compared with the first and with the one before it; a negative cosine counts 0. The
score of a clip is the mean over its frames but the first (`vbench/subject_consistency.py`,
`background_consistency.py`). Also text and picture in one space, and the scorer that compares each
frame with the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from scorers.protocol import Carded, check


def consistency(features: Float[Tensor, "b t d"]) -> Float[Tensor, " b"]:
    """In [0, 1]; NaN for a single frame. Computed in float32 whatever the features are."""
    unit = F.normalize(features.float(), dim=-1)
    now, before, first = unit[:, 1:], unit[:, :-1], unit[:, :1]
    both = (now * before).sum(-1).clamp(min=0) + (now * first).sum(-1).clamp(min=0)
    return both.mean(1) / 2


def cosine(one: Float[Tensor, "*b d"], other: Float[Tensor, "*b d"]) -> Float[Tensor, "*b"]:
    """Cosine of the last dimension in float32, in [-1, 1]."""
    return (F.normalize(one.float(), dim=-1) * F.normalize(other.float(), dim=-1)).sum(-1)


@dataclass(frozen=True, kw_only=True)
class Match(Carded):
    """A scorer that compares each frame with its own clip's prompt: cosine, mean over frames."""

    seen: Callable[[Tensor], Tensor]
    """Frames `b t 3 h w` to features `b t d`."""
    said: Callable[[Sequence[str]], Tensor]
    """Prompts to features `b d` of the same space."""
    scale: float = 1.0
    """What the mean cosine is multiplied by."""

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """The scaled mean cosine per clip; `fps` plays no part."""
        del fps
        check(frames)
        seen, said = self.seen(frames), self.said(list(prompts))[:, None]
        return cosine(seen, said.expand_as(seen)).mean(1, keepdim=True) * self.scale
