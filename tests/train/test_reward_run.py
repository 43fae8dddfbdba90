"""Runs on rewards: published presets, prompts, several processes, and the switch from labels."""

from __future__ import annotations

import importlib
import math
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import scorers
from data.errors import UserError
from tests.train import world
from tests.train.bright import TEXTS, Brightness, every_reward, metrics, settings, weights
from tests.train.families import wan_image
from train import dpo, models, policy, vader
from train.models import VideoModel
from train.models.protocol import FirstFrames
from train.reward import reward_run, rewards, vader_config
from train.reward.backprop import Backprop, Draws
from train.reward.rewarded import RolloutAndReward
from train.sampling import activities
from train.sampling.prompts import read


@pytest.fixture(autouse=True)
def brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    every_reward(monkeypatch)


@pytest.fixture
def config(tmp_path: Path, tiny_folder: Path) -> vader.Config:
    return vader.Config(steps=1, watch_clips=0, plan="none", **settings(tmp_path, tiny_folder))


def test_a_preset_is_the_published_experiment_and_options_win():
    made = vader_config.configured({"preset": "vader-hps-modelscope", "lr": 1e-4})
    assert (made.reward, made.loss, made.target) == ("hpsv2?dialect=vader", "distance", 1.0)
    assert (made.sampler_steps, made.guidance, made.batch, made.k) == (25, 9.0, 16, 1)
    assert (made.lr, made.score_frames, made.preset) == (1e-4, "random", "vader-hps-modelscope")
    with pytest.raises(UserError, match="vader-aesthetic-videocrafter2"):
        vader_config.configured({"preset": "vader-rain"})


def test_presets_have_the_published_losses():
    """At aesthetic 5, HPS 0.25 and PickScore 20, by the formulas of VADER's code."""
    scores = {"aesthetic": 5.0, "hpsv2.1": 0.25, "pickscore": 20.0}
    published = {
        "vader-aesthetic": 0.1 * abs(5 - 10),
        "vader-hps": 1 - 0.25,
        "vader-aesthetic-hps": (1.5 * 0.1 * abs(5 - 10) + abs(1 - 0.25)) / 2,
        "vader-pickscore": abs(1 - 20 / 100),
    }
    for name, expected in published.items():
        preset = vader_config.PRESETS[name]
        parsed = rewards.parse(preset["reward"])
        reward = sum(weight * scores[spec.partition("?")[0]] for spec, weight in parsed.items())
        loss = rewards.LOSSES[preset["loss"]](torch.tensor([reward]), preset["target"])
        assert loss.item() == pytest.approx(expected)


def test_prompts_from_a_file_become_train_prompts(config: vader.Config, tmp_path: Path):
    path = tmp_path / "mine.txt"
    path.write_text("a blue circle\na red circle\n")
    assert reward_run.train_prompts(config.db, str(path)) == ["a blue circle", "a red circle"]
    assert set(reward_run.train_prompts(config.db)) == {*TEXTS, "a blue circle", "a red circle"}
    path.write_text("a test\n")
    with pytest.raises(UserError, match="not of split train"):
        reward_run.train_prompts(config.db, str(path))


def test_the_activity_prompts_and_their_split(config: vader.Config):
    found = reward_run.train_prompts(config.db, "activity")
    assert len(found) == 45 * 3
    assert {"a cat washing the dishes", "an ant playing chess"} <= {*found}
    assert len({text.split()[1] for text in activities.prompts()[:45]}) == 45
    with pytest.raises(UserError, match="not of split test"):  # what was trained on tests nothing
        read("activity:45", "test", db=config.db)
    with pytest.raises(UserError, match="from 1 to 135"):
        read("activity:136", "train", db=config.db)


