"""WCAG 2.2 AA by axe-core: no violation in any state of the page, light, dark and on a phone."""

from __future__ import annotations

import time
from pathlib import Path

import axe_playwright_python
import pytest

from annotate.identity import fingerprint
from data.store.entrances import Invitation
from data.store.people import People
from tests.annotate.browsing import PHONE, decide, served, votes_of
from tests.annotate.site import admit
from tests.annotate.working import with_known

pytestmark = pytest.mark.browser

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
CONTEXTS = {"light": {}, "dark": {"color_scheme": "dark"}, "phone": PHONE}
CAMPAIGN = {
    "title": "Street scenes",
    "guideline": "Watch both in full.\n\n- Judge what you see\n- A tie is an answer",
    "questions": ("visual", "overall"),
    "strength": True,
    "redundancy": 99,
}


def faults(me, state: str) -> list[str]:
    """What axe-core finds wrong with the page as it stands; prints the count of its checks."""
    if not me.page.evaluate("typeof axe !== 'undefined'"):
        me.page.evaluate(AXE.read_text())
    me.page.wait_for_timeout(150)  # a button that was just freed is still fading in
    found = me.page.evaluate(
        "tags => axe.run(document, { runOnly: tags }).then(({ violations, passes }) => ({"
        " passes: passes.length, violations: violations.map((v) => `${v.id}: ` +"
        " v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join(' | ')) }))",
        TAGS,
    )
    assert found["passes"] > 10
    return [f"{state}: {violation}" for violation in found["violations"]]


def test_axe_does_find_a_fault_that_is_there(visit, shown):
    me = visit(shown[0], "Bad")
    me.page.evaluate("document.querySelector('.sl-scrub').removeAttribute('aria-label')")
    me.page.evaluate("document.querySelector('.sl-scrub').removeAttribute('title')")
    me.page.evaluate("document.querySelector('.sl-prompt').style.color = '#bbb'")
    found = " ".join(faults(me, "spoilt"))
    assert "label:" in found
    assert "color-contrast:" in found


@pytest.mark.parametrize("look", CONTEXTS)
def test_axe_finds_nothing_in_any_state(visit, make_db, tmp_path, look):
    db = make_db(tmp_path)
    decide(db, **CAMPAIGN, blind=0.0)
    with served(db) as address:
        me = visit(address, **CONTEXTS[look])
        wrong = faults(me, "ask")
        me.enter("Ada")
        wrong += faults(me, "guide")
        me.press("Escape").ready()
        me.page.keyboard.press("z")
        wrong += faults(me, "pair, a question, enlarged")
        me.press("z", "z", "1", "i")
        wrong += faults(me, "pair, overall, strength, raw values")
        for key, name in (("m", "remark"), ("s", "skip"), ("?", "keys"), ("h", "history")):
            me.press(key)
            wrong += faults(me, name)
            me.press("Escape")
        me.key("2")
        me.press("h")
        wrong += faults(me, "history with answers")
        me.press("Enter")
        me.says(".sl-editing", "earlier answer")
        wrong += faults(me, "editing")
        me.press("Escape")
        me.page.wait_for_selector(".sl-editing", state="hidden")
        for _ in range(7):
            me.ready().key("x")
        me.state("idle")
        wrong += faults(me, "idle")
    assert wrong == []
    assert len(votes_of(db, "ada")) == 8


@pytest.mark.parametrize("look", CONTEXTS)
def test_axe_finds_nothing_on_a_blind_pair_and_its_reveal(visit, blind, look):
    me = visit(blind[0], **CONTEXTS[look]).enter(f"Bo {look}").patient()
    wrong = faults(me, "blind")
    me.press("1").state("due")
    wrong += faults(me, "due")
    me.page.click("[data-act=agree]:visible")
    me.state("reveal").ready()
    wrong += faults(me, "reveal")
    assert wrong == []


@pytest.mark.parametrize("look", CONTEXTS)
def test_axe_finds_nothing_where_one_signs_in(visit, db, look):
    admit(db, {"Ada": "admin"})
    people = People.of(db)
    later = time.time_ns() // 10**6 + 60_000
    people.invitations.add(
        Invitation(hash=fingerprint("sent"), role="annotator", name="", expires_ms=later)
    )
    people.close()
    with served(db, blind=0.0) as address:
        me = visit(address, **CONTEXTS[look])
        me.says(".sl-ask h1", "Sign in")
        wrong = faults(me, "sign in")
        me.page.fill("input[name=name]", "Ada")
        me.page.fill("input[name=password]", "wrong")
        me.page.keyboard.press("Enter")
        me.says(".sl-ask-error", "wrong")
        wrong += faults(me, "a wrong password")
        invited = visit(f"{address}#invite=sent", **CONTEXTS[look])
        invited.says(".sl-ask h1", "Welcome")
        wrong += faults(invited, "invitation")
    assert wrong == []


@pytest.mark.parametrize("look", CONTEXTS)
def test_axe_finds_nothing_in_practice(visit, make_db, world, tmp_path, look):
    db = make_db(tmp_path, with_known(world.records, "practice", 2))
    decide(db, practice=2, blind=0.0)
    with served(db) as address:
        me = visit(address, **CONTEXTS[look], reduced_motion="reduce").enter("Pam")
        wrong = faults(me, "practice")
        me.press("3").state("feedback").steady()
        wrong += faults(me, "feedback")
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
