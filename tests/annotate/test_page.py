"""The page in a real Chromium: keys, blindness, lock-step, undo."""

from __future__ import annotations

import re

import pytest

from data.store import Store
from tests.annotate.browsing import votes_of
from tests.annotate.test_api import secrets_of

pytestmark = pytest.mark.browser


def test_a_session_by_keyboard_alone(visit, shown):
    address, db = shown
    me = visit(address, "Kim")
    best = "left" if "left" in me.text(".sl-verdict") else "right"
    for keys in ("1", "ArrowRight", "3", "x", ("s", "4"), "Enter", "o"):
        me.key(*keys) if isinstance(keys, tuple) else me.key(keys)
    assert me.text(".sl-counts") == "7 done · 1 left for you · 7 today"
    votes = votes_of(db, "kim")
    said = [
        vote.outcome if vote.preferred is None else ("left", "right")[vote.preferred == vote.right]
        for vote in votes
    ]
    assert best in ("left", "right")
    assert said[:5] == ["left", "right", "tie", "tie", "skip"]
    assert votes[4].answers == {"skip": "unsure"}
    assert [vote.unusable for vote in votes] == [False, False, False, True, False, False, False]
    with Store.open(db) as store:
        pairs = {pair.id: pair for pair in store.all("pairs")}
    confirmed, overridden = votes[5], votes[6]
    assert confirmed.preferred != pairs[confirmed.pair].worst
    assert {confirmed.preferred, overridden.preferred} <= {v.left for v in votes} | {
        v.right for v in votes
    }
    assert all(0 < vote.seconds < 60 and vote.watched["left"] > 0 for vote in votes)
    me.key("2")
    assert me.text(".sl-idle h1") == "All done"
    assert f"python -m train.dpo --db {db} --labels human" in me.text(".sl-idle")


def test_enter_confirms_and_o_overrides_what_omniscore_prefers(visit, shown):
    address, db = shown
    me = visit(address, "Lee")
    preferred = []
    for key in ("Enter", "o"):
        preferred.append("left" if "left" in me.text(".sl-verdict") else "right")
        hints = me.page.locator(".sl-answers small:visible").all_inner_texts()
        words = [re.sub(r"\s.*", "", hint) for hint in hints]
        assert words == (
            ["confirm", "override"] if preferred[-1] == "left" else ["override", "confirm"]
        )
        me.key(key)
    confirmed, overridden = votes_of(db, "lee")
    assert confirmed.preferred == getattr(confirmed, preferred[0])
    assert overridden.preferred not in (None, getattr(overridden, preferred[1]))


def test_undo_brings_the_pair_back_and_the_vote_is_taken_back(visit, shown):
    address, db = shown
    me = visit(address, "Uma")
    prompt = me.text(".sl-prompt")
    me.key("1")
    assert me.text(".sl-prompt") != prompt
    me.key("u")
    assert me.text(".sl-prompt") == prompt
    assert me.text(".sl-counts").startswith("0 done")
    vote, undo = votes_of(db, "uma")
    assert (undo.outcome, undo.revises) == ("undo", vote.id)


def test_a_blind_page_leaks_nothing_to_the_network_and_then_reveals(visit, blind, world):
    me = visit(blind[0])
    bodies: list[str] = []

    def note(response) -> None:
        readable = re.search("json|javascript|text|html", response.headers.get("content-type", ""))
        body = response.text() if readable and "127.0.0.1" in response.url else ""
        bodies.append(f"{response.url} {response.headers} {body}")

    me.page.on("response", note)
    me.page.reload()
    me.state("ask")
    me.enter("Bea")
    assert me.text(".sl-opinion h2") == "Blind pair"
    sent = "\n".join([*bodies, *(f"{r.url} {r.post_data}" for r in me.requests), me.page.content()])
    assert len(bodies) > 10
    assert not [secret for secret in secrets_of(world) if secret in sent]
    assert '"opinion":{' not in sent
    assert "prefers left" not in sent
    me.patient().press("1").state("due").steady()  # stored, and still nothing has left the server
    assert '"opinion":{' not in "".join(bodies)
    assert not [secret for secret in secrets_of(world) if secret in "".join(bodies)]
    me.page.keyboard.press("Enter")
    me.state("reveal")
    assert '"opinion":{' in "".join(bodies)
    assert re.search(r"You answered: left better. OmniScore prefers (left|right) by 20.0", me.text(
        ".sl-reveal"
    ))  # fmt: skip
    assert me.text(".sl-opinion h2").startswith("OmniScore")


def test_after_the_reveal_the_answer_is_kept_or_changed(visit, blind):
    address, db = blind
    me = visit(address, "Kit")
    for blind_key, second in (("1", "k"), ("1", "c"), ("2", "Enter"), ("2", "3")):
        me.page.keyboard.press(blind_key)
        me.state("reveal")
        me.page.wait_for_timeout(200)
        me.page.keyboard.press(second)
        me.state("pair")
        me.ready()
    votes = votes_of(db, "kit")
    assert [vote.exposure for vote in votes] == ["blind", "shown"] * 4
    assert [vote.reason for vote in votes[1::2]] == ["keep", "change", "keep", "change"]
    assert [vote.revises for vote in votes[1::2]] == [vote.id for vote in votes[::2]]
    places = [vote.outcome if vote.preferred is None else vote.preferred for vote in votes[1::2]]
    lefts, rights = [v.left for v in votes[1::2]], [v.right for v in votes[1::2]]
    assert places == [lefts[0], rights[1], rights[2], "tie"]
