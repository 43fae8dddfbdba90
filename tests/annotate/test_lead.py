"""The lead's pages in a real browser: what they show and decide, and that all can use them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data import agree
from data.records import Run
from data.store import Store, add
from tests.annotate.browsing import faults
from tests.annotate.crowd import (
    MALICE,
    START_MS,
    exclusion,
    pairs_of,
    paper_world,
    run_folder,
    votes,
)
from tests.annotate.site import opened

pytestmark = pytest.mark.browser
GONE = Run(
    id="0123456789ab", kind="vader", config={}, code="x", folder="/nowhere/v", started_ms=START_MS
)


@pytest.fixture(scope="module")
def place(tmp_path_factory, world) -> Path:
    """Eight real pairs, forty on paper, 300 votes, two runs, one person left out."""
    folder = tmp_path_factory.mktemp("lead")
    (folder / "prefs.clips").symlink_to(world.clips)
    db, paper = folder / "prefs.duckdb", paper_world(40)
    add(db, [*world.records, *paper])
    add(db, votes([*pairs_of(world.records), *pairs_of(paper)], 300))
    clips = sorted(world.clips.glob("*.mp4"))[:4]
    add(db, [run_folder(folder / "run", clips=clips), GONE, exclusion("left larry")])
    return db


@pytest.fixture(scope="module")
def address(place) -> Iterator[str]:
    with opened(place, redundancy=3) as found:
        yield found


@pytest.fixture
def look(browser, address) -> Iterator[Callable[..., Any]]:
    """Opens a page as a lead; no script of a prompt or a name may have run on it."""
    contexts: list[Any] = []

    def at(path: str, **settings: Any) -> Any:
        contexts.append(browser.new_context(**{"locale": "en-GB", **settings}))
        contexts[-1].request.post(f"{address}/api/me", data={"name": "lea"})
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.goto(f"{address}/lead/{path}")
        page.wait_for_selector(".ll-nav")
        return page

    yield at
    for context in contexts:
        for page in context.pages:
            assert "hacked" not in page.title()
            assert page.locator("img[src=x]").count() == 0
        context.close()


def ids(place: Path) -> dict[str, str]:
    """A pair whose clips can be played, the one with the worst prompt, and the run."""
    with Store.open(place) as store:
        pairs, runs = store.frame("pairs"), store.frame("runs", ["id", "folder"])
        return {
            "pair": pairs["id"][0],
            "nasty": pairs["id"][8],
            "run": runs["id"][0],
        }


def addresses(place: Path) -> list[str]:
    known = ids(place)
    return [
        "", "agreement", "pairs", "pairs?view=votes", "pairs?view=clips", "work", "runs", "export",
        f"pair?id={known['pair']}", f"pair?id={known['nasty']}", f"run?id={known['run']}",
        f"run?id={GONE.id}",
    ]  # fmt: skip


def test_axe_finds_nothing_and_a_phone_scrolls_no_page_sideways(look, place):
    """Over whole pages, with the parts that are Gradio's own; each is opened once."""
    desk, phone = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
    page = look("", viewport=desk, is_mobile=True, has_touch=True)
    for path in addresses(place):
        page.set_viewport_size(desk)
        page.goto(page.url.split("/lead/")[0] + f"/lead/{path}")
        page.wait_for_selector("text=Between people" if path == "agreement" else ".ll-nav")
        assert faults(page, path, dark=True) == []
        page.set_viewport_size(phone)
        widest = page.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame("
            "() => done([innerWidth, document.documentElement.scrollWidth]))))"
        )
        assert widest[0] == 390, path
        assert widest[1] <= 390, (path, widest)


