"""Gold, repeats and practice: when they come, that nothing gives them away, and what follows."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from annotate import deciding, pauses
from annotate.campaigns import Campaign
from annotate.checks import answers_in_all, drawn, rounds, too_often_wrong
from annotate.words import RefusedError
from data.records import Candidate, Decision, Pair, Vote
from tests.annotate.conftest import PAIRS
from tests.annotate.working import ballot, fresh, one_pair, open_site, with_known

__all__ = ["open_site"]


def test_the_shares_are_drawn_by_number_and_repeat():
    """4 standard deviations of 2000 draws at 0.1: 4 * sqrt(2000 * 0.1 * 0.9) = 54."""
    campaign = Campaign(gold=0.1, repeat=0.1)
    draws = [drawn(campaign, "anna", number) for number in range(2000)]
    assert draws == [drawn(campaign, "anna", number) for number in range(2000)]
    assert draws != [drawn(campaign, "bob", number) for number in range(2000)]
    counts = Counter(draws)
    assert abs(counts["gold"] - 200) < 54
    assert abs(counts["repeat"] - 180) < 54  # of those that are not gold
    assert {drawn(Campaign(), "anna", number) for number in range(99)} == {None}


def test_how_many_answers_much_work_takes():
    """At 0.1 each, 0.9 * 0.1 of all are repeats: 8100 of 10,000 are work, and 1,000 are gold.

    With 10 gold pairs in all it is (9090 + 10) / (1 - 0.09); without any 9100 / 0.91.
    """
    campaign = Campaign(gold=0.1, repeat=0.1)
    assert answers_in_all(campaign, "anna", 8100, 1000) == 10_000
    assert answers_in_all(campaign, "anna", 8100, 99_999) == 10_000
    assert answers_in_all(campaign, "anna", 9090, 10) == 10_000
    assert answers_in_all(campaign, "anna", 9100, 0) == 10_000
    near = answers_in_all(campaign, "anna", 2000, 10)  # counted one by one: the same, about
    assert abs(near - 2010 / 0.91) < 4 * (2010 * 0.09) ** 0.5


def test_rounds_of_practice_by_hand():
    """Rounds of 5 at 0.8: 4 right pass, 3 do not; two tries."""
    rule = {"of": 5, "share": 0.8, "tries": 2}
    yes, no = [True], [False]
    first = rounds(yes * 2 + no, **rule)
    assert (first.now.done, first.now.right, first.now.needed, first.now.tries_left) == (3, 2, 4, 2)
    assert not first.passed
    assert not first.failed
    assert rounds(yes * 4 + no, **rule).passed
    second = rounds(yes * 3 + no * 2, **rule)
    assert (second.now.done, second.now.tries_left, second.failed) == (0, 1, False)
    ended = rounds(yes * 3 + no * 2, last=True, **rule)
    assert (ended.now.done, ended.now.right, ended.now.tries_left, ended.passed) == (5, 3, 1, False)
    assert rounds(yes * 3 + no * 2 + no + yes * 4, **rule).passed
    failed = rounds(yes * 3 + no * 2 + no * 2 + yes * 3, **rule)
    assert (failed.failed, failed.now.tries_left, failed.now.right) == (True, 0, 3)
    more = rounds(yes * 3 + no * 2 + no * 2 + yes * 3, of=5, share=0.8, tries=3)
    assert (more.failed, more.now.tries_left) == (False, 1)
    assert rounds(yes * 4 + no, of=5, share=0.8, tries=1).now.needed == 4  # not 5 by rounding
    assert rounds(yes * 2, of=3, share=0.8, tries=1).now.needed == 3  # 2 of 3 are less than 0.8


def test_nobody_is_warned_before_five_and_the_newest_twenty_count():
    assert not too_often_wrong([False] * 4, 0.7)
    assert too_often_wrong([True] * 3 + [False] * 2, 0.7)  # 0.6
    assert not too_often_wrong([False] * 30 + [True] * 14 + [False] * 6, 0.7)  # 14 of 20
    assert too_often_wrong([True] * 30 + [True] * 13 + [False] * 7, 0.7)


def vote_at(minutes: float) -> Vote:
    at = round(minutes * 60_000)
    return Vote(id=fresh(), pair="p", annotator="a", left="l", right="r", outcome="tie", time_ms=at)


def test_a_break_is_proposed_when_half_an_hour_is_full_and_again_after_another():
    def after(*minutes: float) -> int | None:
        return pauses.break_due((vote_at(at) for at in reversed(minutes)), 30)

    steady = [4.0 * n for n in range(20)]
    due = [after(*steady[: n + 1]) for n in range(20)]
    assert [n for n, one in enumerate(due) if one] == [8, 15]  # 32 and 60 minutes
    assert (due[8], due[15]) == (32, 60)
    rested = [0, 4, 8, 12, 17, *(17 + 4 * n for n in range(1, 8))]  # five minutes off after 12
    assert after(*rested) is None
    assert after() is None


def shown_kinds(site, who: str) -> list[str]:
    """Answer everything; the first words of the strategies in the order of asking."""
    kinds = []
    while (showing := site.answer(who)) is not None:
        kinds.append(showing.pair.strategy.partition(":")[0])
    return kinds


def test_gold_pairs_come_where_they_are_drawn_and_only_once(world, make_db, tmp_path, open_site):
    db = make_db(tmp_path, with_known(world.records, "gold", 3))
    site = open_site(db, gold=0.4, redundancy=9, blind=0.0)
    kinds = shown_kinds(site, "anna")
    assert Counter(kinds)["test"] == PAIRS
    campaign = site.desk.campaign("default")
    places = [n for n in range(len(kinds)) if drawn(campaign, "anna", n) == "gold"][:3]
    assert [n for n, kind in enumerate(kinds) if kind == "gold"] == places
    assert shown_kinds(site, "bob") != kinds  # everybody answers them, each in their own places
    assert Counter(vote.annotator for vote in site.votes())["bob"] >= PAIRS


def test_a_reload_shows_the_same_gold_pair_and_nothing_tells_it_from_others(
    world, make_db, tmp_path, open_site
):
    db = make_db(tmp_path, with_known(world.records, "gold", 3))
    site = open_site(db, gold=0.5, redundancy=9, blind=0.0)
    left = []
    for _ in range(6):
        showing = site.next("anna")
        assert showing == site.next("anna")
        assert (showing.practice, showing.scored) == (False, True)
        with site.at_work("anna") as anna:
            left.append(anna.progress().left)
            anna.vote(ballot(showing))
    assert any(vote.pair != showing.pair.id for vote in site.votes())
    # One less with each answer, whichever it was: 8 pairs, and the 3 gold ones that come between.
    assert left == [PAIRS + 3 - n for n in range(6)]


def test_undo_works_on_a_gold_pair_as_on_any_other(world, make_db, tmp_path, open_site):
    site = open_site(
        make_db(tmp_path, with_known(world.records, "gold", 3)), gold=0.9, redundancy=9, blind=0.0
    )
    showing = site.answer("anna")
    while showing.pair.trains:
        showing = site.answer("anna")
    with site.at_work("anna") as anna:
        newest = anna.progress().newest
        assert anna.next(anna.undo(fresh(), newest)) == showing


def test_a_repeat_has_the_sides_swapped_and_is_no_label(world, make_db, tmp_path, open_site):
    """Sixteen pairs: the eight of the prompts and eight across them."""
    clips = sorted({clip for pair in world.records if isinstance(pair, Pair) for clip in
                    (pair.a, pair.b)})  # fmt: skip
    prompt = next(pair.prompt for pair in world.records if isinstance(pair, Pair))
    more = [Pair.of(clips[n], clips[n + 4], prompt=prompt) for n in range(8)]
    site = open_site(make_db(tmp_path, [*world.records, *more]), repeat=0.5, blind=0.0)
    kinds, firsts, asked, left = [], [], [], []
    while (showing := site.answer("anna")) is not None:
        with site.at_work("anna") as anna:
            left.append(anna.progress().left)
        kinds.append(showing.pair.trains)
        asked.append(showing.pair.id)
        if not showing.pair.trains:
            firsts.append(showing.pair.strategy.removeprefix("repeat:"))
            assert len(asked) - 1 - asked.index(firsts[-1]) >= 8
            before = next(vote for vote in site.votes() if vote.pair == firsts[-1])
            assert (before.left, before.right) == (showing.right, showing.left)
    assert kinds[:8] == [True] * 8
    assert firsts
    assert len(set(firsts)) == len(firsts)
    assert left == list(range(len(asked)))[::-1]  # the counter tells nothing apart
    assert len(site.desk.store.labels("human")) == kinds.count(True)


@pytest.fixture
def practising(world, make_db, tmp_path, open_site):
    """A site whose practice rounds have four pairs, three of which must be right."""
    db = make_db(tmp_path, with_known(world.records, "practice", 4))
    return open_site(db, practice=4, practice_pass=0.75, practice_tries=2, blind=0.5)


def practise(site, who: str, right: list[bool]) -> list:
    """Answer as expected, or not; what was told after each."""
    told = []
    for good in right:
        with site.at_work(who) as session:
            showing = session.next()
            assert showing.practice
            assert (showing.exposure, showing.opinion, showing.scored) == ("blind", None, False)
            expected = session.asking.known.answers[showing.pair.id].expected
            answer = {showing.left: "left", showing.right: "right", None: "tie"}[expected]
            wrong = {"left": "right", "right": "left", "tie": "left"}[answer]
            vote = ballot(showing, answer if good else wrong)
            session.vote(vote)
            told.append(session.asking.lesson(vote.id))
            assert told[-1].expected == answer
            assert told[-1].right == good
            assert session.reveal(vote) is None
    return told


def test_practice_comes_first_and_is_passed_by_the_mark(practising):
    with practising.at_work("anna") as anna:
        assert anna.progress().practice.needed == 3
    told = practise(practising, "anna", [True, False, True, True])
    assert [one.after.done for one in told] == [1, 2, 3, 4]
    assert told[-1].passed
    assert told[0].why.startswith("because")
    showing = practising.next("anna")
    assert not showing.practice
    with practising.at_work("anna") as anna:
        progress = anna.progress()
    assert (progress.practice, progress.done, progress.newest) == (None, 0, None)
    assert len(practising.desk.store.labels("human")) == 0


def test_after_the_last_try_practice_stops_until_a_lead_gives_another(practising):
    told = practise(practising, "anna", [False] * 4)
    assert (told[-1].passed, told[-1].after.tries_left) == (False, 1)
    told = practise(practising, "anna", [True, True, False, False])
    assert told[-1].after.tries_left == 0
    with practising.at_work("anna") as anna:
        assert anna.next() is None
        assert practising.desk.idle(anna).title == "Practice is over for now"
    deciding.allow(practising.desk.store, "anna", tries=1, by="lead")
    assert practise(practising, "anna", [True] * 4)[-1].passed
    assert not practising.next("anna").practice


def test_practice_is_neither_undone_nor_edited_nor_answered_twice(practising):
    with practising.at_work("anna") as anna:
        showing = anna.next()
        vote = ballot(showing)
        assert anna.vote(vote).status == "stored"
        assert anna.vote(vote).status == "duplicate"
        for act in (lambda: anna.undo(fresh(), vote.id), lambda: anna.reopen(vote.id),
                    lambda: anna.vote(ballot(showing))):  # fmt: skip
            with pytest.raises(RefusedError, match="not taken back or changed"):
                act()
        assert len(practising.votes()) == 1


def test_what_is_asked_for_and_not_there_stops_nobody(db, open_site):
    site = open_site(db, gold=0.5, practice=10, blind=0.0)
    with site.at_work("anna") as anna:
        assert anna.progress().practice is None
        assert anna.progress().left == PAIRS
    assert shown_kinds(site, "anna") == ["test"] * PAIRS


def test_practice_keeps_no_pair_of_another_campaign_from_others(
    world, make_db, tmp_path, open_site
):
    alone = dataclasses.replace(next(r for r in world.records if isinstance(r, Pair)), campaign="b")
    records = with_known([*world.records, alone], "practice", 4)
    site = open_site(make_db(tmp_path, records), practice=4, blind=0.0)
    with site.at_work("anna", "b") as anna:
        assert anna.next().pair == alone
    assert site.next("anna").practice
    with site.at_work("bob", "b") as bob:
        assert bob.next().pair == alone


def test_a_gold_pair_whose_clip_comes_late_is_asked_from_then_on(
    world, make_db, tmp_path, open_site
):
    records = one_pair(world.records)
    late = next(one for one in world.records if isinstance(one, Candidate) and one not in records)
    first = next(one for one in records if isinstance(one, Pair))
    gold = Pair.of(first.a, late.sha256, prompt=first.prompt, strategy="gold:frozen")
    known = Decision(id="g", topic="gold", subject=gold.id, time_ms=1,
                     values={"expected": first.a, "kind": "frozen", "use": "gold"})  # fmt: skip
    site = open_site(make_db(tmp_path, [*records, gold, known]), gold=0.9, redundancy=9)
    with site.at_work("anna") as anna:
        assert anna.asking.known.gold == ()
    site.desk.store.add([late])
    with site.at_work("anna") as anna:
        assert anna.asking.known.gold == (gold.id,)


def test_who_is_often_wrong_on_gold_is_warned_at_every_tenth_answer(
    world, make_db, tmp_path, open_site
):
    db = make_db(tmp_path, with_known(world.records, "gold", 7))
    site = open_site(db, gold=0.6, blind=0.0, redundancy=9, gold_warn=0.7)
    hints = []
    for _ in range(10):
        site.answer("anna", "unusable")
        with site.at_work("anna") as anna:
            hints.append(anna.hint().kind if anna.hint() else None)
            wrong = len(anna.track.chains("gold"))
    assert wrong >= 5
    assert hints == [None] * 9 + ["warning"]
