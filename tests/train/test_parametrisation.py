"""The three laws of noise: worked by hand, against diffusers' schedulers, and their invariants."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from train import bank
from train.models import parts
from train.parametrisation import Discrete, Edm, Flow, Parametrisation, shifted

SHAPE = (2, 3, 4, 8)
LATENTS, NOISE = torch.full((1, *SHAPE), 2.0), torch.full((1, *SHAPE), -1.0)


def at(t: float) -> Tensor:
    return torch.tensor([float(t)])


def ddim(steps: int = 5, **config: Any) -> DDIMScheduler:
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, **config)
    scheduler.set_timesteps(steps)
    return scheduler


ZERO_SNR = Discrete(
    alphas_cumprod=torch.tensor([0.81, 0.36, 0.0]),
    prediction="v",
    levels=lambda steps, shape: torch.tensor([2.0, 1.0, -1.0]),
)
EDM = Edm(levels=lambda steps, shape: torch.tensor([2.0, 1.0, 0.0]), log_mean=0.7, log_std=1.6)
LAWS = {
    "flow": Flow(shift=3.0),
    "discrete": parts.discrete(ddim()),
    "zero-snr": ZERO_SNR,
    "edm": EDM,
}


class TestFlow:
    def test_hand_worked(self) -> None:
        law = Flow()
        noisy = law.noised(LATENTS, NOISE, at(0.25))
        assert (noisy == 1.25).all()  # 0.75 * 2 + 0.25 * -1
        assert (law.target(LATENTS, NOISE, at(0.25)) == -3.0).all()
        assert (law.clean(torch.full_like(noisy, -3.0), noisy, at(0.25)) == 2.0).all()
        # Euler from 0.5 to 0.25: 1 + (0.25 - 0.5) * 4 = 0
        ones, schedule = torch.ones_like(noisy), torch.tensor([0.5, 0.25])
        assert (law.step(4 * ones, 0, ones, schedule) == 0.0).all()

    def test_shift(self) -> None:
        assert shifted(at(0.5), 3.0).item() == 0.75  # 3 * 0.5 / (1 + 2 * 0.5)
        law = Flow(shift=3.0)
        assert law.timesteps(torch.tensor([0.0, 0.5]), SHAPE).tolist() == [
            pytest.approx(0.001),
            0.75,
        ]
        assert law.schedule(2, SHAPE).tolist() == [1.0, 0.75, 0.0]

    def test_a_shift_may_depend_on_the_shape(self) -> None:
        law = Flow(shift=lambda shape: float(shape[1]))  # 3 latent frames
        assert law.schedule(2, SHAPE).tolist() == [1.0, 0.75, 0.0]
        assert law.timesteps(at(0.5), SHAPE).item() == 0.75

    def test_a_schedulers_shift_grows_with_the_clip(self) -> None:
        """LTX-Video's law: exp(mu), mu on a line through the two sequence lengths."""
        scheduler = FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05,
            base_image_seq_len=64, max_image_seq_len=256,
        )  # fmt: skip
        law = parts.flow(scheduler, parts.evenly)
        # 3 * 4 * 8 = 96 positions: mu = 0.95 + 1.1 * 32 / 192
        shift = math.exp(0.95 + 1.1 * 32 / 192)
        expected = shift * 0.5 / (1 + (shift - 1) * 0.5)
        assert law.timesteps(at(0.5), SHAPE).item() == pytest.approx(expected)
        assert law.schedule(2, SHAPE).tolist() == [1.0, pytest.approx(expected), 0.0]
        assert law.schedule(2, (2, 6, 4, 8))[1] > law.schedule(2, SHAPE)[1]