def test_the_overview_tells_who_did_what(look):
    page = look("")
    people = page.locator("table", has_text="Preferred left")
    assert people.locator("tbody tr").count() == 6
    assert "rubber stamp?" in people.locator("tr", has_text="hasty harry").inner_text()
    assert "left out" in people.locator("tr", has_text="left larry").inner_text()
    assert MALICE in people.inner_text()
    assert page.title() == "Overview · Second Look"
    campaign = page.locator("table", has_text="Wanted").locator("tbody tr").inner_text().split()
    assert campaign[4] == "3"  # as the app was started, though nothing is stored


def test_the_way_from_a_person_to_a_vote_to_its_pair(look):
    page = look("")
    page.get_by_role("link", name="hasty harry").click()
    page.wait_for_selector("text=found; page 1")
    people = page.locator("tbody tr td:nth-child(2)").all_inner_texts()
    assert set(people) == {"hasty harry"}
    page.locator("tbody tr td:nth-child(6) a").first.click()
    page.wait_for_selector("text=About this pair")
    assert "hasty harry" in page.inner_text("main")


def test_agreement_is_that_of_the_report(look, place):
    with Store.open(place) as store:
        report = agree.build(store)
    page = look("agreement")
    page.wait_for_selector("text=People and OmniScore")
    blind = report.sides["blind"]
    figure = page.locator(".ll-figures div", has_text="Agreement, blind").inner_text()
    assert f"{100 * blind.value:.0f} %" in figure
    assert f"n = {blind.n}" in figure
    row = page.locator("table", has_text="Overridden").locator("tr", has_text="Score in view")
    shown = report.tallies.shown
    assert row.locator("td").all_inner_texts()[2:4] == [
        str(shown.confirmations), str(shown.overrides),
    ]  # fmt: skip
    assert f"Up to vote {report.snapshot}" in page.inner_text("main")


def test_filters_narrow_and_pages_turn(look):
    page = look("pairs")
    assert "48 found; page 1 of 2" in page.inner_text("[role=status]")
    page.get_by_label("Page").fill("2")
    page.get_by_label("Page").press("Enter")
    page.wait_for_selector("text=48 found; page 2 of 2")
    assert page.locator("tbody tr").count() == 23
    page.get_by_label("Prompt, or the beginning of an id").fill("rolls")
    page.get_by_label("Prompt, or the beginning of an id").press("Enter")
    page.wait_for_selector("text=8 found; page 1 of 1")
    page.get_by_label("Pair", exact=True).click()
    page.get_by_role("option", name="split").click()
    page.wait_for_function("!document.body.innerText.includes('8 found')")
    page.get_by_label("Votes").check()
    page.wait_for_selector("text=Comment")


def test_both_clips_of_a_pair_play_together(look, place):
    page = look(f"pair?id={ids(place)['pair']}")
    page.wait_for_function(
        "[...document.querySelectorAll('video')].every((video) => video.readyState >= 2)"
    )
    page.get_by_role("button", name="Play or pause both from the start").click()
    page.wait_for_function(
        "[...document.querySelectorAll('video')].every((video) => video.currentTime > 0.1)"
    )
    assert page.locator("video").count() == 2
    assert "SecretModel-9000" in page.inner_text("main")  # a lead may know


def test_of_many_clips_only_those_near_the_window_are_fetched(look):
    page = look("pairs?view=clips")
    page.wait_for_function("document.querySelector('video').readyState >= 1")
    wanted = page.evaluate("[...document.querySelectorAll('video')].map((clip) => clip.preload)")
    assert len(wanted) == 25
    assert wanted.count("none") >= 15
    page.locator("video").last.scroll_into_view_if_needed()
    page.wait_for_selector("text=Cannot be played here")  # fetched now, and there is no file


def test_a_clip_that_is_gone_is_said(look, place):
    page = look(f"pair?id={ids(place)['nasty']}")
    page.wait_for_selector("text=This clip cannot be played here")
    assert "<img src=x onerror=" in page.inner_text("blockquote")


