"""What training reads in columns is what the pure functions make of the records."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import decisions, labels
from data.omniscore import PROFILES, totals
from data.records import Pair, Preference, Score
from data.store import Owner, Store
from data.weights import rarity, weighted
from tests.data.store.material import CANDIDATES, PAIRS, PROMPT, WORLD, excluded, sha, vote
from tests.data.store.test_labelling import answer, cast
from train.preference import wide
from train.preference.labelled import Weighting, read, relabelled, write

LITE = PROFILES["lite"]
scores = st.lists(
    st.builds(
        lambda clip, row, value, version: Score(
            candidate=sha(clip), scorer=row.scorer, version=version, dimension=row.key, value=value
        ),
        st.integers(0, 5),
        st.sampled_from(LITE.dimensions),
        st.sampled_from([0.1, 0.5, 0.9]),
        st.sampled_from(["1", "1", "2"]),
    ),
    max_size=20,
)
FULL = [
    Score(candidate=one.sha256, scorer=row.scorer, version="1", dimension=row.key, value=n / 7)
    for n, one in enumerate(CANDIDATES)
    for row in LITE.dimensions
]


@pytest.fixture
def owner(tmp_path: Path) -> Any:
    with Store.own(tmp_path / "prefs.duckdb") as owned:
        owned.add([*WORLD, *FULL])
        yield owned


def reference(store: Store, source: str, weighting: Weighting) -> tuple[list[Preference], Any]:
    """`read` by the pure functions on all records."""
    pairs, raw = store.all("pairs"), store.all("scores")
    votes = decisions.counted(store.all("votes"), store.all("decisions"))
    made = labels.LABELS[source](pairs, raw, votes)
    known = {clip: omni.total for clip, omni in totals(raw, LITE).items() if omni.total is not None}
    made = weighted(made, rarity(made, known, **asdict(weighting)))
    return sorted(made, key=lambda one: one.pair), labels.left_out(source, pairs, raw, votes)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    answers=st.lists(answer, min_size=1, max_size=20), more=scores,
    source=st.sampled_from(["auto", "human"]), preset=st.sampled_from(["paper", "max-bin", "none"]),
)  # fmt: skip
def test_whatever_is_in_the_database(
    owner: Owner, answers: list[dict[str, Any]], more: list[Score], source: str, preset: str
) -> None:
    pairs, votes = cast(f"campaign {owner.count('pairs')}", answers)
    sure = vote(PAIRS[0], "somebody", id=f"sure {owner.sequence}")
    owner.add([*pairs, *votes, *more, sure, excluded("bob", time_ms=owner.sequence)])
    weighting = Weighting(preset=preset)
    made = read(owner.path, source, weighting)
    expected, left_out = reference(owner, source, weighting)
    assert len(made.preferences) == len(expected)
    for found, wanted in zip(made.preferences, expected, strict=True):
        assert found.weight == pytest.approx(wanted.weight, rel=1e-9)
        assert replace(found, weight=1.0) == replace(wanted, weight=1.0)  # evidence too
    assert made.left_out == left_out
    assert made.snapshot == owner.sequence
    named = {sha for one in expected for sha in (one.chosen, one.rejected)}
    assert made.clips == {one.sha256: one for one in CANDIDATES if one.sha256 in named}
    assert made.prompts == {PROMPT.id: PROMPT}


def test_no_score_and_no_vote_becomes_a_record(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.add([vote(PAIRS[0], "ann"), vote(PAIRS[1], "bob")])
    real, asked = Store.all, []
    monkeypatch.setattr(Store, "all", lambda self, kind: asked.append(kind) or real(self, kind))
    assert len(read(owner.path, "human", Weighting()).preferences) == 2
    assert set(asked) == {"decisions"}


def test_a_large_database_keeps_no_evidence(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    owner.add([vote(PAIRS[0], "ann", id="x")])
    assert read(owner.path, "human", Weighting()).preferences[0].evidence == ("x",)
    monkeypatch.setattr(wide, "EVIDENCE_UPTO", 0)
    assert read(owner.path, "human", Weighting()).preferences[0].evidence == ()
    assert read(owner.path, "auto", Weighting()).preferences[0].evidence == ("lite",)


def test_other_sources_see_the_scores_that_count(owner: Owner) -> None:
    """`auto` by a named profile is computed anew: the clip with the higher number scores higher."""
    owner.add([replace(one, value=one.value / 2) for one in FULL[:7]])
    made = read(owner.path, "auto", Weighting(), profile="lite")
    pairs: list[Pair] = owner.all("pairs")
    expected = labels.auto(pairs, owner.all("scores"), [], profile=LITE)
    found = [(one.pair, one.chosen, one.probability) for one in made.preferences]
    wanted = [(one.pair, one.chosen, one.probability) for one in expected]
    assert found == sorted(wanted)
    assert read(owner.path, "posterior", Weighting()).preferences


def test_kept_labels_come_back(owner: Owner, tmp_path: Path) -> None:
    owner.add([vote(PAIRS[0], "ann")])
    made = read(owner.path, "human", Weighting())
    write(tmp_path / "labels.jsonl", made.preferences)
    owner.add([vote(PAIRS[1], "ann")])
    again = relabelled(owner.path, tmp_path / "labels.jsonl", made.snapshot)
    assert (again.preferences, again.clips, again.digest) == (
        made.preferences,
        made.clips,
        made.digest,
    )
