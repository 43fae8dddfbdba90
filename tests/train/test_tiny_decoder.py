"""`--decoder`: a tiny decoder with random weights, so that its bias is large and is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny

from data.errors import UserError
from tests.train.bright import TEXTS, every_reward, metrics, settings
from tests.train.families import animatediff, svd
from train import models, policy, vader
from train.reward import rewards, tiny_decoder
from train.reward.backprop import Backprop, Draws
from train.reward.frames import Scoring, decoded
from train.reward.rewarded import RolloutAndReward
from train.reward.tiny_decoder import TinyDecoder


@pytest.fixture(autouse=True)
def brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    every_reward(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return animatediff.save(tmp_path_factory.mktemp("animatediff"))


@pytest.fixture(scope="module")
def model(folder: Path) -> models.VideoModel:
    return models.load(str(folder))


@pytest.fixture(scope="module")
def taesd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two levels, as the tiny families' autoencoder has."""
    return save(tmp_path_factory.mktemp("taesd"), levels=2)


def save(folder: Path, levels: int) -> Path:
    widths, blocks = (4,) * levels, (1,) * levels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = AutoencoderTiny(
            encoder_block_out_channels=widths, decoder_block_out_channels=widths,
            num_encoder_blocks=blocks, num_decoder_blocks=blocks,
        )  # fmt: skip
    made.save_pretrained(folder)
    return folder


def latents(model: models.VideoModel, clips: int = 2) -> torch.Tensor:
    shape = model.latent_shape(model.sample_defaults)
    return torch.randn(clips, *shape, generator=torch.Generator().manual_seed(0))


def test_frames_are_those_of_the_picture_decoder(model: models.VideoModel, taesd: Path):
    """Latents as the denoiser has them, frame by frame, from [-1, 1] to [0, 1]."""
    decoder, drawn = tiny_decoder.load(str(taesd), model), latents(model)
    found = decoded(model, drawn, Scoring(decoder=decoder), 0.0)
    size = model.sample_defaults
    assert found.shape == (2, size.frames, 3, size.height, size.width)
    picture = decoder.vae.decode(drawn[1, :, 3][None]).sample[0]
    torch.testing.assert_close(found[1, 3], ((picture + 1) / 2).clamp(0, 1))
    some = decoded(model, drawn, Scoring(spec="1,3", checkpointed=True, decoder=decoder), 0.0)
    torch.testing.assert_close(some, found[:, [1, 3]])


def test_time_comes_first_in_the_latents_of_stable_video_diffusion(tmp_path: Path, taesd: Path):
    model = models.load(str(svd.save(tmp_path)))
    decoder, drawn = tiny_decoder.load(str(taesd), model), latents(model)
    found = decoded(model, drawn, Scoring(spec="first", decoder=decoder), 0.0)
    picture = decoder.vae.decode(drawn[1, 0][None]).sample[0]
    torch.testing.assert_close(found[1, 0], ((picture + 1) / 2).clamp(0, 1))


def test_rewards_reach_the_adapter_through_it(folder: Path, taesd: Path):
    model = models.load(str(folder))
    decoder = tiny_decoder.load(str(taesd), model)
    trained = policy.attach(model, rank=2, alpha=2, seed=0)
    few = replace(model.sample_defaults, steps=2)
    mixture = rewards.Mixture({"bright": 1.0}, device="cpu")
    scoring = Scoring(spec="random", checkpointed=True, decoder=decoder)
    rolled = RolloutAndReward(trained, mixture, few, Backprop(total=2), scoring)
    rolled(Draws(seed=0, step=0, clips=[(TEXTS[0], 0)])).rewards.mean().backward()
    found = [weight.grad for weight in trained.parameters if weight.grad is not None]
    assert sum(grad.abs().sum().item() for grad in found) > 0
    own = trained.model.autoencoder  # pyright: ignore[reportAttributeAccessIssue]
    same = tiny_decoder.measured(trained, mixture, replace(scoring, decoder=own), few, TEXTS, 0)
    assert same == pytest.approx({"difference": 0, "cosine": 1, "correlation": 1}, abs=1e-5)


def test_the_bias_by_hand():
    tiny, whole = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 2.5])
    found = tiny_decoder.bias(tiny, whole, torch.tensor([0.5, -0.25]))
    assert found == pytest.approx({"difference": -0.25, "correlation": 1.0, "cosine": 0.125})
    still = tiny_decoder.bias(torch.ones(2), whole, torch.ones(2))
    assert still == {"difference": -1.25, "cosine": 1.0}  # nothing to correlate
    assert "correlation over clips not defined" in tiny_decoder.told(still, 2)


def test_the_command_measures_it_first_and_says_so(
    tmp_path: Path, folder: Path, taesd: Path, capsys: pytest.CaptureFixture[str]
):
    given = settings(tmp_path, folder) | {
        "sampler_steps": 2, "score_frames": "first", "plan": "none",
    }  # fmt: skip
    run = vader.run(vader.Config(steps=1, watch_clips=0, decoder=str(taesd), **given))
    first, step = metrics(run)
    assert (first["split"], first["clips"]) == ("decoder", 3)
    assert abs(first["difference"]) > 1e-3  # random weights
    assert -1 <= first["cosine"] <= 1
    assert step["split"] == "train"
    assert "Through the tiny decoder, on 3 clips of the reference" in capsys.readouterr().out
    card = (Path(run.folder) / "adapter" / "README.md").read_text()
    assert f"Scored frames were decoded by {taesd}." in card
    assert f"| difference | {first['difference']:.6g} |" in card


def test_what_does_not_fit_is_refused(
    model: models.VideoModel, tiny_model: models.VideoModel, tmp_path: Path, taesd: Path
):
    with pytest.raises(UserError, match="not those of an image autoencoder, which AnimateDiff"):
        tiny_decoder.load(str(taesd), tiny_model)
    with pytest.raises(UserError, match="'nowhere' cannot be loaded"):
        tiny_decoder.load("nowhere", model)
    with pytest.raises(UserError, match=r"4 channels and 4 pixels a side.* 2 pixels"):
        tiny_decoder.load(str(save(tmp_path, levels=3)), model)
    assert isinstance(tiny_decoder.load(str(taesd), model), TinyDecoder)
