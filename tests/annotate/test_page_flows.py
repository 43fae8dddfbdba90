"""What a campaign can ask, by keyboard in a real Chromium: questions, remarks, history, keys."""

from __future__ import annotations

import pytest

from annotate.words import de
from data.store import Store
from tests.annotate.browsing import decide, served, votes_of

pytestmark = pytest.mark.browser

EVERYTHING = {
    "title": "Street scenes",
    "guideline": "Watch both in full.\n\n- Judge what you see\n- <b>A tie</b> is an answer",
    "questions": ("visual", "motion", "overall"),
    "strength": True,
    "blind": 0.0,
    "redundancy": 99,
}


@pytest.fixture
def site(make_db, tmp_path):
    """Makes a site with a campaign of its own: (address, database)."""
    running = []

    def opened(**campaign):
        db = make_db(tmp_path)
        decide(db, **campaign)
        server = served(db)
        running.append(server)
        return server.__enter__(), db

    yield opened
    for server in running:
        server.__exit__(None, None, None)


def test_questions_one_after_the_other_with_strength_remark_and_a_step_back(visit, site):
    address, db = site(**EVERYTHING)
    me = visit(address, "Quin")
    # The guideline opens by itself on the first visit, as text, and not on the second.
    me.says("dialog", "How to judge").says(".sl-guide", "<b>A tie</b> is an answer")
    me.press("1", "Escape")
    me.page.reload()
    me.state("pair").ready()
    assert me.page.locator("dialog[open]").count() == 0
    me.press("g").says("dialog", "Watch both in full.").press("Escape")
    assert votes_of(db, "quin") == []

    # A question per key; one back, answered again; "clearly" with Shift; typing never votes.
    me.says(".sl-question", "better made, frame by frame").press("1")
    me.says(".sl-question", "movement").press("2").says(".sl-question", "All things").press("b")
    me.says(".sl-question", "movement").press("3")
    me.press("m")
    me.page.keyboard.type("1234 six fingers, x and s too")
    me.press("Escape", "f", "2", "3", "3", "Escape")
    me.key("Shift+Digit2")
    (vote,) = votes_of(db, "quin")
    assert vote.preferred == vote.right
    assert vote.strength == "clearly"
    assert vote.answers == {"visual": "left", "motion": "tie", "flags": "text"}
    assert vote.reason == "1234 six fingers, x and s too"
    # The next pair begins anew: first question, no remark; its seconds are those of all questions.
    me.says(".sl-question", "better made, frame by frame")
    assert me.page.input_value(".sl-comment textarea") == ""
    me.page.wait_for_timeout(1500)
    me.press("3", "3").key("1")
    assert votes_of(db, "quin")[1].strength == "slightly"
    assert votes_of(db, "quin")[1].seconds > 1.5
    # "Both unusable" answers the whole pair, whatever the question.
    me.key("x")
    assert votes_of(db, "quin")[2].unusable


def test_three_undos_in_a_row_then_the_history_and_an_edit(visit, shown):
    address, db = shown
    me = visit(address, "Uli")
    me.key("1").key("2").key("3")
    prompts = []
    for done in (2, 1, 0):
        me.press("u")
        me.says(".sl-counts", f"{done} done").ready()
        prompts.append(me.text(".sl-prompt"))
    assert len(set(prompts)) == 3
    assert me.page.is_disabled(".sl-minor [data-act=undo]")
    me.key("1").key("2")
    me.history().says("dialog", "Your last answers")
    listed = me.page.locator(".sl-history li").all_inner_texts()
    assert len(listed) == 2
    assert "right better" in listed[0].lower()
    me.press("ArrowDown", "Enter")  # the older one
    me.says(".sl-editing", "You are changing an earlier answer: left better.")
    assert "sl-mine" in me.page.get_attribute(
        ".sl-answers [data-act=left]:not([data-strong])", "class"
    )
    me.press("Escape")  # leave it as it is
    me.page.wait_for_selector(".sl-editing", state="hidden")
    me.ready().history().press("ArrowDown", "Enter").says(".sl-editing", "earlier answer").ready()
    edited = me.text(".sl-prompt")
    me.press("3")
    me.page.wait_for_selector(".sl-editing", state="hidden")
    me.ready()
    first, second, changed = votes_of(db, "uli")[-3:]
    assert (changed.outcome, changed.revises) == ("tie", first.id)
    assert second.outcome == "preference"
    assert me.text(".sl-counts").startswith("2 done")
    me.history()
    newest = me.page.locator(".sl-history li").all_inner_texts()
    row = next(line for line in newest if edited in line)
    assert "tie" in row.lower()
    assert "before: left better" in row


def test_a_slip_before_the_reveal_has_its_own_undo_and_stays_blind(visit, blind):
    address, db = blind
    me = visit(address, "Slim").patient()
    prompt = me.text(".sl-prompt")
    me.press("1").state("due").steady().press("u")
    me.state("pair").ready()
    assert me.text(".sl-prompt") == prompt
    assert me.text(".sl-opinion h2") == "Blind pair"
    assert not [r for r in me.requests if r.url.endswith("/api/reveal")]
    me.press("2").state("due").steady()
    me.page.keyboard.press("Enter")  # at once, without waiting for it
    me.state("reveal").ready().press("k")
    me.state("pair")
    votes = [(v.outcome, v.exposure) for v in votes_of(db, "slim")]
    assert votes == [
        ("preference", "blind"),
        ("undo", "blind"),
        ("preference", "blind"),
        ("preference", "shown"),
    ]


