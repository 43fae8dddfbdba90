"""WCAG 2.2 AA by axe-core: no violation in any state of the page, light, dark and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.annotate.browsing import PHONE, decide, faults, served, votes_of
from tests.annotate.site import admit, invite
from tests.annotate.working import with_known

pytestmark = pytest.mark.browser

CONTEXTS = {"desk": {}, "phone": PHONE}
"""On the desk every state is looked at in both colour schemes, without another visit."""
CAMPAIGN = {
    "title": "Street scenes",
    "guideline": "Watch both in full.\n\n- Judge what you see\n- A tie is an answer",
    "questions": ("visual", "overall"),
    "strength": True,
    "redundancy": 99,
}


@pytest.fixture(scope="module")
def asking(make_db, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """A site that asks all that a campaign can ask."""
    db = make_db(tmp_path_factory.mktemp("asking"))
    decide(db, **CAMPAIGN, blind=0.0)
    with served(db) as address:
        yield address, db


@pytest.fixture(scope="module")
def entrance(make_db, tmp_path_factory) -> Iterator[str]:
    """A site with accounts and an invitation that is open."""
    db = make_db(tmp_path_factory.mktemp("entrance"))
    admit(db, {"Ada": "admin"})
    invite(db, "sent")
    with served(db, blind=0.0) as address:
        yield address


@pytest.fixture(scope="module")
def practice(make_db, world, tmp_path_factory) -> Iterator[str]:
    """A site with a practice round."""
    db = make_db(tmp_path_factory.mktemp("practice"), with_known(world.records, "practice", 2))
    decide(db, practice=2, blind=0.0)
    with served(db) as address:
        yield address


def test_axe_does_find_a_fault_that_is_there(visit, shown):
    me = visit(shown[0], "Bad")
    me.page.evaluate("document.querySelector('.sl-scrub').removeAttribute('aria-label')")
    me.page.evaluate("document.querySelector('.sl-scrub').removeAttribute('title')")
    me.page.evaluate("document.querySelector('.sl-prompt').style.color = '#bbb'")
    me.page.add_style_tag(
        content="@media (prefers-color-scheme: dark) { .sl-brand { color: #222 } }"
    )
    found = " ".join(faults(me.page, "spoilt", dark=True))
    assert "spoilt: label:" in found
    assert "spoilt: color-contrast:" in found
    assert ".sl-prompt" in found
    assert ".sl-brand" in found.split("spoilt, dark: color-contrast:")[1]


@pytest.mark.parametrize("look", CONTEXTS)
def test_axe_finds_nothing_in_any_state(visit, asking, look):
    address, db = asking
    me = visit(address, **CONTEXTS[look])

    def wrong_in(state: str) -> list[str]:
        return faults(me.page, state, dark=look == "desk")

    wrong = wrong_in("ask")
    me.enter(look)
    wrong += wrong_in("guide")
    me.press("Escape").ready()
    me.page.keyboard.press("z")
    wrong += wrong_in("pair, a question, enlarged")
    me.press("z", "z", "1", "i")
    wrong += wrong_in("pair, overall, strength, raw values")
    for key, name in (("m", "remark"), ("s", "skip"), ("?", "keys"), ("h", "history")):
        me.press(key)
        wrong += wrong_in(name)
        me.press("Escape")
    me.key("2")
    me.history()
    wrong += wrong_in("history with answers")
    me.press("Enter")
    me.says(".sl-editing", "earlier answer")
    wrong += wrong_in("editing")
    me.press("Escape")
    me.page.wait_for_selector(".sl-editing", state="hidden")
    for _ in range(7):
        me.ready().key("x")
    me.state("idle")
    wrong += wrong_in("idle")
    assert wrong == []
    assert len(votes_of(db, look)) == 8


@pytest.mark.parametrize("look", CONTEXTS)
def test_axe_finds_nothing_on_a_blind_pair_and_its_reveal(visit, blind, look):
    me, dark = visit(blind[0], **CONTEXTS[look]).enter(f"Bo {look}").patient(), look == "desk"
    wrong = faults(me.page, "blind", dark=dark)
    me.press("1").state("due")
    wrong += faults(me.page, "due", dark=dark)
    me.page.click("[data-act=agree]:visible")
    me.state("reveal").ready()
    wrong += faults(me.page, "reveal", dark=dark)
    assert wrong == []


@pytest.mark.parametrize("look", CONTEXTS)
def test_axe_finds_nothing_where_one_signs_in(visit, entrance, look):
    me, dark = visit(entrance, **CONTEXTS[look]), look == "desk"
    me.says(".sl-ask h1", "Sign in")
    wrong = faults(me.page, "sign in", dark=dark)
    me.page.fill("input[name=name]", "Ada")
    me.page.fill("input[name=password]", "wrong")
    me.page.keyboard.press("Enter")
    me.says(".sl-ask-error", "wrong")
    wrong += faults(me.page, "a wrong password", dark=dark)
    me.page.goto("about:blank")
    me.page.goto(f"{entrance}#invite=sent")
    me.state("ask").says(".sl-ask h1", "Welcome")
    wrong += faults(me.page, "invitation", dark=dark)
    assert wrong == []


@pytest.mark.parametrize("look", CONTEXTS)
def test_axe_finds_nothing_in_practice(visit, practice, look):
    me = visit(practice, **CONTEXTS[look], reduced_motion="reduce").enter(f"Pam {look}")
    wrong = faults(me.page, "practice", dark=look == "desk")
    me.press("3").state("feedback").steady()
    wrong += faults(me.page, "feedback", dark=look == "desk")
    assert wrong == []


def test_the_focus_goes_through_the_page_in_order_and_is_never_lost(visit, shown):
    me = visit(shown[0], "Foc")
    me.press(" ")
    stops = []
    for _ in range(48):
        me.page.keyboard.press("Tab")
        stops.append(me.page.evaluate(
            "() => { const it = document.activeElement; const outline = getComputedStyle(it);"
            " return [it.dataset.act ?? it.className ?? it.tagName, it.closest('.sl') !== null,"
            " outline.outlineStyle !== 'none' || it.matches('input')]; }"
        ))  # fmt: skip
    ours = [name for name, inside, _ in stops if inside]
    wanted = ["guide", "history", "keys", "toggle", "back", "forward", "left", "tie", "right"]
    found = [name for name in ours[ours.index("guide") :] if name in wanted]
    assert found[: len(wanted)] == wanted
    assert all(visible for _, inside, visible in stops if inside)
    me.page.focus(".sl-answers [data-act=tie]")
    me.page.keyboard.press("Enter")
    me.says(".sl-counts", "1 done").ready()
    assert me.page.evaluate("document.activeElement.dataset.act") == "tie"  # where it was


def test_what_changes_is_said_to_screen_readers(visit, blind):
    me = visit(blind[0], "Hear")
    said = ".sl-said"
    me.page.wait_for_function("document.querySelector('.sl-said').textContent.includes('New pair')")
    me.press("1").state("reveal")
    me.page.wait_for_function(
        "document.querySelector('.sl-said').textContent.includes('OmniScore p')"
    )
    assert me.page.get_attribute(said, "aria-live") == "polite"
    buttons = me.page.locator(".sl button:visible, .sl a:visible").all()
    for button in buttons:
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 24, button.inner_text()
        assert (button.inner_text() + (button.get_attribute("aria-label") or "")).strip()
