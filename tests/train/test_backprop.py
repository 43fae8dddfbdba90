"""Where a rollout's gradient goes, against closed forms and hand-worked products."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from data.errors import UserError
from train import models
from train.parametrisation import Discrete
from train.reward.backprop import Backprop, Draws, Rolled, rolled
from train.sampling.rollout import Guidance, initial_noise

TEXT = "a red circle moving left"
GAIN = 0.8
DRAWS = Draws(seed=3, step=5, clips=[(TEXT, 0)])


@pytest.fixture
def linear(tiny_model: models.VideoModel, monkeypatch: pytest.MonkeyPatch):
    """A network that predicts `a` times its input: each Euler step multiplies by 1 + (s' - s) a.

    With all values in float64. Returns the model, `a`, the factors and the steps s' - s.
    """
    a = torch.tensor(GAIN, dtype=torch.float64, requires_grad=True)
    monkeypatch.setattr(tiny_model, "predict", lambda noisy, t, conditions: a * noisy)
    schedule = tiny_model.schedule(4).double()
    monkeypatch.setattr(tiny_model, "schedule", lambda steps, shape=None: schedule)
    changes = schedule.diff().tolist()
    return tiny_model, a, [1 + change * GAIN for change in changes], changes


def sampled(model: models.VideoModel, **plan: Any) -> tuple[Rolled, float]:
    """A rollout of four steps of one clip, and the sum of its noise."""
    noise = initial_noise(model, model.sample_defaults, [1]).double()
    guidance = Guidance.of(model, [TEXT], 1.0)
    return rolled(model, noise, guidance, Backprop(total=4, **plan), DRAWS), noise.sum().item()


def slope(made: Rolled, a: torch.Tensor) -> float:
    (found,) = torch.autograd.grad(made.latents.sum(), a)
    return found.item()


@pytest.mark.parametrize(
    ("plan", "steps"),
    [
        ({"k": 1}, [3]),
        ({"k": 2}, [2, 3]),
        ({"k": 4}, [0, 1, 2, 3]),
        ({"steps": "2"}, [2]),
        ({"steps": "0,2"}, [0, 2]),
    ],
)
def test_the_gradient_of_the_chosen_steps_in_closed_form(linear, plan: dict, steps: list[int]):
    """d/da of the product, with the steps that are not chosen held fixed in `a`.

    A step that is not chosen and comes later passes the gradient through x alone: its factor is
    1 + (s' - s) a on the way there, and 1 on the way back.
    """
    model, a, factors, changes = linear
    made, total = sampled(model, **plan)
    assert made.latents.sum().item() == pytest.approx(total * math.prod(factors))
    expected = 0.0
    for i in steps:
        before = math.prod(factors[:i])
        after = math.prod(factors[j] if j in steps else 1.0 for j in range(i + 1, 4))
        expected += total * before * changes[i] * after
    assert slope(made, a) == pytest.approx(expected, rel=1e-10)


def test_the_stop_leaves_the_linear_path_alone(linear):
    """DRTune: x' = x + (s' - s) a sg(x), so that d/da is the sum of (s' - s) x over the steps."""
    model, a, factors, changes = linear
    made, total = sampled(model, k=3, stop=True)
    inputs = [total * math.prod(factors[:i]) for i in range(4)]
    expected = sum(changes[i] * inputs[i] for i in (1, 2, 3))
    assert slope(made, a) == pytest.approx(expected, rel=1e-10)


def test_the_shortcut_is_the_clean_estimate_of_a_late_step(linear):
    """ReFL: x0 = x - s a x at the drawn step; for flow matching d x0 / d v = -s."""
    model, a, factors, _ = linear
    made, total = sampled(model, shortcut=3)
    (step,) = Backprop(total=4, shortcut=3).chosen(DRAWS.seed, DRAWS.step)
    level, late = model.schedule(4)[step].item(), total * math.prod(factors[:step])
    assert step in (1, 2, 3)
    assert made.level.item() == level
    assert made.latents.sum().item() == pytest.approx(late * (1 - level * GAIN))
    assert slope(made, a) == pytest.approx(-level * late, rel=1e-10)


def test_inner_draws_begin_at_the_finished_clip(linear):
    """DRaFT-LV: x_s = (1 - s) sg(x0) + s e, then x0 = x_s - s a x_s, for each of n draws."""
    model, a, factors, _ = linear
    made, total = sampled(model, inner=2)
    assert len(made.latents) == 2
    level = model.schedule(4)[-2].item()
    shape = model.latent_shape(model.sample_defaults)
    noisy = [
        (1 - level) * total * math.prod(factors)
        + level * DRAWS.noise(f"inner {j}", model, shape).double().sum().item()
        for j in range(2)
    ]
    for row, start in zip(made.latents, noisy, strict=True):
        assert row.sum().item() == pytest.approx(start * (1 - level * GAIN), rel=1e-6)
    assert slope(made, a) == pytest.approx(-level * sum(noisy), rel=1e-6)


def test_the_last_step_of_ddim_in_closed_form():
    """dx'/de = s' - a' s / a (a^2 = .3, a'^2 = .6), in float64."""
    law = Discrete(
        alphas_cumprod=torch.tensor([0.9, 0.6, 0.3], dtype=torch.float64),
        prediction="epsilon",
        levels=lambda steps, shape: torch.tensor([2.0, 1.0]),
    )
    e = torch.full((1, 1), 0.5, dtype=torch.float64, requires_grad=True)
    x = torch.full((1, 1), 0.7, dtype=torch.float64)
    law.step(e, 0, x, law.schedule(1, ())).sum().backward()
    assert e.grad is not None
    expected = math.sqrt(0.4) - math.sqrt(0.6 / 0.3) * math.sqrt(0.7)
    assert e.grad.item() == pytest.approx(expected, rel=1e-6)  # the amounts are float32


def test_one_branch_of_the_guidance(tiny_model: models.VideoModel, monkeypatch: pytest.MonkeyPatch):
    """u + 3 (c - u) with c = a x and u = b x: d/da is 3 x either way, d/db is -2 x or nothing."""
    a, b = (torch.tensor(value, requires_grad=True) for value in (0.5, 0.25))

    def predict(noisy, t, conditions):
        text = conditions.tensors["text"].flatten(1).abs().sum(1)
        given = (text == told).view(-1, 1, 1, 1, 1)
        return torch.where(given, a * noisy, b * noisy)

    noise = initial_noise(tiny_model, tiny_model.sample_defaults, [1])
    guidance = Guidance.of(tiny_model, [TEXT], 3.0)
    told = guidance.conditions.tensors["text"].flatten(1).abs().sum(1)
    monkeypatch.setattr(tiny_model, "predict", predict)
    change = tiny_model.schedule(1).diff().item()
    for branches, other in (("both", -2.0), ("conditional", 0.0)):
        a.grad = b.grad = None
        plan = Backprop(total=1, branches=branches)
        rolled(tiny_model, noise, guidance, plan, DRAWS).latents.sum().backward()
        assert a.grad is not None
        assert a.grad.item() == pytest.approx(3 * change * noise.sum().item(), rel=1e-4)
        found = 0.0 if b.grad is None else b.grad.item()
        assert found == pytest.approx(other * change * noise.sum().item(), rel=1e-4)


@pytest.mark.parametrize("saving", [{"checkpoint": True}, {"offload": True}])
def test_saving_memory_changes_no_bit(tiny_model: models.VideoModel, saving: dict):
    weights = next(iter(tiny_model.network.parameters())).requires_grad_()
    noise = initial_noise(tiny_model, tiny_model.sample_defaults, [1])
    guidance = Guidance.of(tiny_model, [TEXT], 2.0)
    found = []
    for how in ({}, saving):
        made = rolled(tiny_model, noise, guidance, Backprop(total=3, k=2, **how), DRAWS)
        found.append(torch.autograd.grad(made.latents.square().sum(), weights)[0])
    assert found[0].abs().sum() > 0
    assert torch.equal(*found)


def test_which_steps_are_drawn():
    last = Backprop(total=10, k=3)
    assert last.chosen(0, 0) == (7, 8, 9)
    tail = Backprop(total=10, steps="tail", k=10)
    starts = {tail.chosen(0, step) for step in range(200)}
    assert starts == {tuple(range(start, 10)) for start in range(10)}
    several = Backprop(total=10, steps="random", k=3)
    drawn = [several.chosen(0, step) for step in range(200)]
    assert all(len(set(steps)) == 3 and list(steps) == sorted(steps) for steps in drawn)
    assert {step for steps in drawn for step in steps} == set(range(10))
    assert drawn[0] == several.chosen(0, 0)
    late = Backprop(total=10, shortcut=4)
    assert {late.chosen(0, step) for step in range(200)} == {(6,), (7,), (8,), (9,)}
    assert Backprop(total=10, steps="9,2").chosen(0, 0) == (2, 9)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"k": 0}, "--k is 0"),
        ({"k": 5}, "--k is 5"),
        ({"shortcut": 5}, "--shortcut is 5"),
        ({"steps": "4"}, "--backprop is '4'"),
        ({"steps": "first"}, "--backprop is 'first'"),
        ({"shortcut": 1, "inner": 1}, "--shortcut and --inner"),
    ],
)
def test_what_no_sampler_can_do_is_refused(plan: dict, message: str):
    with pytest.raises(UserError, match=message):
        Backprop(total=4, **plan)
