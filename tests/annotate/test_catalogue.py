"""What the page knows of a database, and that it takes in news as a restart would."""

from __future__ import annotations

import dataclasses
import uuid
from pathlib import Path

import numpy as np
import pytest

from annotate.catalogue import Catalogue
from data.omniscore import PROFILES
from data.records import Candidate, Decision, Pair, Prompt, Score
from data.store import Store
from tests.annotate.small import scene, sha
from tests.annotate.world import scores

PROMPT, A, B, PAIR = scene(0, profile="lite", margin=0.25, best=None, strategy="best-worst")


@pytest.fixture
def owner(tmp_path):
    with Store.own(tmp_path / "prefs.duckdb") as one:
        yield one


def decision(topic: str, subject: str, **values) -> Decision:
    return Decision(id=str(uuid.uuid4()), topic=topic, subject=subject, values=values, time_ms=1)


def test_a_pair_comes_back_as_it_was_stored(owner):
    best = dataclasses.replace(PAIR, best=PAIR.b)
    bare = scene(1)
    owner.add([PROMPT, A, B, best, *bare])
    catalogue = Catalogue(owner)
    assert catalogue.pair(best.id) == best
    assert catalogue.pair(bare[3].id) == bare[3]
    assert catalogue.prompt(best) == "prompt 0"
    assert (catalogue.fps(A.sha256), catalogue.fps(B.sha256)) == (8.0, 16.0)
    assert catalogue.has_clip(A.sha256)
    assert not catalogue.has_clip(sha("another"))
    assert catalogue.pair(sha("another")[:32]) is None


def test_a_pair_whose_clip_is_not_here_is_not_shown_until_it_comes(owner):
    owner.add([PROMPT, A, PAIR])
    catalogue = Catalogue(owner)
    assert catalogue.pair(PAIR.id) is None
    assert not catalogue.ordinary("default").any()
    owner.add([B])
    catalogue.news()
    assert catalogue.pair(PAIR.id) == PAIR
    assert catalogue.ordinary("default").tolist() == [True]
    assert catalogue.version > 0  # who keeps arrays of pairs has to look again


def test_pairs_that_check_people_are_kept_apart(owner):
    kinds = ["", "gold:frozen", "practice:blur", "repeat:x"]
    pairs = [dataclasses.replace(PAIR, strategy=kind) for kind in kinds]
    owner.add([PROMPT, A, B, *pairs])
    catalogue = Catalogue(owner)
    assert catalogue.ordinary("default").tolist() == [True, False, False, False]
    assert catalogue.counting("default").tolist() == [True, True, False, True]
    for use, pair in zip(("gold", "practice", "repeat"), pairs[1:], strict=True):
        assert catalogue.special("default", use) == [pair]
    assert catalogue.special("another", "gold") == []
    assert not catalogue.ordinary("another").any()


def view(catalogue: Catalogue, pairs: list[Pair]) -> list[object]:
    opinions = [catalogue.opinion(pair, pair.a, pair.b) for pair in pairs]
    return [*opinions, *map(catalogue.pair, [pair.id for pair in pairs]), catalogue.campaigns(),
            repr(catalogue.margins()), catalogue.counts("default", answered=0)]  # fmt: skip


def test_news_is_taken_in_as_a_restart_would(owner):
    every = [scene(number, profile="lite", margin=number / 10) for number in range(1, 4)]
    owner.add([PROMPT, A, B, PAIR, *scores(A.sha256, 0.4)])
    catalogue, pairs = Catalogue(owner), [PAIR, *(one[3] for one in every)]
    steps = [
        [*scores(B.sha256, 0.6)],
        [record for one in every for record in one],
        [*scores(every[0][1].sha256, 0.3), *scores(every[0][2].sha256, 0.9)],
        [*scores(A.sha256, 0.8)],  # scored again: the newest counts
        [Pair.of(A.sha256, B.sha256, prompt=PROMPT.id, campaign="second")],
    ]
    for step in steps:
        owner.add(step)
        catalogue.news()
    assert view(catalogue, pairs) == view(Catalogue(owner), pairs)
    opinion = catalogue.opinion(PAIR, PAIR.a, PAIR.b)
    assert opinion is not None
    assert sorted(one for one in (opinion.left, opinion.right) if one) == pytest.approx([0.6, 0.8])


