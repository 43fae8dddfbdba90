"""How alike frames stay, from features of a network: VBench's two-term mean.

Each frame is compared with the first and with the one before it; a negative cosine counts 0. The
score of a clip is the mean over its frames but the first (`vbench/subject_consistency.py`,
`background_consistency.py`). Also text and picture in one space.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def consistency(features: Float[Tensor, "b t d"]) -> Float[Tensor, " b"]:
    """In [0, 1]; NaN for a single frame. Computed in float32 whatever the features are."""
    unit = F.normalize(features.float(), dim=-1)
    now, before, first = unit[:, 1:], unit[:, :-1], unit[:, :1]
    both = (now * before).sum(-1).clamp(min=0) + (now * first).sum(-1).clamp(min=0)
    return both.mean(1) / 2


def cosine(one: Float[Tensor, "*b d"], other: Float[Tensor, "*b d"]) -> Float[Tensor, "*b"]:
    """Cosine of the last dimension in float32, in [-1, 1]."""
    return (F.normalize(one.float(), dim=-1) * F.normalize(other.float(), dim=-1)).sum(-1)
