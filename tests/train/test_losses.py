from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from train.losses import NAMES, anchored, clip_error, diffusion_dpo, make

ERRORS = st.floats(0, 10, allow_subnormal=False)


def one(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def loss(
    chosen: float, rejected: float, *, ref: tuple[float, float] = (0.0, 0.0), beta: float = 2.0,
    weight: float = 1.0, probability: float = 1.0,
) -> float:  # fmt: skip
    value, _ = diffusion_dpo(
        one(chosen), one(rejected), one(ref[0]), one(ref[1]),
        beta=beta, weight=one(weight), probability=one(probability),
    )  # fmt: skip
    return value.item()


def test_hand_worked_pair() -> None:
    # u = -2/2 * [(0.3 - 0.1) - (0.9 - 0.2)] = -1 * (0.2 - 0.7) = 0.5
    # log sigmoid(0.5) = -log(1 + e^-0.5) = -log(1.60653066) = -0.47407698
    # log sigmoid(-0.5) = -0.5 - 0.47407698 = -0.97407698
    assert loss(0.3, 0.9, ref=(0.1, 0.2)) == pytest.approx(0.47407698)
    # p = 3/4: 0.75 * 0.47407698 + 0.25 * 0.97407698 = 0.59907698
    assert loss(0.3, 0.9, ref=(0.1, 0.2), probability=0.75) == pytest.approx(0.59907698)
    # w = 3, outside the logarithm: three times the loss
    assert loss(0.3, 0.9, ref=(0.1, 0.2), weight=3.0) == pytest.approx(3 * 0.47407698)
    # beta 4: u = 1, log(1 + e^-1) = log(1.36787944) = 0.31326169
    assert loss(0.3, 0.9, ref=(0.1, 0.2), beta=4.0) == pytest.approx(0.31326169)


@given(error=ERRORS, probability=st.floats(0, 1), beta=st.floats(0.1, 5000))
def test_exactly_ln_2_where_policy_and_reference_agree(
    error: float, probability: float, beta: float
) -> None:
    assert loss(error, 1.0, ref=(error, 1.0), beta=beta, probability=probability) == math.log(2)


def test_hand_worked_metrics() -> None:
    # beta 2, references 0: u = rejected - chosen = (0.5, -1, 0); ties count half
    chosen, zero = torch.tensor([0.5, 2.0, 1.0]), torch.zeros(3)
    _, metrics = diffusion_dpo(
        chosen, torch.ones(3), zero, zero,
        beta=2.0, weight=torch.tensor([1.0, 1.0, 2.0]), probability=torch.ones(3),
    )  # fmt: skip
    assert metrics["accuracy"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert metrics["margin"] == pytest.approx((0.5 - 1 + 0) / 3)
    assert metrics["chosen_rise"] == pytest.approx(3.5 / 3)
    assert metrics["rejected_rise"] == pytest.approx(1.0)
    assert metrics["ess"] == pytest.approx(4**2 / (1 + 1 + 4))
    # losses 0.47407698, 1 + 0.31326169, 2 * ln 2
    assert metrics["loss"] == pytest.approx((0.47407698 + 1.31326169 + 2 * math.log(2)) / 3)


@given(ERRORS, ERRORS, ERRORS, ERRORS, st.floats(0, 1))
def test_swapping_the_clips_and_the_probability_changes_nothing(
    a: float, b: float, ref_a: float, ref_b: float, p: float
) -> None:
    there = loss(a, b, ref=(ref_a, ref_b), probability=p)
    back = loss(b, a, ref=(ref_b, ref_a), probability=1 - p)
    assert there == pytest.approx(back, rel=1e-9, abs=1e-9)


@given(ERRORS, ERRORS, st.floats(0.1, 8))
def test_a_pair_of_weight_w_counts_as_w_pairs(a: float, b: float, weight: float) -> None:
    assert loss(a, b, weight=weight) == pytest.approx(weight * loss(a, b), rel=1e-12)


def test_weight_two_is_the_pair_twice() -> None:
    chosen, rejected, zero = torch.tensor([0.2, 0.8]), torch.tensor([0.5, 0.1]), torch.zeros(2)
    weighted, _ = diffusion_dpo(
        chosen, rejected, zero, zero,
        beta=3.0, weight=torch.tensor([2.0, 1.0]), probability=torch.ones(2),
    )  # fmt: skip
    twice = torch.tensor([0, 0, 1])
    doubled, _ = diffusion_dpo(
        chosen[twice], rejected[twice], torch.zeros(3), torch.zeros(3),
        beta=3.0, weight=torch.ones(3), probability=torch.ones(3),
    )  # fmt: skip
    assert 2 * weighted.item() == pytest.approx(3 * doubled.item(), rel=1e-12)  # sums over pairs


def gradients(
    chosen: float, rejected: float, probability: float
) -> tuple[float, float, Tensor | None]:
    a, b = one(chosen).requires_grad_(), one(rejected).requires_grad_()
    reference = one(0.0).requires_grad_()
    value, _ = diffusion_dpo(
        a, b, reference, reference, beta=2.0, weight=one(1.0), probability=one(probability)
    )
    value.backward()
    assert a.grad is not None
    assert b.grad is not None
    return a.grad.item(), b.grad.item(), reference.grad


def test_gradient_lowers_the_error_on_the_chosen_clip_and_raises_it_on_the_rejected() -> None:
    # u = 0.5; dL/d chosen = beta/2 * (p - sigmoid(u)) = 1 - 0.62245933 = 0.37754067
    chosen, rejected, reference = gradients(0.2, 0.7, 1.0)
    assert chosen == pytest.approx(0.37754067)
    assert rejected == pytest.approx(-0.37754067)
    assert reference is None  # the reference is never trained


def test_an_undecided_label_pulls_towards_the_reference() -> None:
    assert gradients(0.5, 0.5, 0.5)[0] == 0
    assert gradients(0.2, 0.7, 0.5)[0] < 0  # u > 0: the chosen clip's error is allowed up again
    assert gradients(0.7, 0.2, 0.5)[0] > 0


@pytest.mark.parametrize("huge", [1e4, -1e4])
def test_finite_far_from_the_reference(huge: float) -> None:
    value = loss(max(huge, 0), max(-huge, 0), beta=1000.0)
    assert math.isfinite(value)
    assert value == pytest.approx(max(huge, 0) * 500)


def test_resolves_differences_that_float32_cannot_hold_as_margins() -> None:
    tiny = torch.finfo(torch.float32).eps
    _, metrics = diffusion_dpo(
        torch.tensor([1.0 + tiny]), torch.ones(1), torch.ones(1), torch.ones(1),
        beta=1000.0, weight=torch.ones(1), probability=torch.ones(1),
    )  # fmt: skip
    assert metrics["margin"] == -500 * tiny


def test_error_is_one_number_per_clip_over_every_axis() -> None:
    """VideoDPO's code leaves the width axis: one logistic loss per column of the latents."""
    target = torch.zeros(2, 3, 4, 5, 6)
    prediction = torch.stack([torch.full((3, 4, 5, 6), 2.0), torch.zeros(3, 4, 5, 6)])
    prediction[1, 0, 0, 0, 0] = 6.0  # 36 over 3 * 4 * 5 * 6 = 360 elements: 0.1
    assert torch.allclose(clip_error(prediction, target), torch.tensor([4.0, 0.1]))


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_called_alike(name: str) -> None:
    b = torch.ones(4)
    value, metrics = make(name)(b, b, b, b, beta=1.0, weight=b, probability=b)
    assert value.ndim == 0
    assert set(metrics) >= {"loss", "accuracy", "margin", "chosen_rise", "rejected_rise", "ess"}
    with pytest.raises(ValueError, match="flips"):
        make(name, flips=0.5)


def named(name: str, u: float, p: float = 1.0, **options: float) -> float:
    """A loss of one pair with margin u: beta 2, references 0, chosen 1, rejected 1 + u."""
    value, metrics = make(name, **options)(
        one(1.0), one(1.0 + u), one(0.0), one(0.0),
        beta=2.0, weight=one(1.0), probability=one(p),
    )  # fmt: skip
    assert metrics["margin"] == pytest.approx(u)
    return value.item()


def test_variants_by_hand() -> None:
    """log(1 + e^-0.5) = 0.47407698 at u = 0.5, and 0.97407698 at -0.5."""
    assert named("hinge", 0.25) == pytest.approx(0.75)
    assert named("hinge", 3.0) == 0
    assert named("hinge", 0.25, 0.75) == pytest.approx(0.75 * 0.75 + 0.25 * 1.25)
    assert named("ipo", 0.25) == pytest.approx((0.25 - 0.5) ** 2)
    assert named("ipo", 0.25, 0.75) == pytest.approx((0.25 - 0.25) ** 2)
    assert named("cdpo", 0.5, flips=0.1) == pytest.approx(0.9 * 0.47407698 + 0.1 * 0.97407698)
    expected = (0.9 * 0.47407698 - 0.1 * 0.97407698) / 0.8
    assert named("robust", 0.5, flips=0.1) == pytest.approx(expected)
    assert named("diffusion-dpo", 0.5, sft=0.2) == pytest.approx(0.47407698 + 0.2 * 1.0)
    # gains -1 and -1.5, level max(0, -1.25) = 0: s(1) + s(-1.5) = 0.73105858 + 0.18242552
    assert named("kto", 0.5) == pytest.approx(0.73105858 + 0.18242552)


@given(u=st.floats(-3, 3), flips=st.floats(0, 0.45), p=st.floats(0, 1))
def test_robust_is_right_on_average_over_flipped_labels(u: float, flips: float, p: float) -> None:
    mean = (1 - flips) * named("robust", u, p, flips=flips) + flips * named(
        "robust", u, 1 - p, flips=flips
    )
    assert mean == pytest.approx(named("diffusion-dpo", u, p), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@given(u=st.floats(-3, 3), p=st.floats(0, 1))
def test_every_loss_has_no_favourite_side(name: str, u: float, p: float) -> None:
    """Exchange the clips of the pair and the probability: the same loss and mirrored margins."""
    both = []
    for chosen, rejected, share in ((1.0, 1.0 + u, p), (1.0 + u, 1.0, 1 - p)):
        value, _ = make(name)(
            one(chosen), one(rejected), one(0.5), one(0.5),
            beta=2.0, weight=one(3.0), probability=one(share),
        )  # fmt: skip
        both.append(value.item())
    assert both[0] == pytest.approx(both[1], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_pulls_the_right_way(name: str) -> None:
    """Downhill: the chosen clip's error falls against the rejected one's."""
    chosen, rejected = (torch.tensor([1.0], requires_grad=True) for _ in range(2))
    value, _ = make(name)(
        chosen, rejected, torch.ones(1), torch.ones(1),
        beta=2.0, weight=torch.ones(1), probability=torch.ones(1),
    )  # fmt: skip
    value.backward()
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert float(chosen.grad) > 0 > float(rejected.grad)


def test_anchor_by_hand() -> None:
    """Clips of the pairs a and b, chosen first: 1 (1 + 3) and 2 (2 + 4), over four clips: 4."""
    loss, metrics = anchored(
        torch.tensor(1.0), {"loss": 1.0, "margin": 0.5}, torch.tensor([1.0, 2.0, 3.0, 4.0]),
        anchor=0.5, weight=torch.tensor([1.0, 2.0]),
    )  # fmt: skip
    assert loss.item() == pytest.approx(1 + 0.5 * 4)
    assert metrics == {"loss": 3.0, "margin": 0.5, "preference": 1.0, "distance": 2.5}


@given(u=st.floats(-3, 3), p=st.floats(0, 1))
def test_equal_segments_are_as_the_clip(u: float, p: float) -> None:
    """Segments that agree have the clip's margin each, and so its loss."""
    whole = loss(1.0, 1.0 + u, probability=p)
    three, metrics = diffusion_dpo(
        torch.full((1, 3), 1.0, dtype=torch.float64),
        torch.full((1, 3), 1.0 + u, dtype=torch.float64),
        torch.zeros(1, 3), torch.zeros(1, 3),
        beta=2.0, weight=one(1.0), probability=one(p),
    )  # fmt: skip
    assert three.item() == pytest.approx(whole, rel=1e-12)
    assert metrics["ess"] == 1
