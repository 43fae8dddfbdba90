"""What one annotator does, on a real store: no browser, no HTTP."""

from __future__ import annotations

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from annotate import desk as desk_module
from annotate.protocol import Ballot, Showing
from annotate.session import Session
from data.errors import UserError
from data.records import Pair, Vote
from data.store import Store, add
from data.votes import live_votes
from tests.annotate.conftest import PAIRS
from tests.annotate.small import vote as cast


def fresh() -> str:
    return str(uuid.uuid4())


def ballot(showing: Showing, answer: str, **rest) -> Ballot:
    fields = {"id": fresh(), "pair": showing.pair.id, "exposure": showing.exposure, **rest}
    return Ballot(answer=answer, **fields)


def stored(session: Session) -> list[Vote]:
    return session.owner.all("votes")


def test_answering_everything_stores_one_vote_per_pair(db, open_desk):
    desk = open_desk(db, blind=0.0)
    answers = ["left", "right", "tie", "unusable", "skip", "left", "right", "tie"]
    with desk.session("anna") as anna:
        for answer in answers:
            showing = anna.next()
            assert showing is not None
            assert anna.vote(ballot(showing, answer)).status == "stored"
        assert anna.next() is None
        votes = stored(anna)
    outcomes = Counter(vote.outcome for vote in votes)
    assert outcomes == {"preference": 4, "tie": 3, "skip": 1}  # unusable is a tie with a flag
    assert [vote.unusable for vote in votes] == [answer == "unusable" for answer in answers]
    assert len({vote.pair for vote in votes}) == PAIRS
    for vote, answer in zip(votes, answers, strict=True):
        assert vote.preferred == {"left": vote.left, "right": vote.right}.get(answer)
        assert vote.exposure == "shown"
        assert vote.time_ms > 0


def test_the_pair_that_is_held_is_shown_again_until_it_is_answered(db, open_desk):
    desk = open_desk(db)
    with desk.session("anna") as anna, desk.session("bob") as bob:
        first, other = anna.next(), bob.next()
        assert first == anna.next()
        assert first is not None
        assert other is not None
        assert first.pair != other.pair  # one slot per pair, and it is held


def test_a_blind_showing_holds_no_opinion_and_the_reveal_comes_after_the_vote(db, open_desk):
    with open_desk(db, blind=1.0).session("anna") as anna:
        showing = anna.next()
        assert (showing.exposure, showing.opinion, showing.scored) == ("blind", None, True)
        vote = ballot(showing, "left")
        anna.vote(vote)
        opinion = anna.reveal(vote)
        assert opinion is not None
        assert opinion.margin == pytest.approx(0.2)
        assert anna.next().pair != showing.pair


def test_a_blind_skip_reveals_nothing_and_stays_blind_after_undo(db, open_desk):
    with open_desk(db, blind=1.0).session("anna") as anna:
        showing = anna.next()
        skip = ballot(showing, "skip")
        anna.vote(skip)
        assert anna.reveal(skip) is None
        again = anna.next(anna.undo(fresh(), skip.id))
        assert again == showing


def test_keep_and_change_are_new_votes_that_revise_the_blind_one(db, open_desk):
    with open_desk(db, blind=1.0).session("anna") as anna:
        for second, reason in (("left", "keep"), ("right", "change")):
            showing = anna.next()
            blind = ballot(showing, "left")
            anna.vote(blind)
            after = ballot(showing, second, exposure="shown", revises=blind.id, reason=reason)
            anna.vote(after)
        votes = stored(anna)
        assert [vote.exposure for vote in votes] == ["blind", "shown"] * 2
        assert [vote.reason for vote in votes] == ["", "keep", "", "change"]
        assert [vote.preferred for vote in live_votes(votes)] == [votes[1].left, votes[3].right]
        # Agreement is quoted from what was said blind: that is still there, and unrevised itself.
        assert all(v.revises is None and v.preferred == v.left for v in votes[::2])
        assert anna.progress().done == 2


def test_after_undo_the_pair_comes_back_at_once_and_never_blind_again(db, open_desk):
    with open_desk(db, blind=1.0).session("anna") as anna:
        showing = anna.next()
        blind = ballot(showing, "left")
        anna.vote(blind)
        anna.vote(ballot(showing, "left", exposure="shown", revises=blind.id, reason="keep"))
        following = anna.next()
        newest = anna.progress().newest
        again = anna.next(anna.undo(fresh(), newest))
        assert again.pair == showing.pair
        assert (again.exposure, again.left) == ("shown", showing.left)
        assert again.opinion is not None
        assert live_votes(stored(anna)) == []
        assert anna.progress().done == 0
        anna.vote(ballot(again, "tie"))
        assert anna.next().pair == following.pair


def test_undo_goes_back_step_by_step(db, open_desk):
    with open_desk(db, blind=0.0).session("anna") as anna:
        shown = []
        for _ in range(3):
            shown.append(anna.next())
            anna.vote(ballot(shown[-1], "left"))
        for showing in reversed(shown):
            assert anna.next(anna.undo(fresh(), anna.progress().newest)).pair == showing.pair
        assert anna.progress().newest is None
        assert anna.progress().left == PAIRS


