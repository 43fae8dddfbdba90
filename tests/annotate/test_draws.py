"""The seeded draws: who is blind, and who stands left."""

from __future__ import annotations

import dataclasses
import hashlib

from annotate.exposure import drawn_blind, sides, uniform
from data.records import Pair

LIST = [
    Pair.of(*(hashlib.sha256(f"{i}{side}".encode()).hexdigest() for side in "ab"), prompt="p")
    for i in range(2000)
]


def test_uniform_is_a_number_below_one_that_depends_on_its_parts_alone():
    draws = [uniform("x", str(i)) for i in range(4000)]
    assert draws == [uniform("x", str(i)) for i in range(4000)]
    assert all(0.0 <= draw < 1.0 for draw in draws)
    assert abs(sum(draws) / 4000 - 0.5) < 0.02  # 4 standard errors: 4 * 0.289 / sqrt(4000) = 0.018


def test_the_blind_share_is_what_was_asked_for():
    blind = sum(drawn_blind(pair, "anna", share=0.2) for pair in LIST)
    assert abs(blind - 400) < 72  # 4 standard deviations: 4 * sqrt(2000 * 0.2 * 0.8) = 72


def test_a_larger_share_only_adds_blind_pairs():
    few = {pair.id for pair in LIST if drawn_blind(pair, "anna", share=0.2)}
    many = {pair.id for pair in LIST if drawn_blind(pair, "anna", share=0.5)}
    assert few < many
    assert not any(drawn_blind(pair, "anna", share=0.0) for pair in LIST)
    assert all(drawn_blind(pair, "anna", share=1.0) for pair in LIST)


def test_the_draw_differs_between_people_and_campaigns():
    anna = [drawn_blind(pair, "anna", share=0.5) for pair in LIST]
    bob = [drawn_blind(pair, "bob", share=0.5) for pair in LIST]
    agree = sum(one == other for one, other in zip(anna, bob, strict=True))
    assert abs(agree - 1000) < 90  # independent: 4 * sqrt(2000) / 2 = 89


def test_sides_are_the_two_clips_half_of_them_swapped_and_independent_of_blindness():
    swapped = [sides(pair, "anna") != (pair.a, pair.b) for pair in LIST]
    assert all(set(sides(pair, "anna")) == {pair.a, pair.b} for pair in LIST)
    assert abs(sum(swapped) - 1000) < 90
    blind = [drawn_blind(pair, "anna", share=0.5) for pair in LIST]
    both = sum(one and other for one, other in zip(swapped, blind, strict=True))
    assert abs(both - 500) < 78  # 4 * sqrt(2000 * 0.25 * 0.75) = 77


def test_a_repeat_has_the_sides_swapped_and_the_first_times_condition():
    for pair in LIST[:300]:
        again = dataclasses.replace(pair, strategy=f"repeat:{pair.id}")
        assert again.id != pair.id
        assert sides(again, "anna") == sides(pair, "anna")[::-1]
        assert drawn_blind(again, "anna", share=0.5) == drawn_blind(pair, "anna", share=0.5)
