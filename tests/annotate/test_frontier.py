"""Which pair comes next: buffers and counts against the plain rule, over whole campaigns."""

from __future__ import annotations

import itertools
import random
import uuid

import numpy as np
import pytest

from annotate import frontier as frontier_module
from annotate import order
from annotate.catalogue import Catalogue
from annotate.frontier import Queue
from annotate.order import CLOSED, Plan
from data.records import Decision, Pair, Vote
from data.store import Store
from tests.annotate.small import scene, vote

PEOPLE = ("anna", "bob", "cleo", "dora")
COUNT = 60
SCENES = [scene(number, margin=number / COUNT, profile="lite") for number in range(COUNT)]
PAIRS: list[Pair] = [one[3] for one in SCENES]
BY_ID = {pair.id: pair for pair in PAIRS}
ORDERS = list(order.STAGES)


class Office:
    """A catalogue and its queue over a real store, and people who vote."""

    def __init__(self, owner, plan: Plan) -> None:
        self.owner, self.catalogue = owner, Catalogue(owner)
        self.plan = plan
        self.queue = Queue(self.catalogue, "default", plan)
        self.catalogue.changes.append(lambda change: self.queue.hear(change))
        self.live: dict[tuple[str, str], Vote] = {}

    def say(self, pair: Pair, who: str, answer: str) -> None:
        before = self.live.get((pair.id, who))
        revises = None if before is None else before.id
        one = vote(pair, who, answer, revises=revises, time_ms=1)
        self.catalogue.stored(one, self.owner.vote(one).sequence)
        self.live.pop((pair.id, who), None)
        if answer != "undo":
            self.live[pair.id, who] = one

    def ranked(self, who: str) -> list[str]:
        return list(self.queue.frontier(who).ranked())

    def expected(self, who: str) -> list[str]:
        """All open pairs that `who` has not answered, by stage and shuffle: the rule itself."""
        fresh = Queue(Catalogue(self.owner), "default", self.plan)
        mine = [self.catalogue.row(pair) for pair, name in self.live if name == who]
        rows = order.first(
            fresh.stage,
            fresh.keys,
            order.seed("default", who),
            count=10**6,
            skip=np.array(mine, int),
        )
        return [self.catalogue.pair_id(int(row)) for row in rows]


@pytest.fixture
def owner(tmp_path):
    with Store.own(tmp_path / "prefs.duckdb") as one:
        one.add([record for scene_ in SCENES for record in scene_])
        yield one


@pytest.fixture(autouse=True)
def small_buffers(monkeypatch):
    """Buffers run low, and logs overflow, within these few pairs."""
    monkeypatch.setattr(frontier_module, "BUFFER", 8)
    monkeypatch.setattr(frontier_module, "LOG", 3)


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("seed", range(3))
def test_after_any_votes_the_order_is_that_of_a_fresh_start(owner, name, seed):
    office = Office(owner, Plan(redundancy=3, most=5, order=name, stratum=0.0))
    draw = random.Random(seed)
    for _ in range(60):
        who = draw.choice(PEOPLE)
        ahead = list(itertools.islice(office.queue.frontier(who).ranked(), 3))
        if office.live and draw.random() < 0.15:
            pair, who = draw.choice(list(office.live))
            office.say(BY_ID[pair], who, "undo")
        elif ahead:
            office.say(BY_ID[draw.choice(ahead)], who, draw.choice(("a", "a", "b", "tie", "skip")))
        who = draw.choice(PEOPLE)
        assert office.ranked(who) == office.expected(who)


@pytest.mark.parametrize("name", ORDERS)
def test_counts_are_kept_up_to_date(owner, name):
    office = Office(owner, Plan(redundancy=2, order=name))
    draw = random.Random(1)
    for who in PEOPLE:
        office.queue.frontier(who)
    for _ in range(80):
        pair, who = draw.choice(PAIRS[:12]), draw.choice(PEOPLE)
        answer = draw.choice(("a", "b", "tie", "skip", "undo"))
        if answer != "undo" or (pair.id, who) in office.live:
            office.say(pair, who, answer)
    fresh = Queue(Catalogue(owner), "default", office.plan)
    assert np.array_equal(office.queue.stage, fresh.stage)
    assert office.queue.open == fresh.open == np.count_nonzero(fresh.stage != CLOSED)
    for who in PEOPLE:
        kept, made = office.queue.frontier(who), fresh.frontier(who)
        assert (kept.done, kept.left) == (made.done, made.left)
        assert kept.done == sum(name == who for _, name in office.live)
        assert kept.left == len(office.expected(who))
        assert kept.today(1) == made.today(1) == kept.done
        assert kept.today(2) == 0