def test_deciding_takes_people_out_and_brings_them_back(look, place):
    page = look("work")
    assert "Left out now: left larry" in page.inner_text("main")
    page.get_by_label("Person").click()
    page.get_by_role("option", name="hasty harry").click()
    page.get_by_role("button", name="Leave out").click()
    page.wait_for_selector("text=The votes of hasty harry do not count any more")
    assert "Left out now: hasty harry, left larry" in page.inner_text("main")
    newest = decisions(place)[-1]
    assert (newest.topic, newest.subject, newest.by) == ("person", "hasty harry", "lea")
    assert newest.values["counts"] is False
    page.get_by_role("button", name="Include again").click()
    page.wait_for_selector("text=The votes of hasty harry count again")
    assert decisions(place)[-1].values["counts"] is True


def test_a_campaign_pauses_and_pairs_are_asked_again(look, place):
    page = look(f"work?pair={ids(place)['pair']}")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_selector("text=default is paused")
    assert decisions(place)[-1].values["paused"] is True
    page.get_by_role("button", name="Go on").click()
    page.wait_for_selector("text=default goes on")
    page.get_by_role("button", name="Ask this pair again").click()
    page.wait_for_selector("text=In default, one person more is asked for")
    found = decisions(place)[-1]
    assert (found.topic, found.subject) == ("pair", ids(place)["pair"])
    page.get_by_label("Id of the pair").fill("nonsense")
    page.get_by_role("button", name="Ask this pair again").click()
    page.wait_for_selector("[role=alert]")


def decisions(place: Path) -> list:
    with Store.open(place) as store:
        return store.all("decisions")


def test_a_run_shows_its_curves_and_clips(look, place):
    page = look(f"run?id={ids(place)['run']}")
    assert page.locator("svg[role=img]").count() == 2
    assert "held-out: last 0.54" in page.locator("svg").first.get_attribute("aria-label")
    page.locator("video").last.scroll_into_view_if_needed()
    page.wait_for_function(
        "[...document.querySelectorAll('video')].every((video) => video.readyState >= 1)"
    )
    assert page.locator("video").count() == 4
    page.get_by_text("Numbers").first.click()
    assert page.locator("details[open] tbody tr").count() == 105


def test_a_run_whose_folder_is_gone_says_so(look):
    page = look(f"run?id={GONE.id}")
    assert "is not on this machine" in page.inner_text("main")


def test_exports_come_as_files(look, place):
    page = look("export")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="votes ever cast, revised ones and undos too: jsonl").click()
    lines = Path(waiting.value.path()).read_text().splitlines()
    with Store.open(place) as store:
        assert [json.loads(line)["id"] for line in lines] == store.frame("votes")["id"].to_list()


def test_it_speaks_german(look):
    page = look("", locale="de-DE")
    assert page.inner_text("h1") == "Überblick"
    assert "Zeit je Antwort" in page.inner_text("main")
    page = look("pairs", locale="de-DE")
    assert page.get_by_label("Kampagne").count() == 1


def test_an_empty_database_says_what_to_do(browser, tmp_path):
    with opened(tmp_path / "prefs.duckdb") as address:
        context = browser.new_context(locale="en-GB")
        context.request.post(f"{address}/api/me", data={"name": "lea"})
        page = context.new_page()
        for path, told in {
            "": "python -m train.sample",
            "agreement": "Nobody has voted yet",
            "pairs": "python -m data.pair",
            "pair": "No such pair",
            "work": "Nothing was decided yet",
            "runs": "python -m train.dpo",
            "run": "No such run",
            "export": "python -m scorers",
        }.items():
            page.goto(f"{address}/lead/{path}")
            page.wait_for_selector(f"text={told}")
        context.close()


def test_somebody_who_is_nobody_is_told_so(browser, address):
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    answer = page.goto(f"{address}/lead/")
    assert answer.status == 401
    assert "Say who you are first" in page.inner_text("main")
    page.get_by_role("link", name="Second Look").click()
    page.wait_for_selector("#second-look")
    context.close()
