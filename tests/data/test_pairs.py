"""Which pairs a strategy makes, by name and by hand; and the command on a real database."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import pair as command
from data.omniscore import PROFILES
from data.pairs import STRATEGIES, above_percentile, by_prompt, percentile, skipped
from data.records import Candidate, Pair, Prompt, Score, digest
from data.store import Store

ONE, TWO = Prompt(text="a red circle"), Prompt(text="a blue square", split="test")
RANKED = ("best-worst", "01", "02", "03", "12", "13", "23", "better-worse")


def clip(name: str) -> str:
    return digest(name) * 2


A, B, C, D, E = (clip(name) for name in "abcde")
# Ranks 0 to 3: B, D, A, C.
TOTALS = {A: 0.5, B: 0.9, C: 0.1, D: 0.7}
FOUR = {ONE.id: [A, B, C, D]}


def chosen(strategy: str, candidates=FOUR, totals=TOTALS, seed=0) -> set[tuple[str | None, ...]]:
    pairs = STRATEGIES[strategy](candidates, totals, seed, profile="lite")
    return {(pair.best, pair.worst) for pair in pairs}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("best-worst", {(B, C)}),
        ("01", {(B, D)}),
        ("02", {(B, A)}),
        ("03", {(B, C)}),
        ("12", {(D, A)}),
        ("13", {(D, C)}),
        ("23", {(A, C)}),
        ("better-worse", {(B, A), (B, C), (D, A), (D, C)}),
        ("all", {(B, A), (B, C), (B, D), (A, C), (D, A), (D, C)}),
    ],
)
def test_four_clips(strategy: str, expected: set[tuple[str, str]]):
    assert chosen(strategy) == expected


def test_the_opinion_is_stored_with_the_pair():
    (pair,) = STRATEGIES["best-worst"](FOUR, TOTALS, 0, profile="lite", campaign="june")
    assert pair.margin == pytest.approx(0.9 - 0.1)
    assert (pair.prompt, pair.best, pair.worst) == (ONE.id, B, C)
    assert (pair.profile, pair.strategy, pair.campaign) == ("lite", "best-worst", "june")
    assert pair.a < pair.b


def test_other_numbers_of_clips():
    three = {ONE.id: [A, B, C]}
    assert chosen("best-worst", three) == {(B, C)}
    assert chosen("02", three) == {(B, C)}
    assert chosen("03", three) == chosen("23", three) == chosen("better-worse", three) == set()
    five, totals = {ONE.id: [A, B, C, D, E]}, TOTALS | {E: 0.3}  # ranks: B D A E C
    assert chosen("best-worst", five, totals) == {(B, C)}
    assert chosen("03", five, totals) == {(B, E)}  # rank 3, literally
    assert chosen("better-worse", five, totals) == {(B, E), (B, C), (D, E), (D, C)}


@pytest.mark.parametrize("strategy", RANKED)
def test_ranking_needs_scores(strategy: str):
    assert chosen(strategy, totals={}) == set()
    assert chosen(strategy, totals={A: 0.5}) == set()


def test_a_clip_without_a_total_is_left_out_and_not_the_worst():
    assert chosen("best-worst", totals={A: 0.5, B: 0.9, D: 0.7}) == {(B, A)}


def test_equal_totals_are_no_preference():
    equal = dict.fromkeys(TOTALS, 0.5)
    assert chosen("best-worst", totals=equal) == set()
    (pair,) = STRATEGIES["random"](FOUR, equal, 0, profile="lite")
    assert (pair.best, pair.margin, pair.profile) == (None, 0.0, "lite")


@pytest.mark.parametrize(("strategy", "count"), [("random", 1), ("all", 6)])
def test_without_scores_there_is_a_pair_but_no_opinion(strategy: str, count: int):
    pairs = STRATEGIES[strategy](FOUR, {}, 0, profile="lite")
    assert len(pairs) == count
    assert {(pair.best, pair.margin, pair.profile) for pair in pairs} == {(None, None, "")}


def test_random_depends_on_the_seed_and_on_nothing_else():
    many = {digest("p", n): [clip(f"{n}{k}") for k in range(4)] for n in range(40)}
    first = STRATEGIES["random"](many, {}, 1)
    assert first == STRATEGIES["random"](many, {}, 1)
    assert first != STRATEGIES["random"](many, {}, 2)
    prompt = first[7].prompt
    assert STRATEGIES["random"]({prompt: many[prompt]}, {}, 1) == [first[7]]
    # Every one of the six pairs of a prompt can be drawn.
    drawn = {STRATEGIES["random"](FOUR, {}, seed)[0].id for seed in range(100)}
    assert len(drawn) == 6


@given(st.permutations(sorted(TOTALS)), st.sampled_from(sorted(STRATEGIES)))
def test_the_order_of_arrival_does_not_matter(order: list[str], strategy: str):
    pairs = STRATEGIES[strategy]({ONE.id: order}, TOTALS, 3)
    straight = STRATEGIES[strategy](FOUR, TOTALS, 3)
    assert {pair.id for pair in pairs} == {pair.id for pair in straight}


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_prompts_are_never_mixed_and_a_clip_never_meets_itself(strategy: str):
    apart = {ONE.id: [A, B, A, B], TWO.id: [C, D]}
    owner = {A: ONE.id, B: ONE.id, C: TWO.id, D: TWO.id}
    for pair in STRATEGIES[strategy](apart, TOTALS, 0):
        assert owner[pair.a] == owner[pair.b] == pair.prompt
        assert pair.a != pair.b


def test_prompts_without_a_pair_are_counted_by_reason():
    two = {"p": [A, B], "alone": [C], "unscored": [D, E], "equal": [clip("f"), clip("g")]}
    totals = {A: 0.5, B: 0.9, clip("f"): 0.2, clip("g"): 0.2}
    pairs = STRATEGIES["best-worst"](two, totals, 0)
    assert skipped(two, totals, pairs) == {
        "fewer than two clips": 1,
        "fewer than two clips with a total": 1,
        "equal totals": 1,
    }
    few = skipped(two, totals, STRATEGIES["23"](two, totals, 0))
    assert few["too few clips with a total for this strategy"] == 1


def test_percentile_by_hand():
    # Place (4 - 1) * 0.25 = 0.75 between 1 and 2; (4 - 1) * 0.5 = 1.5 between 2 and 3.
    assert percentile([4.0, 1.0, 3.0, 2.0], 25.0) == pytest.approx(1.75)
    assert percentile([4.0, 1.0, 3.0, 2.0], 50.0) == pytest.approx(2.5)


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30),
    st.floats(0, 99.9),
)
def test_percentile_is_numpys(values: list[float], percent: float):
    assert percentile(values, percent) == pytest.approx(float(np.percentile(values, percent)))


def test_the_filter_drops_pairs_whose_better_clip_is_poor():
    pairs = [Pair.of(clip(f"top{n}"), clip(f"low{n}"), prompt=str(n), margin=0.0) for n in range(4)]
    totals = {clip(f"low{n}"): -1.0 for n in range(4)}
    totals |= {clip(f"top{n}"): float(n) for n in range(4)}
    assert above_percentile(pairs, totals, 0.0) == pairs
    assert above_percentile(pairs, totals, 50.0) == pairs[2:]  # better clips 0 1 2 3, least 1.5
    assert above_percentile(pairs, totals, 75.0) == pairs[3:]  # least 2.25
    unscored = Pair.of(A, B, prompt="x")
    assert above_percentile([*pairs, unscored], totals, 0.0)[-1] == unscored
    assert unscored not in above_percentile([*pairs, unscored], totals, 25.0)
    assert above_percentile([unscored], totals, 25.0) == []


def candidate(sha256: str, prompt: Prompt) -> Candidate:
    return Candidate(
        sha256=sha256,
        prompt=prompt.id,
        path="/x.mkv",
        model="m",
        fps=8,
        frames=9,
        width=48,
        height=48,
    )


def test_candidates_by_prompt_are_sorted_and_unique():
    clips = [candidate(B, ONE), candidate(A, ONE), candidate(B, ONE), candidate(C, TWO)]
    assert by_prompt(clips) == {ONE.id: sorted([A, B]), TWO.id: [C]}


def lite_scores(sha256: str, place: float) -> list[Score]:
    """Scores that give this clip an OmniScore of `place` under `lite`."""
    return [
        Score(
            candidate=sha256, scorer=row.scorer, version="1", dimension=row.key,
            value=row.low + place * (row.high - row.low),
        )
        for row in PROFILES["lite"].dimensions
    ]  # fmt: skip


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "prefs.duckdb"
    clips = [candidate(sha256, ONE) for sha256 in (A, B, C)] + [
        candidate(D, TWO),
        candidate(E, TWO),
    ]
    scores = [score for sha256 in (A, B, C) for score in lite_scores(sha256, TOTALS[sha256])]
    with Store.open(path) as store:
        store.add([ONE, TWO, *clips, *scores])
    return path


def stored(db: Path) -> list[Pair]:
    with Store.open(db) as store:
        return store.all("pairs")  # type: ignore[return-value]


def test_the_command_pairs_the_train_split_once(db: Path, capsys: pytest.CaptureFixture[str]):
    assert command.main(["--db", str(db)]) == 0
    (pair,) = stored(db)
    assert (pair.best, pair.worst, pair.profile) == (B, C, "lite")
    assert pair.margin == pytest.approx(0.8)
    assert "1 pairs from 1 prompts with clips, 1 of them new" in capsys.readouterr().out
    assert command.main(["--db", str(db)]) == 0
    assert "0 of them new" in capsys.readouterr().out
    assert stored(db) == [pair]


def test_a_pair_that_exists_keeps_its_first_opinion(db: Path):
    command.main(["--db", str(db)])
    (before,) = stored(db)
    with Store.open(db) as store:  # the scorer changed its mind
        store.add([*lite_scores(B, 0.0), *lite_scores(C, 1.0)])
    command.main(["--db", str(db), "--strategy", "all"])
    after = {pair.id: pair for pair in stored(db)}
    assert after[before.id] == before
    assert len(after) == 3


def test_campaigns_are_apart(db: Path):
    command.main(["--db", str(db)])
    command.main(["--db", str(db), "--campaign", "second"])
    assert [pair.campaign for pair in stored(db)] == ["default", "second"]


def test_the_test_split_only_when_asked(db: Path, capsys: pytest.CaptureFixture[str]):
    command.main(["--db", str(db), "--strategy", "random", "--split", "test"])
    (pair,) = stored(db)
    assert (pair.prompt, pair.best, pair.profile) == (TWO.id, None, "")
    command.main(["--db", str(db), "--split", "all"])
    out = capsys.readouterr().out
    assert "skipped 1 prompts: fewer than two clips with a total" in out
    assert "2 clips have no total under lite" in out


def test_the_run_is_on_record(db: Path):
    report = command.run(command.Config(db=db))
    with Store.open(db) as store:
        (run,) = store.all("runs")
    assert (run.kind, run.config["strategy"], run.metrics["new"]) == (
        "pair",
        "best-worst",
        report.new,
    )  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--strategy", "worst"], "--strategy is 'worst'; it must be one of best-worst, 01"),
        (["--profile", "vbnch"], "--profile is 'vbnch'; it must be one of lite, shapes, vbench"),
        (["--split", "dev"], "--split is 'dev'"),
        (["--filter-percentile", "100"], "--filter-percentile is 100.0"),
    ],
)
def test_mistakes_are_named(
    db: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert command.main(["--db", str(db), *options]) == 2
    assert said in capsys.readouterr().err
