"""Rewards whose networks are in bfloat16: values and gradients are float32, and nearly the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import scorers
from tests.scorers import tiny
from tests.scorers.clips import PROMPT, drawn

REWARDS = [
    name
    for name in tiny.TINY
    if scorers.card(name).differentiable and not scorers.card(name).only_float32
]


def graded(name: str) -> tuple[Tensor, Tensor]:
    """Raw values of a drawn clip, and the gradient of their sum."""
    frames = drawn(frames=4, size=48).requires_grad_()
    values = tiny.TINY[name]()(frames, [PROMPT], [8.0])
    (gradient,) = torch.autograd.grad(values.sum(), frames)
    return values.detach(), gradient


@pytest.mark.parametrize("name", REWARDS)
def test_says_nearly_the_same_in_float32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, slope = graded(name)
    made = tiny.seeded

    def halved(make: Callable[[], nn.Module], spread: float = 0.1) -> nn.Module:
        return made(make, spread).to(torch.bfloat16)

    monkeypatch.setattr(tiny, "seeded", halved)
    half, rough = graded(name)
    assert (half.dtype, rough.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(half, whole, atol=0.03, rtol=0.05)
    assert rough.isfinite().all()
    cosine = torch.cosine_similarity(rough.flatten(), slope.flatten(), dim=0)
    assert cosine > 0.8
