from __future__ import annotations

import pytest

from train.preference.stopping import Rules, reason


def seen(*rises: float, drift: float = 0.0) -> list[dict[str, float]]:
    return [{"chosen_rise": rise, "drift": drift} for rise in rises]


@pytest.mark.parametrize(
    ("rises", "stops"),
    [
        ((0.0, 0.1, 0.2, 0.3), True),
        ((0.3, -0.1, 0.1, 0.2, 0.3), True),  # what came before does not count
        ((0.1, 0.2, 0.3), False),  # two rises
        ((0.0, 0.1, 0.1, 0.2), False),  # the same again is no rise
        ((-0.4, -0.3, -0.2, -0.1), False),  # still better than the reference
        ((), False),
    ],
)
def test_three_rises_in_a_row_above_the_reference(rises: tuple[float, ...], *, stops: bool) -> None:
    assert bool(reason(seen(*rises), Rules(rises=3))) is stops


def test_says_what_rose() -> None:
    assert reason(seen(0, 0.1, 0.25), Rules(rises=2)) == (
        "the error on chosen clips has risen at 2 evaluations in a row, to +0.2500 against the "
        "reference"
    )


def test_drift_beyond_its_limit() -> None:
    assert "from the reference's; the limit is 0.5" in reason(seen(0, drift=0.6), Rules(drift=0.5))
    assert not reason(seen(0, drift=0.5), Rules(drift=0.5))


def test_both_are_said_and_none_is_the_default() -> None:
    both = reason(seen(0, 1, drift=2), Rules(rises=1, drift=1.0))
    assert both.count(";") == 2
    assert not reason(seen(0, 1, 2, 3, drift=9), Rules())
