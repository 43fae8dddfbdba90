"""Objectives on the tiny model with random weights, and beta by level and by what is measured."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from train import bank, policy
from train.losses import clip_error, diffusion_dpo
from train.models import Conditions, VideoModel
from train.parametrisation import Discrete, Edm
from train.policy import Policy
from train.preference.batches import Material, PairBatch
from train.preference.objective import Objective, column_errors, segment_errors, time_axis
from train.preference.strength import DECAY, Automatic, at_level, scheduled


def columns(t: int, steps: float = 1.0) -> Tensor:
    """Predictions `b=1 c=1 t h=1 w=2` whose squared distance to 0 is known by place."""
    return (torch.arange(t * 2).float() * steps).sqrt().view(1, 1, t, 1, 2)


class TestReductions:
    def test_segments_by_hand(self) -> None:
        # squared errors 0..9 in five frames of two columns: frames 0 1 | 1 would be 3 + 2 frames
        found = segment_errors(columns(5), torch.zeros(1, 1, 5, 1, 2), segments=2)
        assert found.tolist() == [pytest.approx([(0 + 1 + 2 + 3 + 4 + 5) / 6, (6 + 7 + 8 + 9) / 4])]

    def test_time_may_be_another_axis(self, tiny: Policy) -> None:
        plain = segment_errors(columns(5), torch.zeros(1, 1, 5, 1, 2), segments=2)
        turned = (columns(5).transpose(1, 2), torch.zeros(1, 5, 1, 1, 2))
        assert torch.equal(segment_errors(*turned, segments=2, axis=0), plain)
        assert time_axis(tiny.model, tiny.model.sample_defaults) == 1

    def test_one_segment_is_the_clip(self) -> None:
        prediction, target = torch.randn(2, 3, 2, 4, 5, 6, generator=torch.Generator())
        one = segment_errors(prediction, target, segments=1)
        assert torch.allclose(one[:, 0], clip_error(prediction, target))

    @pytest.mark.parametrize("segments", [0, 6])
    def test_more_segments_than_frames_are_refused(self, segments: int) -> None:
        with pytest.raises(ValueError, match="of 5 latent frames"):
            segment_errors(columns(5), columns(5), segments=segments)

    def test_the_released_code_leaves_the_width(self) -> None:
        """VideoDPO on (2B, 4, T, 40, 64): the expression gives (2B, 64), not (2B,)."""
        found = column_errors(torch.zeros(4, 4, 3, 40, 64), torch.ones(4, 4, 3, 40, 64))
        assert found.shape == (4, 64)
        # columns of `columns(2)`: squares 0, 2 and 1, 3
        assert column_errors(columns(2), torch.zeros(1, 1, 2, 1, 2)).tolist() == [
            pytest.approx([1.0, 2.0])
        ]

    def test_its_loss_is_one_logistic_term_per_column(self) -> None:
        # beta 2: u = rejected - chosen per column = 1 and -1, at weight 3
        chosen, rejected = torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 1.0]])
        value, metrics = diffusion_dpo(
            chosen, rejected, torch.zeros(1, 2), torch.zeros(1, 2),
            beta=2.0, weight=torch.tensor([3.0]), probability=torch.ones(1),
        )  # fmt: skip
        # log(1 + e^-1) = 0.31326169, log(1 + e) = 1.31326169; the clip's own margin is 0: 3 ln 2
        assert value.item() == pytest.approx(3 * (0.31326169 + 1.31326169) / 2)
        assert (metrics["accuracy"], metrics["margin"], metrics["gap"]) == (0.5, 0, 1)
        assert metrics["ess"] == pytest.approx(1)  # of pairs, not of columns

    def test_weights_and_labels_of_several_pairs_stay_with_their_pair(self) -> None:
        """VideoDPO's code multiplies (B,) with (B, W): an error for B = 2, W = 5."""
        errors = torch.arange(20).float().view(4, 5)
        weight, probability = torch.tensor([1.0, 3.0]), torch.tensor([1.0, 0.25])
        both, _ = diffusion_dpo(
            errors[:2], errors[2:], torch.zeros(2, 5), torch.zeros(2, 5),
            beta=0.1, weight=weight, probability=probability,
        )  # fmt: skip
        each = [
            diffusion_dpo(
                errors[i : i + 1], errors[2 + i : 3 + i], torch.zeros(1, 5), torch.zeros(1, 5),
                beta=0.1, weight=weight[i : i + 1], probability=probability[i : i + 1],
            )[0].item()
            for i in range(2)
        ]  # fmt: skip
        assert both.item() == pytest.approx(sum(each) / 2)


