"""Campaigns in sessions: people per pair, pause, leases, re-queueing, whose votes count."""

from __future__ import annotations

import dataclasses

import pytest

from annotate import deciding
from annotate.words import RefusedError
from data.records import Pair
from tests.annotate.conftest import PAIRS
from tests.annotate.working import ballot, one_pair, open_site

__all__ = ["open_site"]


@pytest.fixture
def one(world, make_db, tmp_path):
    """A database with a single pair, and that pair."""
    records = one_pair(world.records)
    return make_db(tmp_path, records), next(r for r in records if isinstance(r, Pair))


@pytest.mark.parametrize(
    ("said", "people"),
    [
        ("aaa", 3),  # 3-0: ahead by 3 after 3
        ("aabaa", 5),  # 2-1 after 3, 3-1 after 4, 4-1 after 5: ahead by 3
        ("ababaaa", 7),  # 3-2 after 5, 4-2 after 6, 5-2 after 7
        ("ababababab", 7),  # never ahead by 3: 7 at most
    ],
)
def test_adaptive_redundancy_stops_when_one_answer_is_ahead(one, open_site, said, people):
    db, pair = one
    site = open_site(db, redundancy=3, most=7, blind=0.0)
    asked = 0
    for number, clip in enumerate(said):
        if not site.prefer(f"person{number}", {"a": pair.a, "b": pair.b}[clip]):
            break
        asked += 1
    assert asked == people
    assert site.next("somebody else") is None


def test_without_most_it_is_redundancy_whatever_they_say(one, open_site):
    db, pair = one
    site = open_site(db, redundancy=3, blind=0.0)
    asked = [site.prefer(f"p{n}", clip) for n, clip in enumerate((pair.a, pair.b, pair.a, pair.a))]
    assert asked == [True, True, True, False]


def test_two_people_never_get_the_same_last_slot_and_a_closed_tab_frees_it(one, open_site):
    site = open_site(one[0])
    assert site.next("anna") is not None
    assert site.next("bob") is None
    with site.at_work("anna") as anna:
        assert anna.leave() is True
        assert anna.leave() is False
    assert site.next("bob") is not None
    assert site.next("anna") is None


def test_a_paused_campaign_hands_out_nothing_frees_what_was_held_and_takes_late_answers(
    db, open_site
):
    site = open_site(db, blind=0.0)
    shown = site.next("anna")
    site.decide(paused=True)
    with site.at_work("anna") as anna:
        assert anna.next() is None
        assert anna.hint().kind == "paused"
        assert site.desk.idle(anna).title == "A pause"
        assert site.desk.store.leases() == []
        assert anna.vote(ballot(shown)).status == "stored"  # no work is lost
    site.decide(paused=False)
    assert site.next("anna") is not None


def test_the_apps_options_override_what_is_stored_for_its_campaign(db, open_site):
    site = open_site(
        db, {"blind": 1.0, "redundancy": 4}, blind=0.0, redundancy=2, most=3, gate=True
    )
    now = site.desk.campaign("default")
    assert (now.blind, now.redundancy, now.most, now.gate) == (1.0, 4, 4, True)
    site.decide("other", blind=0.5)
    with site.at_work("anna", "other") as anna:
        assert anna.campaign.blind == 0.5
    assert dataclasses.replace(site.desk.campaign("nobody decided"), name="x").blind == 0.2


def test_requeue_asks_one_person_more_for_a_pair_that_was_done(one, open_site):
    db, pair = one
    site = open_site(db, redundancy=3, most=7, blind=0.0)
    for number in range(3):
        assert site.prefer(f"p{number}", pair.a)
    assert site.next("p3") is None
    said = deciding.requeue(site.desk.store, "default", pair=pair.id, by="test")
    assert said == ["1 pairs of campaign default are asked of one person more"]
    assert site.prefer("p3", pair.a)  # 4-0
    assert site.next("p4") is None
    assert len(site.votes()) == 4
    deciding.requeue(site.desk.store, "default", who="p0", by="test")
    assert site.next("p4") is not None


def test_requeue_of_split_pairs_takes_those_with_different_answers(db, open_site):
    site = open_site(db, redundancy=2, blind=0.0)
    answered = {}
    for who in ("anna", "bob"):
        while (showing := site.next(who)) is not None:
            first = min(showing.left, showing.right)
            apart = who == "bob" and len(answered) < 3 and showing.pair.id not in answered
            wanted = max(showing.left, showing.right) if apart else first
            if apart:
                answered[showing.pair.id] = True
            site.prefer(who, wanted)
    assert site.next("cleo") is None
    said = deciding.requeue(site.desk.store, "default", split=True, by="test")
    assert said == ["3 pairs of campaign default are asked of one person more"]
    again = set()
    while (showing := site.answer("cleo")) is not None:
        again.add(showing.pair.id)
    assert again == set(answered)


