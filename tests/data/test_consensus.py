"""Agreement between people: textbook cases, second implementations, coverage of the interval."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, permutations

import evalica
import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.inter_rater import fleiss_kappa

from data.consensus import (
    _coincidences,
    _fleiss,
    _from_coincidences,
    alpha,
    consensus,
    couples,
)
from data.raters import answers

from .ballot_box import pair, vote

SAID = ("a", "tie", "b")


def cast(rows):
    """Votes from a table person x pair of codes 0, 1, 2 or None."""
    about = [pair(f"c{i}") for i in range(len(rows[0]))]
    votes = [
        vote(one, f"p{who}", SAID[code])
        for who, row in enumerate(rows)
        for one, code in zip(about, row, strict=True)
        if code is not None
    ]
    return answers(votes, about), {one.id: one.prompt for one in about}


def random_rows(people, pairs, seed, *, agree=0.5, there=0.8):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, pairs)
    return [
        [
            None
            if rng.random() > there
            else int(truth[i])
            if rng.random() < agree
            else int(rng.integers(0, 3))
            for i in range(pairs)
        ]
        for _ in range(people)
    ]


def plain_alpha(rows, difference):
    """Krippendorff's alpha as the couples of values that it is defined by."""
    units = [[row[i] for row in rows if row[i] is not None] for i in range(len(rows[0]))]
    units = [unit for unit in units if len(unit) > 1]
    values = [value for unit in units for value in unit]
    total, margin = len(values), Counter(values)
    within = sum(
        sum(difference(x, y, margin) for x, y in permutations(unit, 2)) / (len(unit) - 1)
        for unit in units
    )
    across = sum(difference(x, y, margin) for x, y in permutations(values, 2)) / (total - 1)
    return 1 - within / across


def nominal(x, y, margin):
    return float(x != y)


def ordinal(x, y, margin):
    low, high = sorted((x, y))
    between = sum(margin[value] for value in range(low, high + 1))
    return (between - (margin[low] + margin[high]) / 2) ** 2 if low != high else 0.0