class TestStrength:
    def test_schedules_of_flow_matching_are_those_of_the_textbook(self, tiny: Policy) -> None:
        t = torch.tensor([0.1, 0.5, 0.9])
        assert at_level(tiny.model, t, "constant").tolist() == [1, 1, 1]
        assert at_level(tiny.model, t, "epsilon").tolist() == pytest.approx(
            [(1 - 0.1) ** 2, 0.25, (1 - 0.9) ** 2]
        )
        # min((1 - t)^2 / t^2, 5) t^2: 5 * 0.01, then 0.25 and 0.01
        assert at_level(tiny.model, t, "snr").tolist() == pytest.approx([0.05, 0.25, 0.01])

    @pytest.mark.parametrize("kind", ["epsilon", "v", "edm"])
    def test_other_predictions_by_their_own_relations(self, kind: str) -> None:
        """e_epsilon = a^2 e_v; e_x0 = s^2 e_v = (s / a)^2 e_epsilon."""
        if kind == "edm":
            law, t = Edm(levels=lambda n, _: torch.zeros(n), log_mean=0, log_std=1), (0.5, 3.0)
            shares = [1 / (1 + sigma**2) for sigma in t]  # a^2
        else:
            shares, t = [0.9, 0.1], (0.0, 1.0)
            law = Discrete(
                alphas_cumprod=torch.tensor(shares), levels=lambda n, _: torch.zeros(n),
                prediction="v" if kind == "v" else "epsilon",
            )  # fmt: skip
        found = {name: at_level(law, torch.tensor(t), name) for name in ("epsilon", "snr")}  # type: ignore[arg-type]
        for i, share in enumerate(shares):
            ratio = share / (1 - share)
            expected = 1.0 if kind == "epsilon" else share
            assert found["epsilon"][i] == pytest.approx(expected, rel=1e-5)
            expected = min(ratio, 5) * ((1 / ratio) if kind == "epsilon" else (1 - share))
            assert found["snr"][i] == pytest.approx(expected, rel=1e-5)

    def test_no_signal_is_no_pull_and_not_nan(self) -> None:
        """Zero terminal SNR with v-prediction."""
        none = {"signal": torch.zeros(1), "noise": torch.ones(1), "gain": -torch.ones(1)}
        assert scheduled("epsilon", **none).item() == scheduled("snr", **none).item() == 0

    def test_beta_by_level_scales_each_pairs_margin(self) -> None:
        # u = -beta/2 (1 - 2) = 0.5 and 2: log(1 + e^-0.5) = 0.47407698, log(1 + e^-2) = 0.12692801
        value, _ = diffusion_dpo(
            torch.ones(2), 2 * torch.ones(2), torch.zeros(2), torch.zeros(2),
            beta=torch.tensor([1.0, 4.0]), weight=torch.ones(2), probability=torch.ones(2),
        )  # fmt: skip
        assert value.item() == pytest.approx((0.47407698 + 0.12692801) / 2)

    def test_automatic_by_hand(self) -> None:
        rule = Automatic(1000.0, 0.2)
        rule.see(0.0)
        assert rule.beta == 1000  # nothing has moved apart
        rule.see(0.01)
        # one gap: 2 ln(0.8 / 0.2) / 0.01 = 277.258872
        assert rule.beta == pytest.approx(277.258872)
        # a pair of just this gap then has u = beta/2 * 0.01 and sigmoid(-u) = 0.2
        assert 1 / (1 + math.exp(rule.beta / 2 * 0.01)) == pytest.approx(0.2)
        rule.see(0.02)
        mean = (DECAY * 0.01 + 0.02) / (DECAY + 1)  # unbiased from the first on
        assert rule.beta == pytest.approx(2 * math.log(4) / mean)

    def test_automatic_has_bounds_and_an_off_switch(self) -> None:
        far, near, off = Automatic(10.0, 0.2), Automatic(10.0, 0.2), Automatic(10.0, None)
        for rule, gap in ((far, 1e9), (near, 1e-9), (off, 5.0)):
            rule.see(gap)
        assert (far.beta, near.beta, off.beta) == (0.1, 1000, 10)


