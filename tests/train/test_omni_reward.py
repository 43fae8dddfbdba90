"""OmniScore as a reward: the same numbers as on reading, with gradients."""

from __future__ import annotations

import pytest
import torch

import scorers
from data.calibration import Calibration
from data.errors import UserError
from data.omniscore import PROFILES, aggregate
from train.reward import rewards
from train.reward.omni_reward import OmniReward

LITE = PROFILES["lite"]
KEYS = [row.key for row in LITE.dimensions]
HEARD = ("subject_consistency", "background_consistency", "aesthetic_quality", "imaging_quality")


def clips(seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(2, 4, 3, 32, 32, generator=draw) * 0.6 + 0.2


def only(weights: dict[str, float]) -> Calibration:
    every = dict.fromkeys(KEYS, 0.0) | weights
    return Calibration(profile="lite", weights=every, scale=1.0, tie=0.0)


def test_differences_are_those_of_the_total():
    """Weights on dimensions with gradients alone: the whole total, up to a constant."""
    table = only({"imaging_quality": 0.5, "aesthetic_quality": -0.5}).table
    frames = clips(1)
    found = OmniReward(table, device="cpu")(frames, ["x", "y"], [8.0, 8.0])[:, 0]
    raw = {"dynamic_degree": 0.0, "temporal_flickering": 1.0, "motion_smoothness": 1.0}
    totals = []
    for clip in range(2):
        values = dict(raw)
        for name in ("consistency", "colour", "sharpness"):
            scorer = scorers.load(name)
            row = scorer(frames[clip : clip + 1], ["x"], [8.0])[0].tolist()
            values |= dict(zip(scorer.dimensions, row, strict=True))
        totals.append(aggregate(values, table).total)
    assert None not in totals
    assert float(found[0] - found[1]) == pytest.approx(totals[0] - totals[1], abs=1e-6)


def test_dimensions_without_gradients_are_named():
    reward = OmniReward(LITE, device="cpu")
    assert tuple(row.key for row in reward.rows) == HEARD
    assert set(reward.silent) == {"temporal_flickering", "motion_smoothness", "dynamic_degree"}
    with pytest.raises(UserError, match=r"no dimension of calibrated:.* has gradients"):
        OmniReward(only({"dynamic_degree": 1.0}).table, device="cpu")


def test_the_sign_of_a_weight_is_the_sign_of_its_gradient():
    frames = clips(2).requires_grad_()
    grads = []
    for sign in (1.0, -1.0):
        mixture = rewards.Mixture(
            {"omniscore": 2.0}, device="cpu", omniscore=only({"imaging_quality": sign}).table
        )
        (grad,) = torch.autograd.grad(mixture(frames, ["x", "y"], 8.0).sum(), frames)
        grads.append(grad)
    assert torch.isfinite(grads[0]).all()
    assert float(grads[0].abs().sum()) > 0
    assert torch.allclose(grads[0], -grads[1], atol=1e-7)


def test_without_a_profile_the_name_is_no_scorer():
    with pytest.raises(UserError, match="omniscore"):
        rewards.Mixture({"omniscore": 1.0}, device="cpu")
