"""The oracle is right on truth, robust to mild damage, and says no to what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data import shapes as world


def _scenes(n: int, *, held_out: bool = False) -> list[world.Scene]:
    rng = np.random.default_rng(5)
    return [world.random_scene(rng, held_out=held_out) for _ in range(n)]


def _blur(clip: np.ndarray) -> np.ndarray:
    """Binomial 1-2-1 in both directions."""
    out = clip.astype(np.float32)
    for axis in (1, 2):
        low, high = np.roll(out, 1, axis), np.roll(out, -1, axis)
        out = (low + 2 * out + high) / 4
    return np.rint(out).astype(np.uint8)


def _noisy(clip: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 255 * sigma, clip.shape)
    return np.clip(np.rint(clip + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "damage",
    [lambda c: c, _blur, lambda c: _blur(_blur(c)), lambda c: _noisy(c, 0.05)],
    ids=["truth", "blur", "more blur", "noise"],
)
@pytest.mark.parametrize("held_out", [False, True])
def test_every_attribute_is_right_on_truth_and_after_mild_damage(damage, held_out):
    for scene in _scenes(60, held_out=held_out):
        found = world.judge(damage(world.render(scene)), world.caption(scene))
        assert all(found[name] is True for name in world.ATTRIBUTES), (scene, found)
        assert found["score"] > 0.7


@pytest.mark.parametrize("name", world.ATTRIBUTES)
def test_one_changed_attribute_is_seen_and_lowers_the_score(name):
    for scene in _scenes(40):
        other = next(w for w in world.CHOICES[name] if w != getattr(scene, name))
        wrong = world.judge(world.render(scene), world.caption(replace(scene, **{name: other})))
        right = world.judge(world.render(scene), world.caption(scene))
        assert wrong[name] is False
        assert all(wrong[other] for other in world.ATTRIBUTES if other != name)
        assert wrong["score"] < right["score"] - 0.05


@pytest.mark.parametrize("level", [0, 125, 255])
def test_a_missing_object_is_wrong_everywhere(level):
    empty = np.full((9, 48, 48, 3), level, np.uint8)
    found = world.judge(empty, "a small red circle moving right slowly")
    assert found == {
        "size": False, "colour": False, "shape": False, "direction": False, "speed": False,
        "score": 0.0,
    }  # fmt: skip


def test_a_still_object_moves_nowhere():
    clip = world.render(_scenes(1)[0])
    still = np.repeat(clip[4:5], 9, axis=0)
    assert world.measure(still).words["direction"] == "none"
    assert world.measure(still).words["speed"] == "none"


def test_played_backwards_the_direction_turns_round():
    scene = replace(_scenes(1)[0], direction="up", start=(0.5, 0.75))
    assert world.measure(world.render(scene)[::-1]).words["direction"] == "down"


def test_an_object_that_fades_out_early_is_missing():
    scene = _scenes(1)[0]
    clip = world.render(scene).copy()
    clip[5:] = clip[5:, :1, :1]
    assert world.measure(clip).words["shape"] == "none"


def test_noise_alone_is_no_shape():
    clip = np.random.default_rng(0).integers(0, 256, (9, 48, 48, 3)).astype(np.uint8)
    found = world.judge(clip, "a red circle moving right")
    assert not found["colour"]
    assert not found["direction"]
    assert found["score"] < 0.3


def test_a_cross_resembles_no_template():
    clip = np.full((9, 48, 48, 3), 14, np.uint8)
    for t in range(9):
        x = 14 + 2 * t
        clip[t, 22:26, x - 12 : x + 12] = world.COLOURS["red"]
        clip[t, 12:36, x - 2 : x + 2] = world.COLOURS["red"]
    assert world.measure(clip).words["shape"] == "none"


def test_score_falls_steadily_as_the_colour_goes():
    clip = world.render(world.place(
        {"shape": "square", "colour": "red", "direction": "left", "size": "big", "speed": "quickly",
         "background": "black"}, np.random.default_rng(0)
    )).astype(np.float32)  # fmt: skip
    grey = clip.mean(-1, keepdims=True)
    mixed = [np.rint(clip * (1 - k) + grey * k).astype(np.uint8) for k in (0, 0.2, 0.4, 0.6)]
    scores = [world.judge(m, "a red square moving left")["score"] for m in mixed]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4


def test_the_path_stays_inside_the_frame():
    for scene in _scenes(200):
        clip = world.render(scene)
        ring = np.concatenate([clip[:, 0], clip[:, -1], clip[:, :, 0], clip[:, :, -1]], axis=1)
        assert (ring == world.BACKGROUNDS[scene.background]).all(), scene


def test_shapes_of_one_size_cover_the_same_area():
    # disc of radius 0.19 * 48 px: pi * 9.12^2 = 261.3 px
    for shape in world.SHAPES:
        words = {
            "shape": shape,
            "colour": "red",
            "direction": "up",
            "size": "big",
            "speed": "slowly",
        }
        scene = world.place({**words, "background": "black"}, np.random.default_rng(0))
        red = world.render(scene)[0, :, :, 0].astype(float)
        assert (red - 14).sum() / (225 - 14) == pytest.approx(261.3, rel=0.01)


def test_captions_are_read_back():
    for scene in _scenes(50):
        stated = world.parse(world.caption(scene))
        assert stated == {name: getattr(scene, name) for name in world.ATTRIBUTES}
    short = world.caption(_scenes(1)[0], size=False, speed=False, background=False)
    assert set(world.parse(short)) == {"colour", "shape", "direction"}
    assert world.parse("a dog on a sofa") == {}


def test_held_out_pairs_are_kept_apart():
    for held_out in (False, True):
        for text in world.prompts(200, seed=1, held_out=held_out):
            stated = world.parse(text)
            assert ((stated["colour"], stated["direction"]) in world.HELD_OUT) == held_out


def test_prompts_depend_on_the_seed_only():
    assert world.prompts(20, seed=3) == world.prompts(20, seed=3)
    assert world.prompts(20, seed=3) != world.prompts(20, seed=4)


def test_errors_name_the_value():
    with pytest.raises(ValueError, match=r"float32 \(2, 8, 8, 3\)"):
        world.measure(np.zeros((2, 8, 8, 3), np.float32))
    with pytest.raises(ValueError, match="a dog"):
        world.judge(np.zeros((2, 8, 8, 3), np.uint8), "a dog")