@pytest.fixture
def tiny(tiny_model: VideoModel) -> Policy:
    """A policy that is not its reference."""
    made = policy.attach(tiny_model, rank=2, alpha=2, seed=0)
    for i, weight in enumerate(made.parameters):
        weight.data += 0.1 * bank.noise("away", "weight", i, tuple(weight.shape))
    return made


@pytest.fixture
def batch(tiny: Policy) -> PairBatch:
    shape = tiny.model.latent_shape(tiny.model.sample_defaults)
    draw = [bank.noise("clips", name, 0, (2, *shape)) for name in ("chosen", "rejected", "noise")]
    return PairBatch(
        chosen=draw[0], rejected=draw[1], noise=draw[2], u=torch.tensor([0.3, 0.8]),
        conditions=tiny.model.embed(["a red circle", "a blue square"]),
        weight=torch.tensor([1.0, 2.0]), probability=torch.ones(2), pairs=("a", "b"),
    )  # fmt: skip


def cost(objective: Objective, tiny: Policy, batch: PairBatch) -> tuple[Tensor, dict[str, float]]:
    with tiny.reference():
        reference = objective.errors(tiny.model, batch)
    return objective.cost(
        tiny.model, batch, objective.errors(tiny.model, batch), reference, beta=1.0
    )


def gradient(objective: Objective, tiny: Policy, batch: PairBatch) -> Tensor:
    for weight in tiny.parameters:
        weight.grad = None
    cost(objective, tiny, batch)[0].backward()
    grads = [weight.grad for weight in tiny.parameters]
    return torch.cat([grad.flatten() for grad in grads if grad is not None])