def test_only_ones_own_standing_votes_can_be_undone(db, open_desk):
    desk = open_desk(db, blind=0.0, redundancy=2)
    with desk.session("anna") as anna, desk.session("bob") as bob:
        vote = ballot(anna.next(), "left")
        anna.vote(vote)
        for who, target in ((bob, vote.id), (anna, fresh())):
            with pytest.raises(UserError, match="not yours"):
                who.undo(fresh(), target)
        anna.undo(fresh(), vote.id)
        with pytest.raises(UserError, match="already taken back"):
            anna.undo(fresh(), vote.id)
        assert len(stored(anna)) == 2


def test_a_retry_is_a_duplicate_for_votes_and_for_undo(db, open_desk):
    with open_desk(db, blind=0.0).session("anna") as anna:
        vote = ballot(anna.next(), "left")
        assert anna.vote(vote).status == "stored"
        assert anna.vote(vote).status == "duplicate"
        row = fresh()
        assert anna.undo(row, vote.id) == anna.undo(row, vote.id) == vote.pair
        assert len(stored(anna)) == 2


def test_redundancy_is_people_per_pair_and_a_skip_leaves_the_slot_to_others(db, open_desk):
    desk = open_desk(db, blind=0.0, redundancy=1)
    with desk.session("anna") as anna, desk.session("bob") as bob:
        skipped = []
        while (showing := anna.next()) is not None:
            skipped.append(showing.pair.id)
            anna.vote(ballot(showing, "skip"))
        assert bob.progress().left == PAIRS
        showing = bob.next()
        bob.vote(ballot(showing, "left"))
        assert bob.progress().left == PAIRS - 1


def test_people_at_once_share_the_pairs_out_and_nobody_holds_one_too_many(db, open_desk):
    desk, held = open_desk(db, blind=0.0, redundancy=2), Counter()
    for number in range(2 * PAIRS + 1):
        with desk.session(f"person {number}") as person:
            showing = person.next()
        held[showing and showing.pair.id] += 1
    assert held.pop(None) == 1
    assert list(held.values()) == [2] * PAIRS


def test_progress_counts_what_is_done_left_and_today(db, open_desk):
    with open_desk(db, blind=0.0).session("anna") as anna:
        assert (anna.progress().done, anna.progress().left) == (0, PAIRS)
        vote = ballot(anna.next(), "tie")
        anna.vote(vote)
        progress = anna.progress()
        assert (progress.done, progress.left, progress.today) == (1, PAIRS - 1, 1)
        assert progress.newest == vote.id


def test_the_next_pair_is_announced_for_loading(db, open_desk):
    with open_desk(db, blind=0.0).session("anna") as anna:
        showing = anna.next()
        announced = anna.upcoming(showing)
        anna.vote(ballot(showing, "left"))
        following = anna.next()
        assert announced == (following.left, following.right)


def test_a_pair_without_scores_is_answered_blind_and_nothing_is_revealed(
    world, make_db, tmp_path, open_desk
):
    bare = [record for record in world.records if type(record).__name__ != "Score"]
    with open_desk(make_db(tmp_path, bare), blind=0.0).session("anna") as anna:
        showing = anna.next()
        assert (showing.exposure, showing.scored, showing.opinion) == ("blind", False, None)
        vote = ballot(showing, "left")
        anna.vote(vote)
        assert anna.reveal(vote) is None


def test_what_another_command_adds_is_seen_without_a_restart(
    world, make_db, tmp_path, open_desk, monkeypatch
):
    monkeypatch.setattr(desk_module, "LOOK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(desk_module, "REST", 0.0)
    db = make_db(tmp_path, [])
    with Store.own(db):
        pass  # an empty database, as `python app.py` makes it on a fresh machine
    desk = open_desk(db)
    with desk.session("anna") as anna:
        assert anna.next() is None
        assert desk.idle(anna).title == "No clips yet"
    add(db, world.records)
    with desk.session("anna") as anna:
        assert anna.next() is not None


def test_reading_somebodys_many_votes_keeps_nobody_waiting_and_loses_none(
    world, db, open_desk, monkeypatch
):
    desk = open_desk(db, blind=0.0, redundancy=3)
    pair = next(one for one in world.records if isinstance(one, Pair))
    read = desk.store.votes_of

    def work(who: str) -> str:
        with desk.session(who) as session:
            return session.vote(ballot(session.next(), "left")).status

    def slow(who: str) -> list[Vote]:
        votes = read(who)
        if who == "anna":  # while hers are on their way, bob votes, and so does she elsewhere
            desk.store.vote(cast(pair, "anna"))
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(work, "bob").result(timeout=20) == "stored"
        return votes

    monkeypatch.setattr(desk.store, "votes_of", slow)
    with desk.session("anna") as anna:
        assert anna.track.done == 1
        assert anna.track.standing(pair.id) is not None


def test_everything_is_there_again_after_a_restart(db, open_desk):
    desk = open_desk(db, blind=1.0)
    with desk.session("anna") as anna:
        anna.vote(ballot(anna.next(), "left"))
        showing, progress = anna.next(), anna.progress()
        anna.owner.close()
    with open_desk(db, blind=1.0).session("anna") as anna:
        assert anna.progress() == progress
        assert anna.next() == showing
