"""The page where things are odd: phones, wicked prompts, broken clips, a server that is killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from annotate import server
from data.records import Candidate, Pair, Prompt, Record
from data.store import add
from tests.annotate.browsing import PHONE, served, votes_of

pytestmark = pytest.mark.browser
WICKED = "<img src=x onerror='window.hacked=1'> ${hacked} {{hacked}} <b>bold</b> "
ODD = {
    "markup": WICKED + "many words " * 440,
    "unbroken": "unbroken" * 250,
    "right to left": "שלום עולם, חתול אדום רץ",
    "signs": "🦊🎬 ‮reversed‬ é ﷽",
    "no spaces": "一只红色的猫在山坡上奔跑，镜头缓慢推进。" * 12,
}


def test_prompts_of_any_script_length_and_direction_are_text_and_stay_in_their_box(
    visit, world, make_db, tmp_path
):
    clips = iter([record for record in world.records if isinstance(record, Candidate)])
    records: list[Record] = []
    for text in ODD.values():
        prompt, one, other = Prompt(text=text), next(clips), next(clips)
        pair = Pair.of(one.sha256, other.sha256, prompt=prompt.id)
        records += [prompt, one, other, pair]
    with served(make_db(tmp_path, records)) as address:
        me = visit(address).enter(f"{WICKED[:40]}🦊")
        assert me.text(".sl-me").startswith("<img src=x")
        seen = set()
        for _ in ODD:
            text = me.page.text_content(".sl-prompt")
            seen.add(text)
            assert me.page.evaluate("window.hacked") is None
            assert me.text(".sl-opinion h2") == "Not scored"
            box = me.page.locator(".sl-prompt").bounding_box()
            votes = me.page.locator(".sl-answers").bounding_box()
            assert box["height"] < 140, text  # five lines: it scrolls inside
            assert votes["y"] + votes["height"] <= 800, text
            assert me.page.evaluate("document.documentElement.scrollWidth") <= 1280, text
            inside = me.page.locator(".sl-prompt").evaluate("p => p.scrollWidth - p.clientWidth")
            assert inside <= 0, text
            me.key("x")
        assert seen == set(ODD.values())


def test_an_empty_database_says_what_to_run_and_new_pairs_appear_by_themselves(
    visit, world, make_db, tmp_path
):
    (tmp_path / "prefs.clips").symlink_to(world.clips)
    db = tmp_path / "prefs.duckdb"
    with served(db) as address:
        me = visit(address, "Noa")
        assert me.text(".sl-idle h1") == "No clips yet"
        assert f"python -m train.sample --db {db}" in me.text(".sl-idle")
        add(db, world.records)
        me.state("pair")


def test_a_broken_clip_is_said_and_the_pair_can_only_be_skipped(visit, world, tmp_path):
    shutil.copytree(world.clips, tmp_path / "prefs.clips", ignore=shutil.ignore_patterns("orig*"))
    records = [r for r in world.records if not isinstance(r, Pair)]
    pair = next(r for r in world.records if isinstance(r, Pair))
    db = tmp_path / "prefs.duckdb"
    add(db, [*records, pair])
    (tmp_path / "prefs.clips" / f"{pair.a}.mp4").write_bytes(b"not a film")
    with served(db) as address:
        me = visit(address, "Bo")
        assert "cannot be played. Skip this pair" in me.text(".sl-notice")
        assert me.page.is_disabled("[data-act=left]")
        me.page.keyboard.press("1")
        me.key("s")
        (vote,) = votes_of(db, "bo")
        assert (vote.outcome, vote.answers) == ("skip", {"skip": "broken"})


def test_on_a_phone_everything_can_be_reached_by_thumb(visit, shown):
    address, db = shown
    me = visit(address, **PHONE)
    me.page.fill("input[name=name]", "Pia")
    me.page.tap(".sl-ask [type=submit]")
    me.state("pair")
    me.ready()
    wide = me.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390
    for button in me.page.locator("button:visible").all():
        box = button.bounding_box()
        assert box["height"] >= 44, button.inner_text()
        assert box["width"] >= 44, button.inner_text()
        assert 0 <= box["x"] < box["x"] + box["width"] <= 390
    for answer in ("left", "right", "tie", "unusable", "skip", "undo"):
        box = me.page.locator(f".sl-votes [data-act={answer}]:visible").bounding_box()
        assert box["y"] + box["height"] <= 844
    left, right = (box.bounding_box() for box in me.page.locator(".sl-frame").all())
    assert left["y"] == right["y"]
    assert (left["width"], left["height"]) == (right["width"], right["height"])
    me.page.set_viewport_size({"width": 844, "height": 390})  # on its side
    me.page.wait_for_function("document.querySelector('.sl-bench').clientHeight > 140")
    assert me.page.evaluate("document.documentElement.scrollWidth") <= 844
    me.page.tap("[data-act=right]:visible")
    me.page.wait_for_function("document.querySelector('.sl-counts').textContent.startsWith('1')")
    (vote,) = votes_of(db, "pia")
    assert vote.preferred == vote.right


def test_reduced_motion_starts_nothing_by_itself(visit, shown):
    me = visit(shown[0], "Rod", reduced_motion="reduce")
    me.page.wait_for_timeout(300)
    assert me.video("video.paused && video.currentTime === 0") == [True, True]
    me.page.keyboard.press(" ")
    me.page.wait_for_function("[...document.querySelectorAll('video')].every((v) => !v.paused)")


def test_two_people_never_hold_the_same_last_slot_and_a_closed_tab_frees_it(
    visit, make_db, world, tmp_path
):
    pair = next(record for record in world.records if isinstance(record, Pair))
    db = make_db(tmp_path, [r for r in world.records if not isinstance(r, Pair)] + [pair])
    with served(db, redundancy=1) as address:
        ann, bob = visit(address, "Ann"), visit(address, "Bob")
        assert ann.page.get_attribute("#second-look", "data-state") == "pair"
        assert bob.page.get_attribute("#second-look", "data-state") == "idle"
        assert bob.text(".sl-idle h1") == "Nothing left for you"
        ann.page.goto("about:blank")  # the tab says goodbye
        bob.state("pair").ready()  # which Bob's page finds out by itself
        bob.page.keyboard.press("1")
        bob.state("idle", "due", "reveal")
    assert len(votes_of(db, "bob")) >= 1
    assert votes_of(db, "ann") == []


def test_slow_clips_say_that_they_load_and_can_be_skipped(visit, shown):
    address, db = shown
    me = visit(address)
    me.page.route("**/clip/**", lambda route: None)  # never answered
    me.page.keyboard.type("Slo")
    me.page.keyboard.press("Enter")
    me.state("pair").says(".sl-waits", "Loading")
    assert me.page.is_disabled(".sl-answers [data-act=tie]")
    me.press("1", "s", "4")
    me.says(".sl-counts", "1 done")
    (vote,) = votes_of(db, "slo")
    assert (vote.outcome, vote.answers) == ("skip", {"skip": "unsure"})
    me.page.unroute("**/clip/**")
    me.page.reload()
    me.state("pair").ready()
    assert not me.page.is_visible(".sl-waits")


class App:
    """The real command, in its own process, on a fixed port."""

    def __init__(self, root: Path, db: Path) -> None:
        with server.listen("127.0.0.1", 0) as free:
            self.port = free.getsockname()[1]
        self.command = [
            *(sys.executable, "app.py", "--db", str(db), "--port", str(self.port)),
            *("--blind", "0", "--redundancy", "99"),
        ]
        self.root, self.address = root, f"http://127.0.0.1:{self.port}/"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, cwd=self.root, stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + 120
        while time.monotonic() < give_up:
            try:
                urllib.request.urlopen(f"{self.address}api/me", timeout=5).read()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError(f"{self.command} does not answer")

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


def test_a_server_killed_in_the_middle_loses_and_doubles_nothing(visit, root, db):
    app = App(root, db)
    app.start()
    try:
        ken, lou = visit(app.address, "Ken"), visit(app.address, "Lou")
        ken.key("1").key("2")
        # Ken's third vote is stored, and the server killed before he hears of it: the worst moment.
        held: list = []

        def swallow(route) -> None:
            if not held:  # the first attempt reaches the server, its answer reaches nobody
                held.append(route.fetch())
            route.abort()

        ken.page.route("**/api/vote", swallow)
        ken.page.keyboard.press("3")
        ken.page.wait_for_selector(".sl-notice:visible")
        app.kill()
        assert json.loads(held[0].body())["status"] == "stored"
        ken.page.unroute("**/api/vote")
        lou.page.keyboard.press("1")  # Lou's is not even sent when the server is gone
        for me in (ken, lou):
            me.page.wait_for_selector(".sl-notice:visible")
            assert "your vote is kept here, not lost" in me.text(".sl-notice")
        app.start()
        for me, done in ((ken, "3 done"), (lou, "1 done")):
            me.page.wait_for_function(
                "said => document.querySelector('.sl-counts').textContent.startsWith(said)",
                arg=done,
            )
    finally:
        app.kill()
    votes = votes_of(db, "ken")
    assert [vote.outcome for vote in votes] == ["preference", "preference", "tie"]
    assert len({vote.pair for vote in votes}) == 3
    assert len(votes_of(db, "lou")) == 1


def test_a_vote_that_did_not_arrive_outlives_the_page(visit, shown):
    address, db = shown
    me = visit(address, "Off")
    me.page.route("**/api/vote", lambda route: route.abort())
    me.page.keyboard.press("1")
    me.says(".sl-notice", "kept here, not lost")
    assert votes_of(db, "off") == []
    me.page.goto("about:blank")
    me.page.unroute("**/api/vote")
    me.page.goto(address)
    me.says(".sl-counts", "1 done")
    (vote,) = votes_of(db, "off")
    sent = [one.post_data_json["id"] for one in me.requests if one.url.endswith("/api/vote")]
    assert len(sent) > 1
    assert set(sent) == {vote.id}


def test_the_screens_colours_can_be_read():
    """WCAG AA, 4.5 to 1, for every pair of text and ground in both schemes."""
    style = (server.STATIC / "page.css").read_text()
    colour = re.compile(r"--sl-([\w-]+): (#\w{6});")
    schemes = [dict(colour.findall(part)) for part in style.split("@media")]
    texts = {"ink": ("paper", "card"), "soft": ("paper", "card"), "warn": ("warn-soft", "well")}
    texts |= {side: ("paper", "card", f"{side}-soft") for side in ("left", "right")}
    for scheme in schemes[:2]:
        for text, grounds in texts.items():
            for ground in grounds:
                assert contrast(scheme[text], scheme[ground]) >= 4.5, (text, ground)


def contrast(one: str, other: str) -> float:
    """Ratio of relative luminances plus 0.05 (WCAG 2.2, section 1.4.3)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