@pytest.mark.parametrize("name", ORDERS)
def test_a_whole_campaign_is_answered_with_nothing_lost_and_nothing_twice(owner, name):
    office = Office(owner, Plan(redundancy=2, order=name))
    asked: list[tuple[str, str]] = []
    while True:
        turn = [(who, next(office.queue.frontier(who).ranked(), None)) for who in PEOPLE]
        if all(pair is None for _, pair in turn):
            break
        for who, pair in turn:
            if pair is not None and office.queue.frontier(who).takes(pair):
                asked.append((who, pair))
                office.say(BY_ID[pair], who, "a")
    assert len(set(asked)) == len(asked) == 2 * COUNT
    assert office.queue.open == 0
    assert all(office.queue.frontier(who).left == 0 for who in PEOPLE)


def test_the_random_stratum_is_mixed_in_and_nothing_is_lost_or_twice(owner):
    office = Office(owner, Plan(order="uncertain", stratum=0.3))
    ranked, shuffled = office.ranked("anna"), Plan(order="random")
    assert sorted(ranked) == sorted(BY_ID)
    plain = Office(owner, Plan(order="uncertain", stratum=0.0)).ranked("anna")
    by_chance = list(Queue(office.catalogue, "default", shuffled).frontier("anna").ranked())
    drawn = [order.from_stratum("default", "anna", n, stratum=0.3) for n in range(6)]
    mixed: list[str] = []
    for chance in drawn:  # the head of both orders, laid into each other by the draw
        source = by_chance if chance else plain
        mixed.append(next(pair for pair in source if pair not in mixed))
    assert ranked[:6] == mixed
    assert any(drawn)
    assert not all(drawn)


def test_uncertain_asks_small_margins_first_and_split_asks_disagreement_first(owner):
    ranked = Office(owner, Plan(order="uncertain", stratum=0.0)).ranked("anna")
    assert [BY_ID[one].margin for one in ranked] == sorted(pair.margin for pair in PAIRS)
    office = Office(owner, Plan(redundancy=5, order="split", stratum=0.0))
    torn = PAIRS[17]
    office.ranked("cleo")
    office.say(torn, "anna", "a")
    assert office.ranked("cleo")[-1] == torn.id  # answered once, and no disagreement
    office.say(torn, "bob", "b")
    assert office.ranked("cleo")[0] == torn.id


def test_votes_of_people_who_do_not_count_leave_a_pair_open(owner):
    out = Decision(
        id=str(uuid.uuid4()), topic="person", subject="bob", values={"counts": False}, time_ms=1
    )
    owner.add([out])
    office = Office(owner, Plan())
    office.say(PAIRS[0], "bob", "a")
    assert PAIRS[0].id in office.ranked("anna")
    assert PAIRS[0].id not in office.ranked("bob")  # who is still not asked twice
    office.say(PAIRS[0], "anna", "a")
    assert PAIRS[0].id not in office.ranked("cleo")
    assert office.queue.wanted(PAIRS[0].id) == 1


def test_a_pair_that_is_to_be_asked_again_is_open_for_one_more(owner):
    office = Office(owner, Plan())
    office.say(PAIRS[3], "anna", "a")
    assert PAIRS[3].id not in office.ranked("bob")
    again = Decision(
        id=str(uuid.uuid4()), topic="pair", subject=PAIRS[3].id, values={"again": 1}, time_ms=1
    )
    owner.add([again])
    office = Office(owner, Plan())
    assert office.queue.wanted(PAIRS[3].id) == 2
    assert PAIRS[3].id in office.ranked("bob")


def test_new_pairs_come_in_without_a_new_queue_and_checks_stay_out(owner):
    office = Office(owner, Plan())
    before = set(office.ranked("anna"))
    fresh = [scene(1000 + number) for number in range(5)]
    gold = scene(2000, strategy="gold:frozen")
    owner.add([record for one in (*fresh, gold) for record in one])
    office.catalogue.news()
    assert office.catalogue.version == office.queue.version
    assert set(office.ranked("anna")) - before == {one[3].id for one in fresh}
    assert office.ranked("anna") == office.expected("anna")
    office.say(gold[3], "anna", "a")
    frontier = office.queue.frontier("anna")
    assert (frontier.done, frontier.left) == (1, COUNT + 5)  # gold is work done, and none left over


def test_when_others_hold_the_whole_buffer_the_rest_is_still_there(owner):
    office = Office(owner, Plan())
    ranked = office.ranked("anna")
    assert len(ranked) == COUNT > frontier_module.BUFFER
    for number, pair in enumerate(ranked[:-1]):  # as many people as pairs
        lease = owner.claim(f"p{number}", [pair], redundancy=1, seconds=60)
        assert lease is not None
    left = owner.claim("anna", office.queue.frontier("anna").ranked(), redundancy=1, seconds=60)
    assert left is not None
    assert left.pair == ranked[-1]
