"""The built-in encoder tells captions apart and passes gradients to the frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from data import shapes as world
from scorers import shapes as judge


@pytest.fixture(scope="module")
def scorer():
    return judge.load()


def _frames(scenes, frames=world.FRAMES, size=world.SIZE):
    clips = np.stack([world.render(scene, frames, size) for scene in scenes])
    return torch.from_numpy(clips).permute(0, 1, 4, 2, 3) / 255


def _scenes(n):
    rng = np.random.default_rng(77)
    return [world.random_scene(rng) for _ in range(n)]


@pytest.mark.parametrize("name", world.ATTRIBUTES)
def test_the_true_caption_beats_one_with_one_attribute_changed(scorer, name):
    scenes = _scenes(40)
    frames, fps = _frames(scenes), [8.0] * 40
    wrong = [
        replace(s, **{name: next(w for w in world.CHOICES[name] if w != getattr(s, name))})
        for s in scenes
    ]
    true = scorer(frames, [world.caption(s) for s in scenes], fps)
    false = scorer(frames, [world.caption(s) for s in wrong], fps)
    assert (true > false).float().mean() > 0.9


def test_playing_backwards_turns_the_judgement_round(scorer):
    scenes = _scenes(30)
    frames, texts, fps = _frames(scenes), [world.caption(s) for s in scenes], [8.0] * 30
    assert (scorer(frames, texts, fps) > scorer(frames.flip(1), texts, fps)).float().mean() > 0.95


@pytest.mark.parametrize(("frames", "size"), [(9, 48), (16, 64), (5, 32), (2, 40), (1, 48)])
def test_any_length_and_size_with_gradients(scorer, frames, size):
    clips = _frames(_scenes(2), frames, size).requires_grad_(True)
    value = scorer(clips, ["a red circle moving left", "a zebra on the moon"], [8.0, 8.0])
    assert value.shape == (2, 1)
    assert value.abs().max() <= 1
    (gradient,) = torch.autograd.grad(value.sum(), clips)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).abs().amax(1) > 0).all()


def test_a_clip_is_judged_as_if_it_were_alone(scorer):
    scenes = _scenes(4)
    frames, texts = _frames(scenes), [world.caption(s) for s in scenes]
    alone = torch.cat([scorer(f[None], [t], [8.0]) for f, t in zip(frames, texts, strict=True)])
    torch.testing.assert_close(scorer(frames, texts, [8.0] * 4), alone, atol=1e-5, rtol=0)


def test_unknown_words_share_one_number(scorer):
    ids = scorer.encoder.ids(["a zebra", "a giraffe", ""])
    assert ids[0].equal(ids[1])
    assert ids[2, 0] == 1


def test_one_prompt_per_clip(scorer):
    with pytest.raises(ValueError, match="2 clips but 1 prompts"):
        scorer(_frames(_scenes(2)), ["a red circle"], [8.0, 8.0])


def test_save_and_load_give_the_same_values(scorer, tmp_path):
    judge.save(scorer.encoder, tmp_path)
    frames, texts = _frames(_scenes(2)), ["a red circle", "a blue square"]
    again = judge.load(folder=tmp_path)
    assert again.version == scorer.version
    torch.testing.assert_close(again(frames, texts, [8.0] * 2), scorer(frames, texts, [8.0] * 2))