def test_skip_has_a_menu_with_reasons_and_words_of_ones_own(visit, shown):
    address, db = shown
    me = visit(address, "Skye")
    me.press("s").says("dialog", "Why skip this pair?").press("Escape")
    assert votes_of(db, "skye") == []
    me.key("s", "2")
    me.press("s")
    me.page.click("dialog[open] input[name=why]")
    me.page.keyboard.type("1 two left hands")
    me.key("Enter")
    menu, own = votes_of(db, "skye")
    assert (menu.outcome, menu.answers, menu.reason) == ("skip", {"skip": "prompt"}, "")
    assert (own.answers, own.reason) == ({"skip": "other"}, "1 two left hands")


def test_keys_can_be_changed_conflicts_are_refused_and_reset_brings_them_back(visit, shown):
    address, db = shown
    me = visit(address, "Kay")
    slot = "[data-for=left]"

    def change(selector: str, key: str, said: str) -> None:
        me.page.click(selector)
        me.press(key)
        me.says(".sl-keys-said", said)

    me.press("?")
    change(slot, "l", "“L” already means “Loop”")
    me.page.click(slot)
    me.press("Escape")
    assert me.page.locator("dialog[open]").count() == 1  # Escape only gave the change up
    change(slot, "y", "“Left better” is now “Y, ←”.")
    me.press("Escape")
    shown_keys = me.page.locator(".sl-answers [data-keys=left]:not([data-shift]) kbd")
    assert shown_keys.all_inner_texts() == ["Y", "←"]
    me.press("1")
    assert votes_of(db, "kay") == []  # the old key means nothing now
    me.page.reload()
    me.state("pair").ready()
    me.key("y")
    assert votes_of(db, "kay")[0].preferred == votes_of(db, "kay")[0].left
    me.press("?")
    me.page.click(".sl-keys-reset")
    me.press("Escape")
    me.key("1")
    assert len(votes_of(db, "kay")) == 2


def test_the_gate_opens_when_both_clips_have_played_once(visit, site):
    address, db = site(gate=True, blind=0.0)
    me = visit(address, reduced_motion="reduce")  # nothing plays by itself: the gate stays shut
    me.enter("Gil")
    assert "Press play" in me.text(".sl-gate")
    assert me.page.is_disabled(".sl-answers [data-act=left]:not([data-strong])")
    me.press("1")
    assert votes_of(db, "gil") == []
    assert not [request for request in me.requests if request.url.endswith("/api/vote")]
    me.press("[", " ")  # slower, and play
    me.says(".sl-gate", "s left")
    me.page.wait_for_selector(".sl-gate", state="hidden")
    me.key("1")
    (vote,) = votes_of(db, "gil")
    assert vote.watched["left"] == vote.watched["right"] == 1.0
    me.key("s", "4")  # a skip need not wait
    assert votes_of(db, "gil")[1].outcome == "skip"


def test_raw_values_come_on_demand_and_missing_is_said(visit, shown):
    me = visit(shown[0], "Ray")
    assert not me.page.is_visible(".sl-raw")
    me.press("i")
    raw = me.page.locator(".sl-raw:visible").all_inner_texts()
    assert len(raw) == 7
    assert all("range" in line for line in raw)
    assert "missing" in me.text(".sl-opinion")
    assert "heuristic" in me.text(".sl-opinion h2")
    heard = me.page.locator(".sl-bars .sl-unseen").all_text_contents()
    assert heard[0] in (
        "Total: Left 70.0 (higher), Right 50.0.",
        "Total: Left 50.0, Right 70.0 (higher).",
    )


def test_the_page_speaks_german(visit, shown):
    address, _ = shown
    me = visit(address, locale="de-AT").enter("Gerd")
    assert me.text(".sl-question") == de.QUESTIONS["overall"]
    assert me.text(".sl-answers [data-act=tie] > span").strip() == "Gleich gut"
    assert "erledigt" in me.text(".sl-counts")
    assert me.page.get_attribute("html", "lang") == "de"
    for _ in range(8):
        me.key("3")
    assert me.text(".sl-idle h1") == de.IDLE["done_title"]
    english = visit(f"{address}?lang=en", locale="de-AT").enter("Gert")
    assert english.text(".sl-answers [data-act=tie] > span").strip() == "Tie"


def test_a_reload_in_the_middle_of_a_pair_or_of_a_reveal_comes_back_to_it(visit, blind):
    address, db = blind
    me = visit(address, "Rel").patient()
    prompt = me.text(".sl-prompt")
    me.page.reload()
    me.state("pair").ready()
    assert me.text(".sl-prompt") == prompt
    me.page.keyboard.press("1")
    me.state("due")
    me.page.reload()
    me.state("reveal").ready()
    assert me.text(".sl-prompt") == prompt
    me.press("c").state("pair")
    with Store.open(db) as store:
        mine = [vote for vote in store.all("votes") if vote.annotator == "rel"]
    assert [vote.reason for vote in mine] == ["", "change"]
