"""Spoiled copies: each does what it says, and where there is nothing to spoil that is noticed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from data.degrade import SPOILED, blurred, frozen, seen, shuffled

FRAMES = np.zeros((8, 32, 32, 3), np.uint8)
for _time in range(8):
    FRAMES[_time, 8:24, 2 + 3 * _time : 6 + 3 * _time] = (200, 120, 40)


def test_frozen_shows_its_first_frame_throughout():
    film = frozen(FRAMES)
    assert film.shape == FRAMES.shape
    assert all((frame == FRAMES[0]).all() for frame in film)


def test_shuffled_has_the_same_frames_in_another_order_by_seed():
    film = shuffled(FRAMES, 3)
    assert (film == shuffled(FRAMES, 3)).all()
    assert sorted(frame.tobytes() for frame in film) == sorted(f.tobytes() for f in FRAMES)
    places = [int(np.flatnonzero(frame[16, :, 0])[0]) for frame in film]
    stays = sum(after - before == 3 for before, after in itertools.pairwise(places))
    assert stays <= 1  # of 7 neighbours; a plain permutation keeps 0.9 on average, at times 3
    assert len({shuffled(FRAMES, seed).tobytes() for seed in range(5)}) > 1


def test_blurred_keeps_the_light_and_loses_the_edges():
    film = blurred(FRAMES)
    for before, after in zip(FRAMES, film, strict=True):
        assert abs(after.mean() - before.mean()) < 1  # a blur moves light, it makes none
        edge = np.abs(np.diff(after[16, :, 0].astype(int))).max()
        assert edge < np.abs(np.diff(before[16, :, 0].astype(int))).max() / 4


def test_a_blur_of_three_boxes_is_what_it_says():
    """Reach 1 in one direction: a single bright column 27 spreads as (1 1 1)^3 / 27."""
    film = np.zeros((1, 16, 31, 3), np.uint8)
    film[0, :, 15] = 27
    row = blurred(film)[0, 8, :, 0]  # 16 / 8 / 2 = 1
    assert row[12:19].tolist() == [1, 3, 6, 7, 6, 3, 1]


def test_a_clip_that_stands_still_is_not_worse_frozen_or_shuffled():
    still = np.repeat(FRAMES[:1], 8, axis=0)
    assert not seen(still, frozen(still))
    assert not seen(still, shuffled(still, 0))
    assert seen(still, blurred(still))


@pytest.mark.parametrize("kind", sorted(SPOILED))
def test_a_moving_clip_is_seen_to_be_spoiled(kind):
    assert seen(FRAMES, SPOILED[kind](FRAMES, 0))
