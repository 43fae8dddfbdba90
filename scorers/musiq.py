"""Imaging quality as VBench measures it: MUSIQ trained on SPAQ, mean over frames, over 100.

The network is `scorers/nets/musiq.py`. A frame whose longer side exceeds 512 px is first reduced to
it (bilinear, no antialias, both sides cut to whole px: VBench's mode `longer`). Always 0 to 1 here;
VBench's results per video are 0 to 100.

Two files of the same training are read: pyiqa's conversion (`musiq-spaq`), which VBench loads and
which is for non-commercial use, and the authors' own (`musiq-spaq-google`, Apache-2.0; see
`scorers/nets/musiq_jax.py`). Where both are on the machine it is pyiqa's; `checkpoint` chooses. The
version tells which it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from data.errors import UserError
from scorers import weights
from scorers.chunks import per_frame
from scorers.nets import musiq_jax
from scorers.nets.musiq import Musiq as Network
from scorers.nets.stored import fill, frozen, tensors
from scorers.protocol import Card, Measure

WEIGHTS = ("musiq-spaq",)
CARD = Card(
    summary="MUSIQ-SPAQ over 100, mean over frames (VBench)",
    ranges={"imaging_quality": (-1.0, 2.0)},
    differentiable=True,
    weights=WEIGHTS[0],
    licence="CC-BY-NC-SA-4.0 (non-commercial), or Apache-2.0 (musiq-spaq-google)",
)
CHECKPOINTS = {"pyiqa": "musiq-spaq", "google": "musiq-spaq-google"}
LONGEST = 512
_FRAMES_AT_ONCE = 8


def scorer(network: Network, version: str = "1") -> Measure:
    """The scorer with this network; `version` tells whose weights they are."""

    def quality(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        kept = network.head.weight
        return network(reduced(frames).to(kept.device, kept.dtype))

    def values(frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b d"]:
        return per_frame(quality, frames, _FRAMES_AT_ONCE).float().mean(1, keepdim=True) / 100

    return Measure(name="musiq", version=version, card=CARD, values=values)


def reduced(frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 i j"]:
    """Longer side at most 512 px."""
    scale = LONGEST / max(frames.shape[2:])
    if scale >= 1:
        return frames
    size = [int(scale * side) for side in frames.shape[2:]]
    return F.interpolate(frames, size, mode="bilinear", align_corners=False)


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None,
    checkpoint: str = "",
) -> Measure:  # fmt: skip
    """The scorer with its published weights; `checkpoint` is `pyiqa` or `google`."""
    if checkpoint not in {"", *CHECKPOINTS}:
        raise UserError(
            f"musiq has no checkpoint {checkpoint!r}; there are {', '.join(CHECKPOINTS)}"
        )
    whose = checkpoint or _there(weights_dir)
    row, network = CHECKPOINTS[whose], Network()
    path = weights.find(row, weights_dir) / weights.TABLE[row].files[0]
    fill(network, _state(path, network), path)
    version = "1" if whose == "pyiqa" else f"1-{whose}"
    return scorer(frozen(network, device, dtype), version)


def _there(weights_dir: Any) -> str:
    """Whose weights are on this machine; VBench's where none are."""
    for whose, row in CHECKPOINTS.items():
        if any(weights.TABLE[row].there(place / row) for place in weights.places(weights_dir)):
            return whose
    return "pyiqa"


def _state(path: Path, network: Network) -> dict[str, torch.Tensor]:
    if path.suffix != ".npz":
        found = tensors(path)
        return found.get("params", found)
    try:
        with np.load(path) as arrays:
            return musiq_jax.state(arrays, network.state_dict())
    except (RuntimeError, OSError, ValueError, EOFError, BadZipFile) as problem:
        raise weights.damaged(path, problem) from problem
