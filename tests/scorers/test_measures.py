"""What the classical measures measure: values worked by hand, and what must not change them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from data.omniscore import PROFILES, aggregate
from scorers import colour, consistency, flicker, flow, load, sharpness
from scorers.chunks import per_pixel
from tests.scorers.clips import drawn, noise, noisy, panned


def levels(*values: float, size: int = 32) -> torch.Tensor:
    """A clip of plain grey frames, one per value in [0, 1]."""
    return torch.tensor(values).view(1, -1, 1, 1, 1).expand(1, -1, 3, size, size).contiguous()


def uint8(frames: torch.Tensor) -> np.ndarray:
    return (frames[0] * 255).round().byte().permute(0, 2, 3, 1).numpy()


def test_stillness_by_hand():
    # |0.2 - 0.5| = 0.3 and |0.5 - 0.4| = 0.1: 1 - 0.2
    assert float(flicker.stillness(levels(0.2, 0.5, 0.4))) == pytest.approx(0.8)


def test_stillness_is_vbenchs_to_the_letter():
    """VBench: mean over pairs of the mean absolute difference of uint8 frames, over 255."""
    clip = uint8(noise(1, 4, 3, 20, 30))
    differences = np.abs(np.diff(clip.astype(int), axis=0)).mean(axis=(1, 2, 3))
    expected = (255 - differences.mean()) / 255
    frames = torch.from_numpy(clip).permute(0, 3, 1, 2)[None].float() / 255
    assert float(flicker.stillness(frames)) == pytest.approx(expected, abs=1e-6)


def test_colourfulness_by_hand():
    halves = torch.zeros(1, 1, 3, 16, 16)
    halves[:, :, 0, :, :8] = 1  # red: rg = 1, yb = 1/2
    halves[:, :, 2, :, 8:] = 1  # blue: rg = 0, yb = -1
    # Spread sqrt(0.5^2 + 0.75^2) = 0.90139, means 0.5 and -0.25: 0.3 * sqrt(0.3125) = 0.16771
    assert float(colour.colourfulness(halves)) == pytest.approx(0.90139 + 0.16771, abs=1e-5)


@pytest.mark.parametrize("size", [(130, 333), (320, 512), (129, 150), (96, 300)])
def test_frames_are_reduced_by_area(size: tuple[int, int]):
    """As the library does it, gradient and all; a shorter side of at most 128 px stays."""
    frames = noise(2, 3, *size).requires_grad_()
    ours = consistency._reduced(frames)
    assert min(ours.shape[2:]) == min(128, *size)
    theirs = F.interpolate(frames, size=tuple(ours.shape[2:]), mode="area")
    torch.testing.assert_close(ours, theirs)
    weights = noise(*ours.shape, seed=1)
    one, other = (torch.autograd.grad((made * weights).sum(), frames)[0] for made in (ours, theirs))
    torch.testing.assert_close(one, other)


def test_frames_at_once_are_as_many_as_stay_in_cache():
    """65,536 px: 16 frames of 64 x 64, one of 320 x 512; with gradients at most 4."""
    seen = list[int]()

    def count(group: torch.Tensor) -> torch.Tensor:
        seen.append(len(group))
        return group.mean((1, 2, 3))

    for frames in (noise(1, 20, 3, 64, 64), noise(1, 2, 3, 320, 512)):
        per_pixel(count, frames)
    per_pixel(count, noise(1, 6, 3, 64, 64).requires_grad_())
    assert seen == [16, 4, 1, 1, 4, 2]


def test_the_fastest_are_the_fastest():
    speed = noise(40, 50).numpy()
    assert set(flow._fastest(speed)) == set(np.argsort(speed.ravel())[-100:])


def test_grey_has_no_colour():
    assert float(colour.colourfulness(noise(1, 2, 1, 24, 24).expand(1, 2, 3, 24, 24))) < 1e-5


def test_colourfulness_reaches_its_documented_end():
    most = 0.0
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    for one in corners:
        for other in corners:
            for share in range(0, 17):
                frame = torch.where(torch.arange(16)[None, :, None] < share, one, other)
                clip = frame.expand(16, 16, 3).permute(2, 0, 1)[None, None]
                most = max(most, float(colour.colourfulness(clip)))
    low, high = colour.CARD.ranges["aesthetic_quality"]
    assert low < 0.97 * high < most <= high


def edge(width: int, *, low: float = 0.2, high: float = 0.8) -> torch.Tensor:
    """An upright edge in the middle: from `low` to `high` in `width` equal steps between pixels."""
    ramp = ((torch.arange(40) - 19) / width).clamp(0, 1)
    return (low + (high - low) * ramp).expand(1, 1, 3, 40, 40).contiguous()


@pytest.mark.parametrize("width", [1, 4])
def test_sharpness_of_an_edge_is_one_over_the_root_of_its_width(width: int):
    assert float(sharpness.edge_sharpness(edge(width))) == pytest.approx(width**-0.5, abs=0.1)


def test_sharpness_does_not_depend_on_contrast_or_sign():
    strong, weak = edge(2), edge(2, low=0.6, high=0.4)
    values = [float(sharpness.edge_sharpness(clip)) for clip in (strong, weak)]
    assert values[0] == pytest.approx(values[1], abs=0.02)


def test_neither_blur_nor_noise_looks_sharp():
    clear = drawn(size=96)
    kernel = torch.ones(3, 1, 5, 5) / 25
    blurred = F.conv2d(clear.flatten(0, 1), kernel, padding=2, groups=3).unflatten(0, (1, 9))
    value = float(sharpness.edge_sharpness(clear))
    assert float(sharpness.edge_sharpness(blurred[..., 2:-2, 2:-2])) < 0.7 * value
    assert float(sharpness.edge_sharpness(noisy(clear, 15 / 255))) < 0.7 * value
    assert float(sharpness.edge_sharpness(noise(1, 2, 3, 64, 64))) < 0.15
    assert float(sharpness.edge_sharpness(levels(0.3, 0.3))) < 0.02


def test_colour_histogram_shares_a_pixel_between_cells():
    # 0.5 * 7 = 3.5 on every axis: an eighth in each of the eight cells around.
    cells = consistency.colours(torch.full((1, 3, 16, 16), 0.5))
    assert sorted(cells[0].tolist())[-9:] == pytest.approx([0.0] + [0.125] * 8)
    white = consistency.colours(torch.ones(1, 3, 16, 16))
    assert float(white[0, -1]) == pytest.approx(1.0)


def test_consistency_by_hand():
    histograms = torch.tensor([[[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]])
    # Frame 1 shares 0.5 with the one before and the first; frame 2 shares 0.5 and 0.
    assert float(consistency.stays(histograms)) == pytest.approx(0.375)


def test_consistency_does_not_mind_movement_but_change():
    judge = load("consistency")
    structure, colours = judge(drawn(), [""], [8.0])[0].tolist()
    assert min(structure, colours) > 0.98
    half = drawn().clone()
    half[:, 5:] = drawn(colour="green")[:, 5:]
    assert float(judge(half, [""], [8.0])[0, 1]) < colours - 0.03
    half = drawn().clone()
    half[:, 5:] = drawn(shape="triangle")[:, 5:]
    assert float(judge(half, [""], [8.0])[0, 0]) < structure - 0.03


@pytest.mark.parametrize("shift", [2, 4])
def test_movement_of_a_pan(shift: int):
    """128 px wide: one px is two at 256 px; over 6 px per frame at 8 frames per second."""
    _, smooth, movement = flow.judge(uint8(panned(5, shift)), 8.0)
    assert movement == pytest.approx(2 * shift / 6, rel=0.1)
    assert smooth > 0.9
    _, _, faster = flow.judge(uint8(panned(5, shift)), 16.0)
    assert faster == pytest.approx(2 * movement)


def test_movement_of_the_built_in_world():
    """Slowly is 0.2 of the side in 8 steps: 0.025 * 256 / 6 = 1.07; quickly twice that."""
    for word, expected in (("slowly", 1.07), ("quickly", 2.13)):
        _, _, movement = flow.judge(uint8(drawn(speed=word)), 8.0)
        assert movement == pytest.approx(expected, rel=0.1)


def test_small_and_large_clips_are_measured_in_the_same_unit():
    small, large = (flow.judge(uint8(drawn(size=size)), 8.0) for size in (64, 256))
    assert small == pytest.approx(large, rel=0.1)


def test_a_still_clip_is_smooth_steady_and_does_not_move():
    steady, smooth, movement = flow.judge(uint8(drawn()[:, :1].repeat(1, 4, 1, 1, 1)), 8.0)
    assert steady == pytest.approx(1, abs=1e-3)
    assert smooth == pytest.approx(1, abs=0.02)
    assert movement == pytest.approx(0, abs=0.01)


def test_smoothness_by_hand():
    """Speed 3 forth, 1 back: |3 - 1| / (3 + 1 + floor); at 128 px the floor of 1 px is 0.5."""
    forth, back = np.zeros((2, 2, 128, 128, 2), np.float32)
    forth[..., 0], back[..., 0] = 3, -1
    assert flow.smoothness(list(forth), list(back)) == pytest.approx(1 - 2 / 4.5)
    back[..., 0] = -3
    assert flow.smoothness(list(forth), list(back)) == pytest.approx(1)
    back[..., 0] = 3  # turns round in every frame
    assert flow.smoothness(list(forth), list(back)) == pytest.approx(1 - 6 / 6.5)


def test_shuffled_frames_are_not_smooth():
    order = [4, 0, 7, 2, 8, 1, 6, 3, 5]
    _, smooth, _ = flow.judge(uint8(drawn()), 8.0)
    _, shuffled, _ = flow.judge(uint8(drawn()[:, order]), 8.0)
    assert shuffled < smooth - 0.5


def test_flicker_is_seen_and_movement_is_not_flicker():
    flashing = drawn() * torch.tensor([1.0, 0.7] * 4 + [1.0]).view(1, 9, 1, 1, 1)
    moving = flow.judge(uint8(drawn(speed="quickly")), 8.0)[0]
    flashes = flow.judge(uint8(flashing), 8.0)[0]
    assert moving > 0.99
    assert flashes < 0.85
    plain = float(flicker.stillness(drawn(speed="quickly")))
    assert plain < moving - 0.01, "VBench's own measure takes movement for flicker"


def test_what_only_one_frame_sees_is_not_flicker():
    """The left half changes by 100 levels, but the way back does not return there: it is
    covered."""
    clip = np.zeros((2, 32, 32, 3), np.uint8)
    clip[1, :, :16] = 100
    forth, back = np.zeros((1, 32, 32, 2), np.float32), np.zeros((1, 32, 32, 2), np.float32)
    assert flow.steadiness(clip, list(forth), list(back)) == pytest.approx(1 - 50 / 255)
    back[:, :, :16] = 5
    assert flow.steadiness(clip, list(forth), list(back)) == pytest.approx(1)


def test_what_cannot_be_judged_is_nan():
    assert all(math.isnan(value) for value in flow.judge(uint8(drawn()[:, :1]), 8.0))
    steady, smooth, movement = flow.judge(uint8(drawn()[:, :2]), 8.0)
    assert math.isnan(smooth)
    assert not math.isnan(steady + movement)


def lite(frames: torch.Tensor) -> float:
    profile, raw = PROFILES["lite"], {}
    for name in profile.scorers:
        judge = load(name)
        raw |= dict(zip(judge.dimensions, judge(frames, [""], [8.0])[0].tolist(), strict=True))
    total = aggregate(raw, profile).total
    assert total is not None
    return total


def test_lite_puts_a_clean_clip_before_its_ruins():
    clean = lite(drawn())
    dimmed = drawn() * torch.linspace(1, 0, 9).view(1, 9, 1, 1, 1)
    ruins = {
        "frozen": drawn()[:, :1].repeat(1, 9, 1, 1, 1),
        "shuffled": drawn()[:, [4, 0, 7, 2, 8, 1, 6, 3, 5]],
        "grainy": noisy(drawn(), 0.08),
        "faded out": dimmed,
        "noise": noise(1, 9, 3, 48, 48),
        "blank": levels(*[0.5] * 9, size=48),
    }
    assert {name for name, clip in ruins.items() if lite(clip) >= clean} == set()
