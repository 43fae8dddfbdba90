"""UniPC, the sampler of published Wan folders: beside the pipeline, its order, its gradient."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, UniPCMultistepScheduler

from data.errors import UserError
from tests.train import families, tiny_image
from tests.train.bright import every_reward, metrics, settings, weights
from train import models, vader
from train.models import parts
from train.parametrisation import Flow
from train.reward.backprop import Backprop, Draws, rolled
from train.sampling.rollout import Guidance, Sampler, denoise, initial_noise

TEXT = "a red circle"
DRAWS = Draws(seed=0, step=0, clips=[(TEXT, 0)])
PUBLISHED: dict[str, Any] = {
    "prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0,
}  # fmt: skip
"""What the published folders' `scheduler_config.json` says, all else being the class's default."""


class Fractions(UniPCMultistepScheduler):
    """UniPC that shows the network 1000 t as it is; the class's own cuts it to an integer."""

    def set_timesteps(self, *args: Any, **kwargs: Any) -> None:
        super().set_timesteps(*args, **kwargs)
        self.timesteps = self.sigmas[:-1] * 1000


def published(name: str, folder: Path) -> Path:
    """A tiny folder of a Wan family with the scheduler that it is published with."""
    made = families.module(name).save(folder / name)
    UniPCMultistepScheduler(**PUBLISHED).save_pretrained(made / "scheduler")
    index = made / "model_index.json"
    parts_of = json.loads(index.read_text()) | {
        "scheduler": ["diffusers", UniPCMultistepScheduler.__name__]
    }
    index.write_text(json.dumps(parts_of))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published("wan", tmp_path_factory.mktemp("unipc"))


@pytest.fixture(scope="module")
def model(folder: Path) -> models.VideoModel:
    return models.load(str(folder), device="cpu")


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_the_sampler_is_the_pipelines_own(model: models.VideoModel, steps: int):
    compare(model, "wan", steps)


@pytest.mark.parametrize("name", ["wan_image", "wan22", "wan22_image", "ti2v", "ti2v_image"])
def test_so_it_is_in_the_other_wans(name: str, tmp_path: Path):
    compare(models.load(str(published(name, tmp_path))), name, 4)


def compare(model: Any, name: str, steps: int) -> None:
    """Ours and the pipeline's clip from the same noise."""
    settings, scale = model.sample_defaults, model.sample_defaults.guidance
    noise = initial_noise(model, settings, [5])
    model.pipeline.scheduler = Fractions(**PUBLISHED)
    with torch.no_grad():
        first = tiny_image.first(settings) if model.image_conditioned else None
        guidance = Guidance.of(model, [TEXT], scale, first=first)
        ours = model.decode(denoise(Sampler(model, steps, noise.shape[1:]), noise, guidance))
    theirs = families.module(name).theirs(model, noise, TEXT, steps, scale)
    assert ours.std() > 0.01
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0.0)


def error(law: Flow, steps: int) -> float:
    """Of dx/dt = v(x, t) = x from 1 at t = .9 down to .1, where it is e to the -.8."""
    schedule = torch.linspace(0.9, 0.1, steps + 1, dtype=torch.float64)
    x, solver = torch.ones(1, 1, dtype=torch.float64), law.solver(schedule)
    for i in range(steps):
        x = solver(x, i, x)
    return abs(x.item() - math.exp(-0.8))


def test_its_error_falls_faster_than_eulers():
    """Twice the steps: half the error by Euler (order 1), a quarter or less by UniPC (order 2)."""
    unipc = parts.flow(UniPCMultistepScheduler(**PUBLISHED, lower_order_final=False))
    euler = replace(unipc, multistep=None)
    assert error(euler, 40) / error(euler, 20) == pytest.approx(0.5, abs=0.05)
    assert error(unipc, 40) / error(unipc, 20) < 0.3
    assert error(unipc, 20) < error(euler, 20) / 10


def test_a_path_that_is_straight_is_followed_exactly(model: models.VideoModel):
    """Where the velocity is noise - x0 everywhere, the last step ends at x0."""
    x0, noise = torch.full((1, 4, 9, 8, 8), 0.25), initial_noise(model, model.sample_defaults, [1])
    sampler, latents = Sampler(model, 4, x0.shape[1:]), noise
    for i in range(4):
        latents = sampler.advance(noise - x0, i, latents)
    torch.testing.assert_close(latents, x0, atol=1e-5, rtol=0.0)