class TestDiscrete:
    def test_hand_worked_v(self) -> None:
        noisy = ZERO_SNR.noised(LATENTS, NOISE, at(1))  # a = 0.6, s = 0.8
        assert torch.allclose(noisy, torch.tensor(0.4))  # 0.6 * 2 + 0.8 * -1
        v = ZERO_SNR.target(LATENTS, NOISE, at(1))
        assert torch.allclose(v, torch.tensor(-2.2))  # 0.6 * -1 - 0.8 * 2
        assert torch.allclose(ZERO_SNR.clean(v, noisy, at(1)), LATENTS)

    def test_pure_noise_is_where_sampling_begins(self) -> None:
        assert torch.equal(ZERO_SNR.noised(LATENTS, NOISE, at(2)), NOISE)
        v = ZERO_SNR.target(LATENTS, NOISE, at(2))
        assert torch.equal(v, -LATENTS)
        stepped = ZERO_SNR.step(v, 0, NOISE, ZERO_SNR.schedule(2, SHAPE))
        assert torch.allclose(stepped, ZERO_SNR.noised(LATENTS, NOISE, at(1)))

    def test_training_levels_are_the_integers(self) -> None:
        assert ZERO_SNR.timesteps(torch.tensor([0.0, 0.34, 0.99]), SHAPE).tolist() == [0, 1, 2]

    def test_epsilon_without_signal_is_refused(self) -> None:
        with pytest.raises(ValueError, match="epsilon"):
            Discrete(
                alphas_cumprod=ZERO_SNR.alphas_cumprod, prediction="epsilon", levels=ZERO_SNR.levels
            )

    @pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
    @pytest.mark.parametrize("to_one", [True, False])
    def test_steps_are_those_of_diffusers(self, prediction_type: str, *, to_one: bool) -> None:
        scheduler = ddim(prediction_type=prediction_type, set_alpha_to_one=to_one)
        law = parts.discrete(scheduler)
        schedule = law.schedule(5, SHAPE)
        assert schedule[:-1].tolist() == scheduler.timesteps.tolist()
        x, prediction = (bank.noise("test", name, 0, (1, *SHAPE)) for name in ("x", "prediction"))
        for i in range(5):
            theirs = scheduler.step(prediction, int(schedule[i]), x, return_dict=False)[0]
            assert torch.allclose(law.step(prediction, i, x, schedule), theirs, atol=1e-5)

    def test_the_steps_gradient(self) -> None:
        """DDIM: s' - (a' / a) s per unit of epsilon."""
        law = parts.discrete(ddim())
        schedule, prediction = law.schedule(5, SHAPE), torch.zeros(1, *SHAPE, requires_grad=True)
        law.step(prediction, 1, LATENTS, schedule).sum().backward()
        now, then = (law.alphas_cumprod[int(schedule[i])].sqrt().item() for i in (1, 2))
        s_now, s_then = (math.sqrt(1 - a * a) for a in (now, then))
        assert prediction.grad is not None
        assert torch.allclose(prediction.grad, torch.tensor(s_then - then / now * s_now))


class TestEdm:
    """In x = z sqrt(1 + sigma^2): latents 1, noise -1, sigma 2 give x = -1 and z = -1 / sqrt 5."""

    ONE = torch.ones(1, *SHAPE)

    def test_hand_worked(self) -> None:
        noisy = EDM.noised(self.ONE, -self.ONE, at(2))
        assert torch.allclose(noisy, -self.ONE / math.sqrt(5))
        prediction = EDM.target(self.ONE, -self.ONE, at(2))
        assert torch.allclose(prediction, -3 * self.ONE / math.sqrt(5))
        # c_skip x + c_out F = -1 / 5 + (-2 / sqrt 5) (-3 / sqrt 5) = 1
        assert torch.allclose(EDM.clean(prediction, noisy, at(2)), self.ONE)

    def test_steps_are_eulers(self) -> None:
        scheduler = EulerDiscreteScheduler(
            prediction_type="v_prediction", timestep_type="continuous", use_karras_sigmas=True,
            sigma_min=0.002, sigma_max=700.0,
        )  # fmt: skip
        scheduler.set_timesteps(4)
        sigmas = torch.as_tensor(scheduler.sigmas)
        x, prediction = (bank.noise("test", name, 0, (1, *SHAPE)) for name in ("x", "prediction"))
        for i, t in enumerate(scheduler.timesteps):
            here, there = ((1 + sigmas[i + k] ** 2).sqrt() for k in (0, 1))
            theirs = scheduler.step(prediction, t, x * here, return_dict=False)[0] / there
            assert torch.allclose(EDM.step(prediction, i, x, sigmas), theirs, atol=1e-4)

    def test_training_levels_are_log_normal(self) -> None:
        found = EDM.timesteps(torch.tensor([0.5, 0.8413447]), SHAPE)
        expected = torch.tensor([math.exp(0.7), math.exp(0.7 + 1.6)])
        assert torch.allclose(found, expected, rtol=1e-4)
        assert torch.isfinite(EDM.timesteps(torch.tensor([0.0, 1.0]), SHAPE)).all()


@pytest.mark.parametrize("name", LAWS)
class TestEveryLaw:
    @pytest.fixture
    def law(self, name: str) -> Parametrisation:
        return LAWS[name]

    def test_sampling_starts_from_unit_variance(self, law: Parametrisation) -> None:
        x, noise = (bank.noise("test", name, 0, (1, 16, 16, 16)) for name in ("x", "noise"))
        for u in (0.3, 0.99):
            t = law.timesteps(at(u), SHAPE)
            assert law.noised(x, noise, t).std() < 1.1
        assert law.noised(x, noise, law.schedule(2, SHAPE)[:1]).std() == pytest.approx(1, abs=0.05)

    def test_an_error_of_the_prediction_is_a_share_of_it_in_the_clean(
        self, law: Parametrisation
    ) -> None:
        """The step to the cleanest level from a wrong prediction ends at the wrong `clean`."""
        schedule = law.schedule(2, SHAPE)
        t, end = schedule[-2:-1], schedule[-1:]
        noisy = law.noised(LATENTS, NOISE, t)
        wrong = law.target(LATENTS, NOISE, t) + 0.1
        found = law.clean(wrong, noisy, t)
        assert (found - LATENTS).abs().max() > 1e-3
        if torch.equal(law.noised(LATENTS, NOISE, end), LATENTS):
            assert torch.allclose(law.step(wrong, len(schedule) - 2, noisy, schedule), found)
