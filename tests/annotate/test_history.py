"""Undo, the slip before the reveal, editing, the history, and going on where one was."""

from __future__ import annotations

import pytest

from annotate.pages import Pages
from annotate.rights import Person
from annotate.words import ENGLISH, RefusedError
from data.records import Pair
from data.votes import live_votes
from tests.annotate.working import ballot, fresh, open_site

__all__ = ["open_site"]


def pages(site, session) -> Pages:
    return Pages(site.desk, Person(session.annotator, session.annotator, "admin"), session, ENGLISH)


@pytest.fixture
def many(world, make_db, tmp_path, open_site):
    """Sixteen pairs, never blind."""
    records = [one for one in world.records if isinstance(one, Pair)]
    clips = sorted({clip for pair in records for clip in (pair.a, pair.b)})
    more = [Pair.of(clips[n], clips[n + 4], prompt=records[0].prompt) for n in range(8)]
    return open_site(make_db(tmp_path, [*world.records, *more]), blind=0.0)


def test_undo_goes_back_ten_answers_and_no_further(many):
    shown = [many.answer("anna") for _ in range(12)]
    for back in range(10):
        with many.at_work("anna") as anna:
            progress = anna.progress()
            assert progress.undoable == 10 - back
            again = anna.next(anna.undo(fresh(), progress.newest))
            assert again.pair == shown[11 - back].pair
    oldest = many.votes("anna")[0]
    with many.at_work("anna") as anna:
        assert (anna.progress().undoable, anna.progress().newest) == (0, None)
        with pytest.raises(RefusedError, match="ten answers"):
            anna.undo(fresh(), oldest.id)
        assert anna.progress().done == 2


def test_a_reload_after_undo_shows_the_pair_that_was_taken_back_even_if_the_tab_let_go(many):
    shown = [many.answer("anna") for _ in range(3)]
    many.next("anna")
    with many.at_work("anna") as anna:
        anna.next(anna.undo(fresh(), anna.progress().newest))
        anna.leave()
    assert many.next("anna").pair == shown[2].pair


@pytest.fixture
def blind(db, open_site):
    return open_site(db, blind=1.0)


def test_a_slip_is_undone_before_the_score_was_sent_and_the_pair_stays_blind(blind):
    with blind.at_work("anna") as anna:
        showing = anna.next()
        vote = ballot(showing, "left", hold=True)
        anna.vote(vote)
        assert anna.due().id == vote.id
        again = anna.next(anna.undo(fresh(), vote.id))
        assert again == showing
        assert (again.exposure, again.opinion) == ("blind", None)
        assert [one.reason for one in blind.votes()] == ["", "slip"]
        second = ballot(again, "right", hold=True)
        anna.vote(second)
        _, pair, opinion = anna.ask_reveal(second.id)
        assert (pair, opinion.margin) == (showing.pair, pytest.approx(0.2))


def test_undo_after_the_score_was_sent_brings_the_pair_back_with_it(blind):
    with blind.at_work("anna") as anna:
        vote = ballot(anna.next(), "left", hold=True)
        anna.vote(vote)
        anna.ask_reveal(vote.id)
        again = anna.next(anna.undo(fresh(), vote.id))
        assert again.exposure == "shown"
        assert blind.votes()[-1].reason == ""


def test_a_server_that_does_not_remember_takes_an_undo_for_no_slip(blind):
    with blind.at_work("anna") as anna:
        vote = ballot(anna.next(), "left", hold=True)
        anna.vote(vote)
        anna.held.clear()  # a restart
        assert anna.next(anna.undo(fresh(), vote.id)).exposure == "shown"


def test_no_score_is_handed_out_for_other_votes(blind):
    with blind.at_work("anna") as anna, blind.at_work("bob") as bob:
        first = ballot(anna.next(), "left", hold=True)
        anna.vote(first)
        with pytest.raises(RefusedError, match="not yours"):
            bob.ask_reveal(first.id)
        anna.vote(ballot(anna.next(), "skip"))
        with pytest.raises(RefusedError, match="No score is due"):
            anna.ask_reveal(first.id)  # not the newest
        assert anna.due() is None