def test_scores_of_another_version_replace_all_and_may_come_back(owner):
    old = [*scores(A.sha256, 0.4), *scores(B.sha256, 0.6)]
    newer = [dataclasses.replace(one, version="2") for one in scores(A.sha256, 0.9)]
    back = list(scores(A.sha256, 0.5))
    owner.add([PROMPT, A, B, PAIR, *old])
    catalogue = Catalogue(owner)
    for step, left, right in ((newer, 0.9, None), (back, 0.5, 0.6)):
        owner.add(step)
        catalogue.news()
        opinion = catalogue.opinion(PAIR, A.sha256, B.sha256)
        assert opinion is not None
        assert (opinion.left, opinion.right) == (
            pytest.approx(left),
            None if right is None else pytest.approx(right),
        )


def test_every_bar_has_its_raw_values_and_the_range_of_the_profile(owner):
    owner.add([PROMPT, A, B, PAIR, *scores(A.sha256, 0.4)])
    opinion = Catalogue(owner).opinion(PAIR, A.sha256, B.sha256)
    assert opinion is not None
    for bar, row in zip(opinion.bars, PROFILES["lite"].dimensions, strict=False):
        assert (bar.key, bar.low, bar.high) == (row.key, row.low, row.high)
        assert bar.raw_left == pytest.approx(row.low + 0.4 * (row.high - row.low))
        assert bar.raw_right is None
    assert opinion.bars[-1].key == "alignment"  # which `lite` does not measure
    assert opinion.bars[-1].low is None


def test_scores_that_no_profile_asks_for_are_passed_over(owner):
    other = [Score(candidate=A.sha256, scorer="mine", version="1", dimension="x", value=1.0)]
    owner.add([PROMPT, A, B, PAIR, *other])
    catalogue = Catalogue(owner)
    assert catalogue.opinion(PAIR, A.sha256, B.sha256) is None
    assert catalogue.counts("default", answered=0).scored == 0


def test_decisions_count_as_soon_as_they_are_read(owner):
    owner.add([PROMPT, A, B, PAIR])
    catalogue = Catalogue(owner)
    owner.add([decision("person", "bob", counts=False), decision("pair", PAIR.id, again=2)])
    version = catalogue.version
    catalogue.news()
    assert catalogue.uncounted == {"bob"}
    assert catalogue.again == {PAIR.id: 2}
    assert catalogue.version > version
    owner.add([decision("campaign", "default", redundancy=3)])  # changes no pair by itself
    version = catalogue.version
    catalogue.news()
    assert (len(catalogue.decisions), catalogue.version) == (3, version)


def test_clips_of_which_only_votes_are_known_are_not_asked(tmp_path: Path):
    """An imported vote's clip has no file and sizes 0: nobody is shown an empty player."""
    prompt = Prompt(text="a circle")
    bare = [
        Candidate(sha256=letter * 64, prompt=prompt.id, path="", model="m", fps=0.0, frames=0,
                  width=0, height=0)
        for letter in "ab"
    ]  # fmt: skip
    whole = [
        Candidate(sha256=letter * 64, prompt=prompt.id, path="x", model="m", fps=8.0, frames=9,
                  width=48, height=48)
        for letter in "cd"
    ]  # fmt: skip
    pairs = [Pair.of(one.sha256, other.sha256, prompt=prompt.id) for one, other in (bare, whole)]
    with Store.own(tmp_path / "prefs.duckdb") as store:
        store.add([prompt, *bare, *whole, *pairs])
        catalogue = Catalogue(store)
        ordinary = catalogue.ordinary("default")
        asked = [catalogue.pair_id(int(row)) for row in np.flatnonzero(ordinary)]
    assert asked == [pairs[1].id]
