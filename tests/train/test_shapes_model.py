"""The built-in model loads as any pipeline does, shows what is asked, and can be trained again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, WanPipeline

from data import shapes as world
from data.errors import UserError
from train.shapes import denoiser, evaluate, material, muon, stages, vae
from train.shapes.config import Config

SCORER = Path(evaluate.__file__).parents[2] / "scorers" / "builtin"


@pytest.fixture(scope="module")
def builtin():
    return evaluate.load(evaluate.BUILTIN)


def _tiny(out: Path) -> Config:
    return Config(
        out=str(out), clips=6, vae_steps=2, vae_batch=4, vae_width=16, heads=2,
        head_width=16, layers=1, ffn_width=32, denoiser_steps=4, denoiser_batch=2,
        encoder_clips=6, encoder_steps=2, encoder_batch=2,
    )  # fmt: skip


def test_a_stock_pipeline_loads_it():
    pipe = DiffusionPipeline.from_pretrained(evaluate.BUILTIN, dtype=torch.float32)
    assert type(pipe) is WanPipeline
    for part in (pipe.vae, pipe.transformer, pipe.text_encoder):
        assert {p.dtype for p in part.parameters()} == {torch.float32}
        assert not part.training


def test_all_weights_together_stay_below_10_megabytes():
    files = [*evaluate.BUILTIN.rglob("*"), *SCORER.glob("shapes_encoder*")]
    assert sum(path.stat().st_size for path in files if path.is_file()) <= 10_000_000


def test_no_configuration_tells_where_it_was_saved():
    for path in evaluate.BUILTIN.rglob("*.json"):
        assert "_name_or_path" not in json.loads(path.read_text())


def test_samples_are_far_better_than_chance(builtin):
    pipe, settings = builtin
    prompts = world.prompts(12, seed=4)
    row = evaluate.table(evaluate.sample(pipe, settings, prompts, list(range(12))), prompts)
    assert row["colour"] >= 0.6  # chance 0.2; measured figures: train/builtin/shapes/README.md
    assert row["direction"] >= 0.4  # chance 0.25
    assert row["shape"] >= 0.4  # chance 0.33
    assert row["score"] >= 0.5


def test_a_clip_depends_on_its_own_prompt_and_seed_only(builtin):
    pipe, settings = builtin
    few = settings | {"num_inference_steps": 2}
    prompts = ["a red circle moving left", "a big blue square moving up slowly"]
    both = evaluate.sample(pipe, few, prompts, [1, 2])
    alone = evaluate.sample(pipe, few, prompts[1:], [2])
    assert both.shape == (2, 9, 48, 48, 3)
    assert np.abs(both[1].astype(int) - alone[0]).max() <= 1


@torch.no_grad()
def test_the_autoencoder_keeps_what_the_oracle_sees_and_training_decodes_alike(builtin):
    pipe, _ = builtin
    rng = np.random.default_rng(3)
    scenes = [world.random_scene(rng) for _ in range(12)]
    clips = np.stack([world.render(scene) for scene in scenes])
    frames = torch.from_numpy(clips).permute(0, 4, 1, 2, 3) / 127.5 - 1
    latents = pipe.vae.encode(frames).latent_dist.mean
    torch.testing.assert_close(latents, vae.encode_all(pipe.vae, clips, "cpu"), atol=1e-4, rtol=0)
    out = ((pipe.vae.decode(latents).sample + 1) * 127.5).round().to(torch.uint8)
    out = out.permute(0, 2, 3, 4, 1).numpy()
    assert np.abs(vae.decode_all(pipe.vae, latents, "cpu").astype(int) - out).max() <= 1
    for scene, clip in zip(scenes, out, strict=True):
        found = world.judge(clip, world.caption(scene))
        assert all(found[name] for name in ("colour", "direction", "shape")), scene


def test_latents_have_the_statistics_that_the_pipeline_assumes(builtin):
    pipe, _ = builtin
    rng = np.random.default_rng(9)
    clips = np.stack([world.render(world.random_scene(rng)) for _ in range(40)])
    raw = vae.encode_all(pipe.vae, clips, "cpu")
    mean = torch.tensor(pipe.vae.config.latents_mean).view(1, -1, 1, 1, 1)
    scaled = (raw - mean) / torch.tensor(pipe.vae.config.latents_std).view(1, -1, 1, 1, 1)
    assert scaled.mean((0, 2, 3, 4)).abs().max() < 0.3
    assert (scaled.std((0, 2, 3, 4)) - 1).abs().max() < 0.3


def test_every_stage_runs_and_what_it_writes_loads(tmp_path):
    config = _tiny(tmp_path)
    stages.run(config)
    pipe, settings = evaluate.load(tmp_path / "pipeline")
    clips = evaluate.sample(pipe, settings | {"num_inference_steps": 1}, ["a red circle"], [0])
    assert clips.shape == (1, config.frames, config.size, config.size, 3)
    assert (tmp_path / "scorer" / "shapes_encoder.safetensors").exists()


def test_training_that_was_stopped_ends_as_if_it_had_not(tmp_path, monkeypatch):
    monkeypatch.setattr(denoiser, "_SAVE_EVERY", 2)
    ends = []
    for name in ("whole", "stopped"):
        config = replace(_tiny(tmp_path / name), clips=4)
        Path(config.out).mkdir()
        what = material.scenes(config)
        latents = torch.randn(4, 8, 9, 12, 12, generator=torch.Generator().manual_seed(0))
        if name == "stopped":
            _train_until(3, latents, what, config, monkeypatch)
        parts = stages.fresh_parts(config)
        denoiser.train(parts, latents, what, config)
        ends.append(torch.cat([p.flatten() for p in parts.modules().parameters()]))
    torch.testing.assert_close(ends[0], ends[1], atol=1e-6, rtol=0)


def _train_until(last, latents, what, config, monkeypatch):
    loss_at = denoiser.loss_at

    def broken(step, *rest):
        if step == last:
            raise KeyboardInterrupt
        return loss_at(step, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(denoiser, "loss_at", broken)
        with pytest.raises(KeyboardInterrupt):
            denoiser.train(stages.fresh_parts(config), latents, what, config)


def test_a_stage_that_must_come_first_is_named(tmp_path):
    with pytest.raises(UserError, match="--stage vae first"):
        stages.run(replace(_tiny(tmp_path), stage="denoiser"))


def test_muon_pushes_singular_values_towards_one():
    x = torch.randn(2, 6, 10, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(muon.orthogonal(x))
    assert values.min() > 0.5
    assert values.max() < 1.3
    torch.testing.assert_close(muon.orthogonal(x.mT), muon.orthogonal(x).mT)