def test_excluded_people_fill_no_slot_and_their_votes_come_back(db, open_site):
    site = open_site(db, redundancy=1, blind=0.0)
    while site.answer("anna") is not None:
        pass
    assert site.next("bob") is None
    assert deciding.count(site.desk.store, "anna", counts=False, by="test") == [
        f"the {PAIRS} votes of anna do not count any more"
    ]
    assert site.next("bob") is not None
    with site.at_work("bob") as bob:
        assert bob.progress().left == PAIRS
        bob.leave()
    deciding.count(site.desk.store, "anna", counts=True, by="test")
    assert site.next("bob") is None
    assert len(site.votes("anna")) == PAIRS


def test_what_is_said_of_a_person_is_added_to_what_was_said_before(db, open_site):
    site = open_site(db, blind=0.0)
    site.answer("anna")
    deciding.allow(site.desk.store, "anna", tries=2, by="test")
    deciding.count(site.desk.store, "anna", counts=False, by="test")
    newest = site.desk.store.all("decisions")[-1]
    assert newest.values == {"tries": 2, "counts": False}


def test_the_gate_refuses_answers_until_both_clips_have_played_through(db, open_site):
    site = open_site(db, gate=True, blind=0.0)
    with site.at_work("anna") as anna:
        showing = anna.next()
        for watched in ({}, {"left": 1.0}, {"left": 1.0, "right": 0.5}):
            with pytest.raises(RefusedError, match="played through once"):
                anna.vote(ballot(showing, watched=watched))
        assert site.votes() == []
        seen = {"left": 1.0, "right": 0.97}
        assert anna.vote(ballot(showing, watched=seen)).status == "stored"
        assert anna.vote(ballot(anna.next(), "skip")).status == "stored"


def test_questions_flags_strength_and_comment_are_stored_by_key(db, open_site):
    site = open_site(db, questions=("visual", "overall"), strength=True, blind=0.0)
    said = {"strength": "clearly", "flags": ("text", "nsfw"), "comment": "odd hands"}
    site.answer("anna", "left", answers={"visual": "right"}, **said)
    site.answer("anna", "skip", skip="prompt")
    site.answer("anna", "unusable")
    vote, skip, unusable = site.votes("anna")
    assert vote.answers == {"visual": "right", "flags": "text,nsfw"}
    assert (vote.strength, vote.reason) == ("clearly", "odd hands")
    assert (skip.outcome, skip.answers) == ("skip", {"skip": "prompt"})
    assert (unusable.outcome, unusable.unusable) == ("tie", True)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ({}, "not answered: visual"),
        ({"answers": {"visual": "left", "beauty": "left"}}, "no question beauty.*are: visual"),
        ({"answers": {"visual": "left"}, "flags": ("ugly",)}, "no flag ugly.*watermark, text"),
        ({"answer": "skip", "skip": "bored"}, "no skip bored.*broken, prompt"),
    ],
)
def test_what_the_campaign_does_not_ask_is_refused_by_name(db, open_site, rest, said):
    site = open_site(db, questions=("visual", "overall"), blind=0.0)
    with site.at_work("anna") as anna, pytest.raises(RefusedError, match=said):
        anna.vote(ballot(anna.next(), **rest))
    assert site.votes() == []


@pytest.mark.parametrize(
    ("wanted", "said"), [("auto", "lite"), ("shapes", "shapes"), ("vbench", None)]
)
def test_the_campaigns_profile_comes_before_the_pairs_own(db, open_site, wanted, said):
    """The pairs were made by `lite`; `shapes` knows some of its scores, `vbench` none."""
    showing = open_site(db, profile=wanted, blind=0.0).next("anna")
    assert (showing.opinion and showing.opinion.profile) == said
    assert showing.scored == (said is not None)


def test_leases_last_as_long_as_the_campaign_says(db, open_site):
    site = open_site(db, lease_seconds=60)
    site.next("anna")
    (lease,) = site.desk.store.leases()
    now = site.desk.store.leases(now=lease.expires_ms - 1)
    assert len(now) == 1
    assert site.desk.store.leases(now=lease.expires_ms + 1) == []