def test_rollouts_do_not_share_what_is_remembered(model: models.VideoModel):
    noise = initial_noise(model, model.sample_defaults, [1])
    guidance = Guidance.of(model, [TEXT], 1.0)
    with torch.no_grad():
        alone = denoise(Sampler(model, 3), noise, guidance)
        one, other = Sampler(model, 3), Sampler(model, 3)
        late, far = noise, -noise
        for i in range(3):  # two rollouts by turns
            late, far = denoise(one, late, guidance, [i]), denoise(other, far, guidance, [i])
    assert torch.equal(late, alone)
    assert not torch.equal(far, alone)


class TestGradient:
    @pytest.fixture
    def gain(self, model: models.VideoModel, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
        """Of a network that predicts `a` times its input."""
        a = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        monkeypatch.setattr(model, "predict", lambda noisy, t, conditions: a * noisy)
        return a

    def test_of_the_last_step_is_that_of_the_clean_estimate(self, model, gain):
        """The last step ends at x0 = x - t v, so that d x0 / d a = -t x: as by Euler."""
        noise = initial_noise(model, model.sample_defaults, [1]).double()
        made = rolled(model, noise, Guidance.of(model, [TEXT], 1.0), Backprop(total=4), DRAWS)
        (found,) = torch.autograd.grad(made.latents.sum(), gain)
        level = model.schedule(4)[-2].item()
        assert found.item() == pytest.approx(-level * made.late.sum().item())

    @pytest.mark.parametrize("chosen", [(2, 3), (1, 3), (0, 1, 2, 3)])
    def test_of_several_steps_is_the_measured_one(self, model, gain, chosen):
        """Also through what the solver remembers of chosen steps, and of them alone."""
        noise = initial_noise(model, model.sample_defaults, [1]).double()
        guidance = Guidance.of(model, [TEXT], 1.0)
        plan = Backprop(total=4, steps=",".join(map(str, chosen)))
        made = rolled(model, noise, guidance, plan, DRAWS)
        (found,) = torch.autograd.grad(made.latents.sum(), gain)
        assert made.latents.sum().item() == pytest.approx(self.end(model, noise, 0.7, {}))
        base = self.predictions(model, noise)
        held = {i: base[i] for i in range(4) if i not in chosen}
        up, down = (self.end(model, noise, 0.7 + change, held) for change in (1e-5, -1e-5))
        assert found.item() == pytest.approx((up - down) / 2e-5, rel=1e-6)

    def predictions(self, model: Any, noise: torch.Tensor) -> list[torch.Tensor]:
        """Of each step, at a gain of 0.7."""
        sampler, latents, found = Sampler(model, 4), noise, []
        for i in range(4):
            found.append(0.7 * latents)
            latents = sampler.advance(found[-1], i, latents)
        return found

    def end(self, model: Any, noise: torch.Tensor, gain: float, held: dict[int, Any]) -> float:
        """The sum of the latents at the end, some predictions being held fixed."""
        sampler, latents = Sampler(model, 4), noise
        for i in range(4):
            prediction = held[i] if i in held else gain * latents
            latents = sampler.advance(prediction, i, latents)
        return latents.sum().item()


@pytest.mark.parametrize(
    "scheduler",
    [
        DDIMScheduler(),
        UniPCMultistepScheduler(),  # for noise prediction, as image models have it
        UniPCMultistepScheduler(use_flow_sigmas=True),
    ],
)
def test_other_schedulers_are_refused_by_name(scheduler: Any):
    with pytest.raises(UserError, match=f"scheduler is {type(scheduler).__name__}; supported are"):
        parts.flow(scheduler)


def test_reward_gradients_train_such_a_folder_and_the_seed_repeats_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    every_reward(monkeypatch)
    config = vader.Config(steps=2, k=2, watch_clips=0, plan="none", **settings(tmp_path, folder))
    once, again = vader.run(config), vader.run(config)
    assert weights(once) == weights(again)
    assert metrics(once)[-1]["drift"] > 0
