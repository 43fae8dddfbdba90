"""Noise laws of the UNet families: DDIM of the scheduler, input scaling, consistency steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler, LatentConsistencyModelPipeline, LCMScheduler, PNDMScheduler
from torch import Tensor

from data.errors import UserError
from tests.train import families
from train import models
from train.models.t2v_turbo import guidance_embedding, levels, solver_ticks
from train.models.unet import ddim
from train.models.videocrafter import scaling
from train.nets.convert import scheduler


def loaded(name: str, tmp_path_factory: pytest.TempPathFactory) -> models.VideoModel:
    return models.load(str(families.module(name).save(tmp_path_factory.mktemp("laws") / name)))


@pytest.fixture(scope="module")
def videocrafter(tmp_path_factory: pytest.TempPathFactory) -> models.VideoModel:
    return loaded("videocrafter", tmp_path_factory)


@pytest.fixture(scope="module")
def turbo(tmp_path_factory: pytest.TempPathFactory) -> models.VideoModel:
    return loaded("t2v_turbo", tmp_path_factory)


def test_any_scheduler_of_the_same_levels_has_the_same_law() -> None:
    """Stable Diffusion's folders say PNDM; only the levels are taken."""
    given = {"skip_prk_steps": True, "steps_offset": 1, "set_alpha_to_one": False}
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    law, own = ddim(PNDMScheduler(**given, **betas)), scheduler()
    assert torch.equal(law.alphas_cumprod, own.alphas_cumprod)
    # 1000 // 4 = 250 apart, offset 1; the end is at the first timestep's level
    assert law.schedule(4, (1,)).tolist() == [751, 501, 251, 1, -1]
    assert law.final == own.alphas_cumprod[0].item()


def test_uniform_training_timesteps() -> None:
    t = ddim(scheduler()).timesteps(torch.tensor([0.0, 0.5, 0.9999]), (1,))
    assert t.tolist() == [0, 500, 999]


def test_what_cannot_be_sampled_is_refused() -> None:
    with pytest.raises(UserError, match="'sample'"):
        ddim(DDIMScheduler(prediction_type="sample"))
    with pytest.raises(ValueError, match="signal"):
        ddim(DDIMScheduler(rescale_betas_zero_snr=True))


class TestInputScaling:
    def test_table(self) -> None:
        s = scaling(1000, 0.7)
        assert s[0] == 1
        assert s[133] == pytest.approx(0.9)  # a third of the way: 1 - 0.3 * 133 / 399
        assert s[399] == pytest.approx(0.7)
        assert (s[399:] == s[399]).all()

    def test_noised_scales_the_clip_alone(self, videocrafter: models.VideoModel) -> None:
        shape, t = (1, 4, 4, 8, 8), torch.tensor([133.0])
        share = scheduler().alphas_cumprod[133]
        signal = videocrafter.noised(torch.ones(shape), torch.zeros(shape), t)
        assert torch.allclose(signal, 0.9 * share.sqrt())
        noise = videocrafter.noised(torch.zeros(shape), torch.ones(shape), t)
        assert torch.allclose(noise, (1 - share).sqrt())

    def test_v_prediction_has_no_scaling(self) -> None:
        law = ddim(DDIMScheduler(prediction_type="v_prediction"))
        with pytest.raises(ValueError, match="unscaled"):
            replace(law, scale=scaling(1000, 0.7))


class TestTurbo:
    def test_training_timesteps_are_the_solver_s(self, turbo: models.VideoModel) -> None:
        t = turbo.timesteps(torch.tensor([0.0, 0.02, 0.5, 0.999]))
        assert t.tolist() == [19, 39, 519, 999]

    def test_sampling_timesteps(self) -> None:
        chosen = levels(solver_ticks(1000))
        assert chosen(4, ()).tolist() == [999, 759, 519, 279, -1]  # every twelfth of 50
        assert chosen(8, ()).tolist() == [999, 879, 759, 639, 519, 399, 279, 159, -1]
        assert chosen(1, ()).tolist() == [999, -1]
        with pytest.raises(UserError, match="1 to 50 steps"):
            chosen(51, ())

    def test_clean_is_that_of_latent_consistency(self, turbo: models.VideoModel) -> None:
        """diffusers' scheduler with its boundary scalings, which are left out here."""
        own = LCMScheduler(beta_start=0.00085, beta_end=0.012, clip_sample=False)
        own.set_timesteps(4)
        draw = torch.Generator().manual_seed(0)
        x, e = (torch.randn(1, 4, 4, 8, 8, generator=draw) for _ in range(2))
        for t in own.timesteps:
            theirs = own.step(e, t, x, generator=draw).denoised
            ours = turbo.clean(e, x, t[None].float())
            assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-4)

    def test_the_last_step_is_the_clean_estimate(self, turbo: models.VideoModel) -> None:
        x, e = torch.ones(1, 4, 4, 8, 8), torch.full((1, 4, 4, 8, 8), 0.5)
        schedule = turbo.schedule(4)
        ends = turbo.step(e, 3, x, schedule)
        assert torch.allclose(ends, turbo.clean(e, x, schedule[3:4]))

    def test_guidance_is_embedded_as_published(self) -> None:
        w = torch.tensor([5.0, 7.5, 15.0])
        embed = LatentConsistencyModelPipeline.get_guidance_scale_embedding
        assert torch.allclose(guidance_embedding(w, 256), embed(None, w, 256), atol=1e-3)
        # the first sine is of 1000 w itself
        assert torch.allclose(guidance_embedding(w, 256)[:, 0], (1000 * w).sin(), atol=1e-4)

    def test_the_network_is_told(self, turbo: models.VideoModel) -> None:
        """VideoDPO's code drops the guidance on the way; another w must change the prediction."""
        told = turbo.embed(["a red circle"])
        x, t = torch.ones(1, 4, 4, 8, 8), torch.tensor([999.0])
        other = {**told.tensors, "guidance": guidance_embedding(torch.tensor([12.0]), 8)}
        base = turbo.predict(x, t, told)
        assert not torch.allclose(turbo.predict(x, t, models.Conditions(other)), base, atol=1e-5)
        faster: dict[str, Tensor] = {**told.tensors, "fps": torch.tensor([24.0])}
        assert not torch.allclose(turbo.predict(x, t, models.Conditions(faster)), base, atol=1e-5)


class TestRefusedSettings:
    def test_animatediff(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        model = loaded("animatediff", tmp_path_factory)
        with pytest.raises(UserError, match="multiples of 8"):
            model.check(replace(model.sample_defaults, width=20))
        with pytest.raises(UserError, match="at most 8 frames"):
            model.check(replace(model.sample_defaults, frames=9))

    def test_videocrafter(self, videocrafter: models.VideoModel) -> None:
        with pytest.raises(UserError, match="multiples of 4"):  # 2 of the pixels, 2 of the levels
            videocrafter.check(replace(videocrafter.sample_defaults, height=18))

    def test_turbo(self, turbo: models.VideoModel) -> None:
        with pytest.raises(UserError, match="--guidance 1"):
            turbo.check(replace(turbo.sample_defaults, guidance=7.5))
