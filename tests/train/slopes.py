"""Two ways to the same frames have the same way back."""

from __future__ import annotations

import torch
from torch import Tensor

from train import bank


def demand_same_gradient(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
    """Frames and the latents that each was made of: equal to 1e-5, by one drawn weight a pixel."""
    weights = bank.noise("test", "weights", 0, tuple(theirs[0].shape))
    one, other = (
        torch.autograd.grad((frames * weights).sum(), latents)[0]
        for frames, latents in (ours, theirs)
    )
    assert other.abs().max() > 0
    assert torch.allclose(one, other, atol=1e-5)