def test_krippendorff_by_hand():
    # Three pairs, two people: (a, a), (a, b), (b, b). Coincidences aa 2, bb 2, ab 1, ba 1; n = 6,
    # n_a = n_b = 3. Nominal: observed 2 / 6, expected 2 * 9 / (6 * 5): 1 - (1/3) / (3/5) = 4 / 9.
    table = np.array([[2.0, 0, 0], [1, 0, 1], [0, 0, 2]])
    assert alpha(table, "nominal") == pytest.approx(4 / 9, abs=1e-9)
    # With two values at the ends ordinal is nominal up to a factor that cancels.
    assert alpha(table, "ordinal") == pytest.approx(4 / 9, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_krippendorff_agrees_with_two_more_implementations(seed):
    rows = random_rows(5, 40, seed)
    given, _ = cast(rows)
    table = given.table()
    table = table[table.sum(1) > 1]
    sums = _coincidences(table).sum(0).reshape(1, 3, 3)
    frame = pd.DataFrame([[np.nan if v is None else v for v in row] for row in rows])
    for scale, difference in (("nominal", nominal), ("ordinal", ordinal)):
        expected = plain_alpha(rows, difference)
        assert alpha(table, scale) == pytest.approx(expected, abs=1e-9)
        assert _from_coincidences(sums, scale)[0] == pytest.approx(expected, abs=1e-9)
        both = evalica.alpha(frame, distance=scale, solver="naive").alpha
        assert both == pytest.approx(expected, abs=1e-9)


def test_cohen_by_hand_and_by_its_formula():
    # 20 pairs: both a 8, a then b 2, b then a 3, both b 7. Same 15 / 20; by chance
    # (10 * 11 + 10 * 9) / 400 = 1 / 2: kappa (3/4 - 1/2) / (1/2) = 1/2.
    rows = [[0] * 10 + [2] * 10, [0] * 8 + [2] * 2 + [0] * 3 + [2] * 7]
    (found,) = couples(cast(rows)[0])
    assert (found.one, found.other, found.pairs, found.same) == ("p0", "p1", 20, 0.75)
    assert found.kappa == pytest.approx(0.5, abs=1e-9)
    rows = random_rows(4, 60, 3, there=0.7)
    for two in couples(cast(rows)[0]):
        one, other = rows[int(two.one[1])], rows[int(two.other[1])]
        both = [(x, y) for x, y in zip(one, other, strict=True) if None not in (x, y)]
        assert two.pairs == len(both)
        same = np.mean([x == y for x, y in both])
        chance = np.mean([x == y for x, _ in both for _, y in both])
        assert two.kappa == pytest.approx((same - chance) / (1 - chance), abs=1e-9)


def test_no_kappa_where_nothing_is_left_to_chance_and_none_from_few():
    (always,) = couples(cast([[0] * 12, [0] * 12])[0])
    assert (always.same, always.kappa) == (1.0, None)
    assert couples(cast([[0] * 9, [0] * 9])[0]) == ()


def test_fleiss_by_hand():
    # Ten pairs, two answers each: 6 times a a, 2 times b b, 2 times a b.
    # P = 8 / 10; shares a 14/20, b 6/20: by chance 0.49 + 0.09 = 0.58; (0.8 - 0.58) / 0.42.
    table = np.array([[2.0, 0, 0]] * 6 + [[0, 0, 2]] * 2 + [[1, 0, 1]] * 2)
    found, each = _fleiss(table)
    assert each == 2
    assert found.value == pytest.approx(0.22 / 0.42, abs=1e-9)
    # Pairs with another number of answers stay out, and the number is said.
    mixed = np.concatenate([table, [[3.0, 0, 0]] * 4])
    assert _fleiss(mixed) == (found, 2)


def test_fleiss_agrees_with_its_formula():
    rows = random_rows(3, 50, 1, there=1.0)
    table = cast(rows)[0].table()
    n = 3
    observed = ((table**2).sum(1) - n).mean() / (n * (n - 1))
    chance = ((table.sum(0) / table.sum()) ** 2).sum()
    assert fleiss_kappa(table) == pytest.approx((observed - chance) / (1 - chance), abs=1e-9)
    assert _fleiss(table)[0].value == pytest.approx((observed - chance) / (1 - chance), abs=1e-9)


def test_percent_counts_couples_of_answers():
    rows = [[0] * 10, [0] * 5 + [2] * 5, [None] * 10]
    given, prompts = cast(rows)
    found = consensus(given, prompts, seed=0)
    assert (found.pairs, found.people, found.same.value) == (10, 2, 0.5)
    rows[2] = [0] + [None] * 9  # the first pair has three answers now: three couples, all the same
    given, prompts = cast(rows)
    assert consensus(given, prompts, seed=0).same.value == pytest.approx((3 + 4) / (3 + 9))
    plain = [
        x == y
        for i in range(10)
        for x, y in combinations([row[i] for row in rows if row[i] is not None], 2)
    ]
    assert consensus(given, prompts, seed=0).same.value == pytest.approx(np.mean(plain))


def test_few_votes_say_so():
    given, prompts = cast([[0, 1], [0, 1]])
    found = consensus(given, prompts, seed=0)
    assert found.nominal.told() == found.fleiss.told() == "n=2: too few"
    nobody = consensus(answers([], []), {}, seed=0)
    assert (nobody.pairs, nobody.fleiss_answers, nobody.nominal.told()) == (0, 0, "n=0: too few")
    same, where = cast([[0] * 20, [0] * 20])
    assert consensus(same, where, seed=0).ordinal.told() == "everybody always said the same"


def test_the_interval_of_alpha_holds_the_truth():
    # Two people name the truth with chance 0.6 each, else anything of three: they say the same
    # with chance q = 0.36 + 0.64 / 3, by chance 1 / 3; alpha is (q - 1/3) / (2/3) = 0.36.
    held = 0
    for seed in range(150):
        given, prompts = cast(random_rows(2, 60, 1000 + seed, agree=0.6, there=1.0))
        found = consensus(given, prompts, seed=seed).nominal
        held += found.low <= 0.36 <= found.high
    assert 0.90 <= held / 150 <= 0.99
