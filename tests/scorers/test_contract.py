"""What every scorer promises, whatever it measures: run over each file in `scorers/`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import scorers
from data import shapes, video
from data.errors import UserError
from data.omniscore import PROFILES
from data.profile import Dimension, Profile
from scorers import inmemory
from scorers.protocol import Scorer, check
from tests.scorers.clips import PROMPT, drawn, noise, noisy
from tests.scorers.tiny import TINY

MOTION = {
    "subject_consistency",
    "background_consistency",
    "temporal_flickering",
    "motion_smoothness",
    "dynamic_degree",
    "movement",
    "motion_quality",
}


BY_FRAME = {
    "aesthetic", "clipscore", "colour", "hps", "laion", "musiq", "pickscore", "sharpness", "yolos",
}  # fmt: skip
"""Scorers that are a mean over frames: the order of frames does not matter to them."""
FULL_WHEN_STILL = {"amt", "clip", "consistency", "dino", "flicker", "halfway"}


@pytest.fixture(scope="module", params=scorers.names())
def judge(request: pytest.FixtureRequest) -> Scorer:
    """Those with weights as the same architecture at a tiny size, with random weights."""
    return TINY[request.param]() if scorers.needs(request.param) else scorers.load(request.param)


def call(judge: Scorer, frames: torch.Tensor) -> torch.Tensor:
    return judge(frames, [PROMPT] * len(frames), [8.0] * len(frames))


CLIPS = {
    "drawn": drawn(),
    "static": drawn()[:, :1].repeat(1, 9, 1, 1, 1),
    "shuffled": drawn()[:, [4, 0, 7, 2, 8, 1, 6, 3, 5]],
    "noise": noise(1, 5, 3, 40, 40),
    "black": torch.zeros(1, 4, 3, 32, 32),
    "white": torch.ones(1, 4, 3, 32, 32),
    "grey": torch.full((1, 4, 3, 32, 32), 0.5),
    "odd size": noisy(drawn(frames=4, size=61)[..., :47], 0.02),
    "portrait": drawn(frames=4, size=96)[..., 24:72],
    "landscape": drawn(frames=4, size=96)[:, :, :, 24:72],
    "smallest": noise(1, 3, 3, 16, 16),
    "larger": drawn(frames=4, size=160),
    "two frames": drawn()[:, [0, 8]],
    "one frame": drawn()[:, :1],
}


def test_what_it_says_about_itself(judge: Scorer):
    assert isinstance(judge, Scorer)
    assert judge.name in scorers.names()
    card = scorers.card(judge.name)
    assert tuple(card.ranges) == judge.dimensions
    assert card.differentiable == judge.differentiable
    assert judge.version
    assert card.summary


@pytest.mark.parametrize("clip", CLIPS)
def test_shape_and_range(judge: Scorer, clip: str):
    frames = CLIPS[clip]
    raw = call(judge, frames)
    assert raw.shape == (1, len(judge.dimensions))
    ranges = scorers.card(judge.name).ranges
    still = {"one frame": MOTION, "two frames": {"motion_smoothness"}}.get(clip, set())
    for key, value in zip(judge.dimensions, raw[0].tolist(), strict=True):
        low, high = ranges[key]
        if key in still:
            assert value != value, f"{key} of {clip} cannot be judged, so it is NaN"
        else:
            assert low - 1e-5 <= value <= high + 1e-5, key


def test_each_clip_as_if_it_were_alone(judge: Scorer):
    clips = [drawn(), noisy(drawn(colour="blue"), 0.1), noise(1, 9, 3, 48, 48)]
    together = judge(torch.cat(clips), [PROMPT, "a blue circle", "noise"], [8.0, 12.0, 24.0])
    alone = [
        judge(clip, [text], [fps])
        for clip, text, fps in zip(
            clips, [PROMPT, "a blue circle", "noise"], [8.0, 12.0, 24.0], strict=True
        )
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5, equal_nan=True)


def test_shuffled_frames_matter_to_those_who_look_at_time(judge: Scorer):
    orders = (drawn(), CLIPS["shuffled"], drawn().flip(1))
    steady, shuffled, back = (call(judge, clip) for clip in orders)
    if judge.name in BY_FRAME:
        torch.testing.assert_close(steady, shuffled, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(steady, back, atol=1e-5, rtol=1e-5)
    else:
        assert not torch.allclose(steady, shuffled, atol=1e-7, rtol=0, equal_nan=True)
    if judge.name in {"flicker", "halfway", "amt"}:
        torch.testing.assert_close(steady, back, atol=1e-3, rtol=0)


def test_a_still_clip_says_the_same_however_long_it_is(judge: Scorer):
    short, long = (judge(drawn()[:, :1].repeat(1, count, 1, 1, 1), [PROMPT], [64.0])
                   for count in (9, 81))  # fmt: skip
    if judge.name != "videoreward":  # its prompt has as many pictures as half seconds
        torch.testing.assert_close(short, long, atol=1e-5, rtol=1e-4)
    if judge.name in FULL_WHEN_STILL:
        torch.testing.assert_close(short, torch.ones_like(short), atol=1e-5, rtol=0)


def test_a_path_an_array_and_a_tensor_give_the_same(
    judge: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    frames = shapes.render(shapes.random_scene(np.random.default_rng(3)), 3, 48)
    path = tmp_path / "clip.mkv"
    video.write(path, frames, 8, lossless=True)
    rows = tuple(Dimension(key=key, label=key, scorer=judge.name, source="")
                 for key in judge.dimensions)  # fmt: skip
    monkeypatch.setattr(scorers, "load", lambda name, **options: judge)
    inmemory._pool.cache_clear()
    profile = Profile(name="one", title="", dimensions=rows)
    forms = (path, frames, torch.from_numpy(frames).permute(0, 3, 1, 2) / 255)
    told = [scorers.score(form, PROMPT, None if form is path else 8.0, profile=profile).raw
            for form in forms]  # fmt: skip
    inmemory._pool.cache_clear()
    assert set(told[0]) == set(judge.dimensions)
    assert told[0] == told[1] == told[2]


def test_the_same_again(judge: Scorer):
    frames = noisy(drawn(), 0.05)
    before = frames.clone()
    assert torch.equal(call(judge, frames), call(judge, frames))
    assert torch.equal(frames, before), "the frames are only read"


def test_gradients_are_what_it_promises(judge: Scorer):
    frames = noisy(drawn(), 0.05).requires_grad_()
    raw = call(judge, frames)
    if not judge.differentiable:
        assert not raw.requires_grad
        return
    for column in range(raw.shape[1]):
        (grad,) = torch.autograd.grad(raw[0, column], frames, retain_graph=True)
        assert bool(torch.isfinite(grad).all())
        assert float(grad.abs().max()) > 0, judge.dimensions[column]


def test_a_step_uphill_is_uphill(judge: Scorer):
    """The gradient is that of the value: a small step along it raises each dimension."""
    if not judge.differentiable:
        pytest.skip("promises no gradients")
    frames = noisy(drawn(), 0.05).clamp(0.1, 0.9).requires_grad_()
    for column, key in enumerate(judge.dimensions):
        (grad,) = torch.autograd.grad(call(judge, frames)[0, column], frames)
        before = float(call(judge, frames.detach())[0, column])
        for size in (1e-2, 1e-3, 1e-4):
            step = frames.detach() + size * grad / grad.abs().max()
            if float(call(judge, step)[0, column]) > before:
                break
        else:
            pytest.fail(f"{key}: no step along the gradient raises it")


@pytest.mark.parametrize("clip", ["static", "black", "white", "grey", "noise"])
def test_gradients_stay_finite_where_nothing_happens(judge: Scorer, clip: str):
    if not judge.differentiable:
        pytest.skip("promises no gradients")
    frames = CLIPS[clip].clone().requires_grad_()
    call(judge, frames).sum().backward()
    assert frames.grad is not None
    assert bool(torch.isfinite(frames.grad).all())


def test_following_the_gradient_raises_the_value(judge: Scorer):
    if not judge.differentiable:
        pytest.skip("promises no gradients")
    frames = noisy(drawn(), 0.05).requires_grad_()
    before = call(judge, frames)
    (grad,) = torch.autograd.grad(before.sum(), frames)
    after = call(judge, (frames + 1e-3 * grad / grad.abs().max()).detach())
    assert float(after.sum()) > float(before.detach().sum())


def test_every_profile_dimension_has_its_column():
    for profile in PROFILES.values():
        for row in profile.dimensions:
            if row.scorer in scorers.names():
                assert row.key in scorers.card(row.scorer).ranges


def test_what_no_scorer_can_read_is_refused():
    with pytest.raises(ValueError, match="at least 16 px"):
        check(torch.rand(1, 2, 3, 15, 40))
    with pytest.raises(ValueError, match="need b t 3 h w"):
        check(torch.rand(1, 3, 2, 16, 16))
    with pytest.raises(ValueError, match="divide by 255"):
        check(torch.zeros(1, 2, 3, 16, 16, dtype=torch.uint8))


def test_unknown_names_and_rewards_without_gradients():
    with pytest.raises(UserError, match="no scorer is called 'hsp'; there are action, aesthetic"):
        scorers.load("hsp")
    with pytest.raises(UserError, match=r"'flow' gives no gradients.*these can: action"):
        scorers.load_reward("flow")
    assert scorers.load_reward("sharpness").differentiable


def test_naming_scorers_needs_no_torch(root: Path):
    code = "import sys, scorers; scorers.names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
