"""Keys that are held, pressed again and taken back, and what the page then says, in Chromium."""

from __future__ import annotations

import itertools

import pytest

from data.records import Pair, Prompt, Vote
from tests.annotate.browsing import PHONE, decide, served, votes_of

pytestmark = pytest.mark.browser

MINE = ".sl-answers .sl-mine:visible"


def pairs_in(records) -> list[Pair]:
    return [record for record in records if isinstance(record, Pair)]


def test_a_key_that_is_held_down_votes_once(visit, shown):
    """Chromium repeats a held key; the repeats would answer pair after pair."""
    address, db = shown
    me = visit(address, "Held")
    prompt = me.text(".sl-prompt")
    me.page.keyboard.down("1")
    for _ in range(6):
        me.steady().page.keyboard.down("1")  # Playwright: a second `down` is a repeat
    me.page.keyboard.up("1")
    me.says(".sl-counts", "1 done").ready()
    assert me.text(".sl-prompt") != prompt
    assert len(votes_of(db, "held")) == 1


def test_the_last_ten_answers_are_taken_back_one_by_one_and_no_more(
    visit, make_db, world, tmp_path
):
    pairs = pairs_in(world.records)
    neighbours = itertools.pairwise(pairs)
    more = [Pair.of(one.a, other.b, prompt=one.prompt) for one, other in neighbours]
    db = make_db(tmp_path, [*world.records, *more[:4]])
    with served(db, blind=0.0) as address:
        me = visit(address, "Tenny")
        asked = []
        for _ in range(11):
            asked.append(me.text(".sl-prompt"))
            me.key("1")
        back = []
        for _ in range(10):
            me.key("u")
            back.append(me.text(".sl-prompt"))
        assert back == asked[:0:-1]
        assert me.text(".sl-counts").startswith("1 done")
        cast = votes_of(db, "tenny")
        assert [vote.revises for vote in cast[11:]] == [vote.id for vote in cast[10:0:-1]]


def test_of_two_strengths_the_one_that_was_given_is_marked_and_said(visit, make_db, tmp_path):
    db = make_db(tmp_path)
    decide(db, strength=True, blind=1.0)
    with served(db) as address:
        me = visit(address, "Stef").patient()
        for key, said in (("Shift+Digit1", "left clearly better"), ("2", "right slightly better")):
            me.press(key).state("due")
            assert [f"✓ {said}"] == marked(me)
            me.says(".sl-due", f"You answered: {said}.").press("Enter").state("reveal")
            assert [f"✓ {said}"] == marked(me)
            me.says(".sl-reveal", f"You answered: {said}. OmniScore").ready().press("k")
            me.state("pair").ready()
    kept = [vote.strength for vote in votes_of(db, "stef") if vote.reason == "keep"]
    assert kept == ["clearly", "slightly"]


def marked(me) -> list[str]:
    """The answers that carry the mark of one's own, with the mark that the style puts there."""
    return me.page.eval_on_selector_all(
        MINE,
        "marked => marked.map((button) => getComputedStyle(button.firstElementChild, '::before')"
        ".content.slice(1, -1) + button.firstElementChild.textContent.toLowerCase())",
    )


def test_a_score_that_is_due_comes_with_its_own_pair_where_a_prompt_has_many(
    visit, make_db, world, tmp_path
):
    """Another answer is opened and left while the score waits: the clips must be those scored."""
    pairs, prompt = pairs_in(world.records)[:2], Prompt(text="One prompt for all.")
    alike = [Pair.of(pair.a, pair.b, prompt=prompt.id) for pair in pairs]
    kept = [one for one in world.records if not isinstance(one, Pair | Vote)]
    db = make_db(tmp_path, [prompt, *kept, *alike])
    with served(db, blind=1.0) as address:
        me = visit(address, "Dup").patient()
        me.press("1").state("due").press("Enter").state("reveal").ready().press("k").state(
            "pair"
        ).ready()
        me.press("2").state("due")
        scored, waits = me.video("video.src"), votes_of(db, "dup")[-1]
        me.history().press("ArrowDown", "Enter").says(".sl-editing", "earlier answer").ready()
        assert me.video("video.src") != scored
        me.press("Escape").state("reveal").ready()
        assert me.video("video.src") == scored
        me.press("c").state("idle")
        changed = votes_of(db, "dup")[-1]
        assert (changed.revises, changed.pair) == (waits.id, waits.pair)


@pytest.mark.parametrize("device", [{}, PHONE], ids=["desktop", "phone"])
def test_what_is_told_in_passing_moves_no_clip_and_editing_fits(visit, shown, device):
    me = visit(shown[0], **device).enter(f"Nil{len(device)}")
    me.key("1")
    before = [box.bounding_box() for box in me.page.locator(".sl-frame").all()]
    me.key("u").says(".sl-notice", "Undone")
    assert [box.bounding_box() for box in me.page.locator(".sl-frame").all()] == before
    covered = me.page.locator(".sl-notice").bounding_box()
    assert covered["y"] + covered["height"] <= before[0]["y"]
    me.press("Escape")
    assert not me.page.is_visible(".sl-notice")
    me.key("1").history().press("Enter").says(".sl-editing", "earlier answer").ready()
    leave = me.page.locator(".sl-leave").bounding_box()
    wide = me.page.viewport_size["width"]
    assert leave["x"] + leave["width"] <= wide
    assert me.page.evaluate("document.documentElement.scrollWidth") <= wide
