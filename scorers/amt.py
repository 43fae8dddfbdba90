"""Motion smoothness with VBench's own interpolator, AMT-S, if you bring it.

AMT's code and weights are CC-BY-NC-4.0, so neither is here. From a checkout of AMT make one file,
once, and put it into a folder `amt-s` of your weights as `amt-s.torchscript.pt`:

    class Between(torch.nn.Module):                      # frames 0 to 1, sides multiples of 16
        def __init__(self, amt): super().__init__(); self.amt = amt
        def forward(self, a, b):
            half = torch.full((a.shape[0], 1, 1, 1), 0.5, device=a.device)
            return self.amt(a, b, half, eval=True)["imgt_pred"]
    torch.jit.trace(Between(amt_s.eval()), (frame, frame)).save("amt-s.torchscript.pt")

The procedure is that of `scorers/halfway.py`; frames are padded to multiples of 16 by repeating the
border, as VBench does. Never tried with the real AMT-S: the tests bring a file that averages.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from scorers import weights
from scorers.halfway import Frame, left_out
from scorers.protocol import Card, Measure

WEIGHTS = ("amt-s",)
CARD = Card(
    summary="frames left out are made again by AMT-S (VBench), which you bring",
    ranges={"motion_smoothness": (0.0, 1.0)},
    differentiable=False,
    weights=WEIGHTS[0],
    licence="CC-BY-NC-4.0 (non-commercial)",
    only_float32=True,
)
_MULTIPLE = 16


def scorer(network: torch.jit.ScriptModule, device: Any) -> Measure:
    """The scorer with this network."""
    made = partial(_between, network=network, device=device)
    return Measure(name="amt", version="1", card=CARD, values=partial(left_out, made=made))


def _between(
    before: Frame, after: Frame, *, network: torch.jit.ScriptModule, device: Any
) -> np.ndarray:
    """The frame half-way between two, 0 to 255."""
    pair = torch.from_numpy(np.stack([before, after])).to(device)
    pixels = pair.permute(0, 3, 1, 2).float() / 255
    height, width = pixels.shape[2:]
    down, right = -height % _MULTIPLE, -width % _MULTIPLE
    edges = (right // 2, right - right // 2, down // 2, down - down // 2)
    padded = F.pad(pixels, edges, mode="replicate")
    with torch.no_grad():
        made = network(padded[:1], padded[1:])[0]
    inner = made[:, edges[2] : edges[2] + height, edges[0] : edges[0] + width]
    return (inner.clamp(0, 1) * 255).permute(1, 2, 0).float().cpu().numpy()


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None
) -> Measure:
    """The scorer with the network that the user made."""
    del dtype
    path = weights.find(WEIGHTS[0], weights_dir) / weights.TABLE[WEIGHTS[0]].files[0]
    try:
        network = torch.jit.load(str(path), map_location=device).eval()
    except RuntimeError as problem:
        raise weights.damaged(path, problem) from problem
    return scorer(network, device)