def test_keep_takes_over_what_was_said_blind_and_change_drops_the_strength(db, open_site):
    site = open_site(db, blind=1.0, questions=("visual", "overall"), strength=True)
    for second, reason in (("left", "keep"), ("right", "change")):
        with site.at_work("anna") as anna:
            showing = anna.next()
            said = {"answers": {"visual": "tie"}, "strength": "clearly", "flags": ("text",)}
            first = ballot(showing, "left", comment="hm", **said)
            anna.vote(first)
            after = {"exposure": "shown", "revises": first.id, "reason": reason}
            anna.vote(ballot(showing, second, comment="so there", **after))
    _, keep, _, change = site.votes()
    assert keep.answers == change.answers == {"visual": "tie", "flags": "text"}
    assert (keep.strength, change.strength) == ("clearly", None)
    assert (keep.reason, change.reason) == ("keep\nso there", "change\nso there")


def test_an_edit_replaces_the_answer_and_is_kept_in_the_history(db, open_site):
    site = open_site(db, blind=0.0, strength=True)
    first = site.answer("anna", "left", comment="not sure", strength="slightly", flags=("nsfw",))
    site.answer("anna", "tie")
    held = site.next("anna")
    with site.at_work("anna") as anna:
        opened = anna.reopen(site.votes()[0].id)
        assert opened.pair == first.pair
        message = pages(site, anna).shown(opened)
        assert message.previous.model_dump() == {
            "answer": "left", "strength": "slightly", "answers": {}, "comment": "not sure",
            "flags": ["nsfw"],
        }  # fmt: skip
        edit = ballot(opened, "right", strength="clearly")
        anna.vote(edit)
        assert anna.next() == held  # what was held is still there
        assert anna.progress().done == 2
        newest, oldest = pages(site, anna).history()
    assert newest.answer == "tie"
    assert (str(oldest.vote), oldest.answer, oldest.strength) == (edit.id, "right", "clearly")
    assert [one.answer for one in oldest.revisions] == ["left"]
    assert oldest.editable
    live = live_votes(site.votes())
    assert sorted(vote.outcome for vote in live) == ["preference", "tie"]


def test_only_ones_own_standing_answers_are_opened(db, open_site):
    site = open_site(db, blind=0.0, redundancy=2)
    site.answer("anna")
    (vote,) = site.votes()
    with site.at_work("bob") as bob, pytest.raises(RefusedError, match="not yours"):
        bob.reopen(vote.id)
    with site.at_work("anna") as anna:
        stale = ballot(anna.reopen(vote.id), "right")
        anna.undo(fresh(), vote.id)
        with pytest.raises(RefusedError, match="already taken back"):
            anna.reopen(vote.id)
        with pytest.raises(RefusedError, match="already taken back"):
            anna.vote(stale)
        assert pages(site, anna).history() == []


def test_a_blind_skip_is_opened_blind_and_an_answer_is_not(blind):
    with blind.at_work("anna") as anna:
        skip = ballot(anna.next(), "skip")
        anna.vote(skip)
        answered = ballot(anna.next(), "left", hold=True)
        anna.vote(answered)
        assert pages(blind, anna).page().due is not None
        assert pages(blind, anna).reopened(skip.id).due is None  # what was asked for comes first
        assert anna.reopen(skip.id).opinion is None
        assert anna.reopen(answered.id).opinion is not None


def test_two_tabs_count_once(db, open_site):
    site = open_site(db, blind=0.0)
    with site.at_work("anna") as anna:
        showing = anna.next()
        for answer in ("left", "right"):  # each tab has a ticket and an id of its own
            anna.vote(ballot(showing, answer))
        assert anna.progress().done == 1
        assert [one.answer for one in pages(site, anna).history()] == ["right"]
        assert anna.progress().undoable == 1