class TestObjective:
    def test_anchor_is_the_distance_of_predictions(self, tiny: Policy, batch: PairBatch) -> None:
        plain, _ = cost(Objective(), tiny, batch)
        held, metrics = cost(Objective(anchor=3.0), tiny, batch)
        noisy = tiny.model.noised(batch.chosen, batch.noise, tiny.model.timesteps(batch.u))
        other = tiny.model.noised(batch.rejected, batch.noise, tiny.model.timesteps(batch.u))
        arguments = (
            torch.cat([noisy, other]), tiny.model.timesteps(batch.u).repeat(2),
            batch.conditions.repeat(2),
        )  # fmt: skip
        own = tiny.model.predict(*arguments)
        with tiny.reference():
            theirs = tiny.model.predict(*arguments)
        apart = (own - theirs).square().flatten(1).mean(1)
        expected = (apart * torch.tensor([1.0, 2.0, 1.0, 2.0])).mean()  # by the pair's weight
        assert (held - plain).item() == pytest.approx(3 * expected.item(), rel=1e-5)
        assert metrics["distance"] == pytest.approx(apart.mean().item())
        assert metrics["loss"] - metrics["preference"] == pytest.approx(3 * expected.item())

    def test_an_anchor_alone_pulls_back_to_the_reference(
        self, tiny: Policy, batch: PairBatch
    ) -> None:
        """With beta next to 0 a step downhill brings predictions closer to the reference's."""
        optimizer = torch.optim.SGD(tiny.parameters, lr=0.1)
        before = cost(Objective(anchor=1.0), tiny, batch)[1]["distance"]
        gradient(Objective(anchor=1.0, loss=lambda *_, **__: (torch.zeros(()), {})), tiny, batch)
        optimizer.step()
        assert cost(Objective(anchor=1.0), tiny, batch)[1]["distance"] < before

    def test_one_clip_after_the_other_has_the_same_gradient(
        self, tiny: Policy, batch: PairBatch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = gradient(Objective(anchor=0.1), tiny, batch)
        passes: list[int] = []
        predict = tiny.model.predict

        def counted(noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
            passes.append(len(t))
            return predict(noisy, t, conditions)

        monkeypatch.setattr(tiny.model, "predict", counted)
        alone = gradient(Objective(anchor=0.1, alone=True), tiny, batch)
        assert torch.allclose(alone, whole, rtol=1e-4, atol=1e-7)
        assert passes == [1] * 12  # the reference's, the policy's, and the latter again

    def test_segments_have_margins_of_their_own(self, tiny: Policy, batch: PairBatch) -> None:
        objective = Objective(segments=3)
        found = objective.errors(tiny.model, batch)
        assert found.chosen.shape == (2, 3)
        assert torch.allclose(found.chosen.mean(1), Objective().errors(tiny.model, batch).chosen)
        assert math.isfinite(cost(objective, tiny, batch)[0].item())

    def test_starts_at_ln_2_in_every_way(self, tiny: Policy, batch: PairBatch) -> None:
        one = replace(batch, weight=torch.ones(2))
        for objective in (
            Objective(), Objective(schedule="snr"), Objective(segments=2), Objective(anchor=1.0),
            Objective(released=True), Objective(schedule="epsilon"),
        ):  # fmt: skip
            with tiny.reference():
                errors = objective.errors(tiny.model, one)
            assert objective.cost(tiny.model, one, errors, errors, 5000.0)[0] == math.log(2)

    def test_what_an_anchor_needs_is_not_kept_for_others(self) -> None:
        assert Objective().comparable
        assert not Objective(anchor=0.1).comparable


class TestReleasedDraws:
    @pytest.fixture
    def material(self, batch: PairBatch) -> Material:
        return Material(
            latents={"x": batch.chosen[0], "y": batch.rejected[0]},
            conditions={"p": batch.conditions[0:1]},
        )

    def test_each_clip_has_its_own(self, material: Material) -> None:
        from data.records import Preference

        one = Preference(
            pair="pair", prompt="p", chosen="x", rejected="y", probability=1.0, source="auto"
        )
        turned = replace(one, chosen="y", rejected="x")
        both = [
            material.batch([label], [3], bank_seed=0, device=torch.device("cpu"), released=True)
            for label in (one, turned)
        ]
        assert both[0].own is not None
        assert both[1].own is not None
        assert not torch.equal(both[0].noise, both[0].own.noise)
        assert both[0].u != both[0].own.u
        # by clip and not by role: cached errors serve a label the other way round
        assert torch.equal(both[0].noise, both[1].own.noise)
        assert torch.equal(both[0].own.u, both[1].u)
        shared = material.batch([one], [3], bank_seed=0, device=torch.device("cpu"))
        assert shared.own is None

    def test_reach_the_errors(self, tiny: Policy, batch: PairBatch) -> None:
        from train.preference.batches import Draws

        same = replace(batch, own=Draws(noise=batch.noise, u=batch.u))
        other = replace(batch, own=Draws(noise=batch.chosen, u=1 - batch.u))
        plain, equal, apart = (
            Objective().errors(tiny.model, each) for each in (batch, same, other)
        )
        assert torch.equal(plain.rejected, equal.rejected)
        assert torch.allclose(plain.chosen, apart.chosen)
        assert not torch.allclose(plain.rejected, apart.rejected)