@pytest.fixture(scope="module")
def ranks(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every process of `tests.train.reward_ranks` left behind."""
    folder = tmp_path_factory.mktemp("ranks")
    db = settings(folder, tiny_folder)["db"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.reward_ranks", str(tiny_folder), str(folder), db],
        cwd=Path(__file__).parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("way", ["last", "drawn"])
def test_two_processes_climb_as_one_with_the_double_batch(ranks: Path, way: str):
    alone, one, other = (torch.load(ranks / f"{way}-{rank}.pt") for rank in ("1-0", "2-0", "2-1"))
    assert max(gradient.abs().max() for gradient in alone["gradients"]) > 1e-5
    for found in (one, other):
        for mine, theirs in zip(alone["gradients"], found["gradients"], strict=True):
            assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-9)
        for mine, theirs in zip(alone["metrics"], found["metrics"], strict=True):
            assert theirs == pytest.approx(mine, rel=1e-3, abs=1e-6)
    assert all(torch.equal(one["state"][name], other["state"][name]) for name in one["state"])


def test_two_processes_of_ddpo_do_as_one_with_the_double_batch(ranks: Path):
    """Advantages over all clips, parts that lie across processes, one adapter."""
    alone, one, other = (torch.load(ranks / f"ddpo-{rank}.pt") for rank in ("1-0", "2-0", "2-1"))
    assert len(alone["gradients"]) == 4  # two steps of two parts
    for found in (one, other):
        for mine, theirs in zip(alone["gradients"], found["gradients"], strict=True):
            assert (mine - theirs).norm() < 1e-3 * mine.norm()  # batches of another size round so
        for mine, theirs in zip(alone["metrics"], found["metrics"], strict=True):
            for name in ("reward", "gradient", "loss", "clipped"):
                assert theirs[name] == pytest.approx(mine[name], rel=1e-3)
    assert all(torch.equal(one["state"][name], other["state"][name]) for name in one["state"])
    assert len(list(ranks.glob("runs-2/ddpo-*/adapter/README.md"))) == 1  # process 0 alone writes


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A database of pairs, with OmniScore's labels."""
    return world.build(tmp_path / "pairs", [world.prompt(i) for i in range(4)])


def test_a_run_starts_from_labels_and_goes_on_with_rewards_and_the_other_way_round(
    config: vader.Config, pairs: Path
):
    """Same model, sampling options, run folder, and adapter to go on from, by run, folder, file."""
    config = replace(config, db=str(pairs))
    shared = {name: getattr(config, name) for name in ("db", "model", "rank", "out", "device")}
    labelled = dpo.Config(labels="auto", steps=1, batch=2, grid=0, held_out=0.0, **shared)
    one = dpo.run(labelled)
    two = vader.run(replace(config, from_adapter=one.folder))
    three = dpo.run(replace(labelled, from_adapter=two.id))
    assert metrics(two)[0]["drift"] == 0  # the reference is what it went on from
    first = next(line for line in metrics(three) if line["split"] == "train")
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
    files = [weights(run) for run in (one, two, three)]
    assert len(set(files)) == 3
    both = {field.name for field in fields(dpo.Config)} & {f.name for f in fields(vader.Config)}
    assert both >= {
        "model", "from_adapter", "out", "frames", "height", "width", "sampler_steps", "guidance",
        "device", "dtype",
    }  # fmt: skip


@pytest.mark.parametrize("family", ["modelscope", "cogvideox", "ltx", "wan22"])
def test_rewards_reach_the_adapter_of_every_kind_of_model(family: str, tmp_path: Path):
    """An image autoencoder per frame, v, packed latents, two experts: tiny weights."""
    module = importlib.import_module(f"tests.train.families.{family}")
    model = models.load(str(module.save(tmp_path)))
    trained = policy.attach(model, rank=2, alpha=2, seed=0)
    few = replace(model.sample_defaults, steps=2)
    mixture = rewards.Mixture({"bright": 1.0}, device="cpu")
    rolled = RolloutAndReward(trained, mixture, few, Backprop(total=2, k=2, eta=0.5))
    rolled(Draws(seed=0, step=0, clips=[(TEXTS[0], 0)])).rewards.mean().backward()
    found = [weight.grad for weight in trained.parameters if weight.grad is not None]
    assert all(bool(torch.isfinite(grad).all()) for grad in found)
    assert sum(grad.abs().sum().item() for grad in found) > 0


def test_texts_are_embedded_once_and_told_as_before(tiny_folder: Path):
    model = models.load(str(tiny_folder))
    before = model.embed([*TEXTS, ""])
    reward_run.remember(model, TEXTS)
    calls = []
    model.pipeline.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    after = model.embed([*TEXTS, ""])
    assert not calls
    for name, told in before.tensors.items():
        torch.testing.assert_close(after.tensors[name], told)


@pytest.fixture(scope="module")
def filmer(tmp_path_factory: pytest.TempPathFactory) -> VideoModel:
    """A tiny image-to-video model."""
    return models.load(str(wan_image.save(tmp_path_factory.mktemp("wan_image"))))


def test_first_images_come_from_the_table_of_prompts_or_from_one_for_all(
    filmer: VideoModel, config: vader.Config, tmp_path: Path
):
    size = filmer.sample_defaults
    for name, grey in (("one", 90), ("other", 30)):
        pixels = np.full((size.height, size.width, 3), grey, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    table = tmp_path / "prompts.csv"
    table.write_text("prompt,image\na grey wall,one.png\na dark wall,\n")
    asked = ["a dark wall", "a grey wall"]
    told = replace(config, prompts=str(table))
    with pytest.raises(UserError, match="1 prompts have none"):
        reward_run.album(filmer, told, asked, size)
    found = reward_run.album(filmer, replace(told, image=f"{tmp_path}/other.png"), asked, size)
    assert found is not None
    assert [round(one.item() * 255) for one in found(asked).pixels.mean((1, 2, 3))] == [30, 90]


def test_a_long_clip_goes_on_from_its_last_frame(
    filmer: VideoModel, monkeypatch: pytest.MonkeyPatch
):
    """Two rounds: the reward sees 2 T - 1 frames, and each round has its part of the gradient."""
    seen: list[torch.Tensor] = []
    size = replace(filmer.sample_defaults, steps=2)
    grey = FirstFrames(torch.full((1, 3, size.height, size.width), 0.5), size.frames)
    monkeypatch.setattr(filmer, "album", lambda prompts: grey)
    told: list[torch.Tensor] = []
    embed = filmer.embed
    monkeypatch.setattr(
        filmer, "embed", lambda texts, first=None: told.append(first.pixels) or embed(texts, first)
    )

    class Watched(Brightness):
        def __call__(self, frames, prompts, fps):
            seen.append(frames)
            return super().__call__(frames, prompts, fps)

    monkeypatch.setattr(scorers, "load_reward", lambda name, **_: Watched())
    trained = policy.attach(filmer, rank=2, alpha=2, seed=0)
    mixture = rewards.Mixture({"bright": 1.0}, device="cpu")
    rolled = RolloutAndReward(trained, mixture, size, Backprop(total=2), rounds=2)
    rolled(Draws(seed=0, step=0, clips=[(TEXTS[0], 0)]))
    (frames,) = seen
    assert frames.shape[1] == 2 * size.frames - 1
    assert torch.equal(told[0], grey.pixels)
    assert torch.equal(told[-1], frames[:, size.frames - 1])
    for part in (frames[:, : size.frames], frames[:, size.frames :]):
        grads = torch.autograd.grad(part.sum(), trained.parameters, retain_graph=True)
        assert sum(grad.abs().sum().item() for grad in grads) > 0


def test_long_clips_need_a_model_that_begins_with_an_image(config: vader.Config):
    with pytest.raises(UserError, match="--rounds is 2"):
        vader.run(replace(config, rounds=2))
