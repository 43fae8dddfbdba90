"""Image-to-video: the first image of both clips beside the prompt, in the history, for leads."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from annotate import server
from annotate.beginnings import DIGEST, Beginnings, image_file
from annotate.desk import Desk
from data.records import Candidate, Pair, Prompt
from data.store import Store, add, columns
from tests.annotate.browsing import PHONE, Visit, faults, served
from train.sampling import first_image

CASES = ("whole", "broken", "missing", "changed", "two", "none")
SHOWN = "#second-look .sl-given .sl-first"


@dataclass(frozen=True)
class Place:
    """A database with a pair per case, and which is which."""

    db: Path
    case_of: dict[str, str]
    """By prompt."""
    pairs: dict[str, Pair]
    """By case."""
    digests: dict[str, str]


@pytest.fixture(scope="module")
def place(world, tmp_path_factory) -> Place:
    folder = tmp_path_factory.mktemp("first")
    images = folder / "prefs.clips" / "images"
    images.mkdir(parents=True)
    for clip in world.clips.glob("*.mp4"):
        (folder / "prefs.clips" / clip.name).symlink_to(clip)
    digests = {case: _image(images, case) for case in CASES if case != "none"}
    pairs = dict(zip(CASES, (one for one in world.records if isinstance(one, Pair)), strict=False))
    image_of = {pair.a: digests.get(case) for case, pair in pairs.items()}
    image_of |= {pair.b: digests.get(case) for case, pair in pairs.items()}
    image_of[pairs["two"].b] = digests["whole"]
    prompts = {one.prompt: case for case, one in pairs.items()}
    records = [
        _remembering(one, image_of.get(one.sha256)) if isinstance(one, Candidate) else one
        for one in world.records
        if not isinstance(one, Pair) or one in pairs.values()
    ]
    add(folder / "prefs.duckdb", records)
    texts = {one.text: prompts[one.id] for one in records
             if isinstance(one, Prompt) and one.id in prompts}  # fmt: skip
    return Place(folder / "prefs.duckdb", texts, pairs, digests)


def _image(folder: Path, case: str) -> str:
    """Put an image of 200 x 100 pixels there, or what the case has instead; its hash."""
    drawn = io.BytesIO()
    Image.new("RGB", (200, 100), (200, 30 + len(case), 40)).save(drawn, "PNG")
    content = b"no picture" if case == "broken" else drawn.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    if case != "missing":
        spoilt = b"later" if case == "changed" else b""
        (folder / f"{digest}.png").write_bytes(content + spoilt)
    return digest


def _remembering(clip: Candidate, digest: str | None) -> Candidate:
    memory = {first_image.PATH: "/secret-folder/secret.png", first_image.DIGEST: digest}
    return dataclasses.replace(clip, settings={**clip.settings, **(memory if digest else {})})


@pytest.fixture(scope="module")
def address(place) -> Iterator[str]:
    with served(place.db, blind=0.0, redundancy=99) as found:
        yield found


@pytest.fixture
def through(address, place):
    """Goes through every pair, which it answers, and gives the case that is on the page."""

    def pairs(me: Visit) -> Iterator[str]:
        for _ in CASES:
            yield place.case_of[me.text(".sl-prompt")]
            me.key("x")

    return pairs


def test_the_setting_is_called_as_sampling_calls_it():
    assert DIGEST == first_image.DIGEST


def test_a_pair_has_the_image_that_both_clips_were_made_from_and_whole_files_only(place):
    beginnings = Beginnings()
    with Store.open(place.db) as store:
        beginnings.read(store.ask(columns.since("candidates", 0, ("sha256", "settings"))))
    of = {case: beginnings.of(pair.a, pair.b) for case, pair in place.pairs.items()}
    assert of == {**place.digests, "two": None, "none": None}
    assert beginnings.of("0" * 64, "1" * 64) is None
    there = [case for case, digest in place.digests.items() if image_file(place.db, digest)]
    assert there == ["whole", "broken", "two"]


def test_an_image_is_sent_to_whom_it_was_shown_without_name_or_date(place, tmp_path, open_desk):
    copy = tmp_path / "prefs.duckdb"
    copy.write_bytes(place.db.read_bytes())
    (tmp_path / "prefs.clips").symlink_to(place.db.with_name("prefs.clips"))
    desk: Desk = open_desk(copy, blind=1.0)
    app = server.interface(desk)
    with TestClient(app, base_url="http://127.0.0.1:7860") as anna:
        page = anna.post("/api/me", json={"name": "anna"})
        sent = [page.text]
        for _ in CASES:
            pair = page.json()["pair"]
            case = place.case_of[pair["prompt"]]
            assert bool(pair["image"]) is (case not in ("two", "none"))
            if case == "whole":
                answer = anna.get(f"/{pair['image']}")
                assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
                assert "last-modified" not in answer.headers
                assert hashlib.sha256(answer.content).hexdigest() == place.digests["whole"]
                sent.append(str(answer.headers))
                mine = pair["image"]
            elif case in ("missing", "changed"):
                assert anna.get(f"/{pair['image']}").status_code == 404
            body = {"id": f"00000000-0000-4000-8000-{len(sent):012}", "ticket": pair["ticket"]}
            page = anna.post("/api/vote", json={**body, "answer": "skip"})
            sent.append(page.text)
            page = anna.get("/api/next")
        history = {one["prompt"]: one["image"] for one in anna.get("/api/history").json()}
        assert sum(bool(image) for image in history.values()) == 4
        whole = f"/image/{place.digests['whole']}"
        assert anna.get(whole).status_code == anna.get(f"{whole}.png").status_code == 404
        assert anna.get(f"/clip/{mine.removeprefix('image/')}").status_code == 404
        clip = desk.seal.token("anna", place.pairs["none"].a)
        assert anna.get(f"/image/{clip}").status_code == 404
        for secret in ("secret", "image_sha256", *place.digests.values()):
            assert secret not in "".join(sent)
    with TestClient(app, base_url="http://127.0.0.1:7860") as bob:
        assert bob.get(f"/{mine}").status_code == 401
        bob.post("/api/me", json={"name": "bob"})
        assert bob.get(f"/{mine}").status_code == 404


@pytest.mark.browser
@pytest.mark.parametrize(
    "look", [{}, {**PHONE, "color_scheme": "dark"}], ids=["desktop", "dark phone"]
)
def test_the_image_stands_beside_the_prompt_and_opens_large(visit, address, place, through, look):
    me = visit(address, f"Ida {len(look)}", **look)
    seen = {}
    for case in through(me):
        seen[case] = me.page.locator(SHOWN).is_visible()
        if not seen[case]:
            continue
        box = me.page.locator(SHOWN).bounding_box()
        assert (box["width"], box["height"]) == (96, 64)  # whatever has loaded
        if case != "whole":
            me.says(f"{SHOWN} p", "cannot be shown")
            assert not me.page.is_visible(f"{SHOWN} button")
            continue
        image = me.page.locator(f"{SHOWN} img")
        assert image.get_attribute("alt") == "First image of both clips"
        drawn = image.evaluate("i => i.decode().then(() => [i.naturalWidth, i.naturalHeight])")
        assert drawn == [200, 100]
        wrong = faults(me.page, "image", dark=not look)
        if look:
            me.page.tap(f"{SHOWN} button")
        else:
            me.page.focus(f"{SHOWN} button")
            me.page.keyboard.press("Enter")  # which opens it, and answers nothing
        me.says("dialog[open] h2", "First image of both clips")
        large = me.page.locator("dialog[open] img").bounding_box()
        width, height = (me.page.viewport_size[name] for name in ("width", "height"))
        assert large["x"] >= 0
        assert large["y"] >= 0
        assert large["width"] > 0.8 * min(width, 940)
        assert large["y"] + large["height"] <= height
        wrong += faults(me.page, "image, large", dark=not look)
        assert wrong == []
        me.press("1", "Escape")
        assert me.page.locator("dialog[open]").count() == 0
        if not look:
            assert me.page.evaluate("document.activeElement.dataset.act") == "image"
    shown = {case: case not in ("two", "none") for case in CASES}
    assert seen == shown
    assert me.text(".sl-counts").startswith(f"{len(CASES)} done")
    lists_it(me)
    if not look:
        the_lead_sees_it(me, address, place)


def lists_it(me: Visit) -> None:
    """The history of all pairs shows the whole image, and says it of three others."""
    me.history()
    assert me.page.locator(".sl-history li").count() == len(CASES)
    me.page.wait_for_function(
        "document.querySelectorAll('.sl-history .sl-first p').length === 3"
    )  # broken, missing, changed
    assert me.page.locator(".sl-history .sl-first img").count() == 1
    assert me.page.locator(".sl-history .sl-first").count() == 4


def the_lead_sees_it(me: Visit, address: str, place: Place) -> None:
    """On the page of a pair."""
    for case in ("whole", "missing", "none"):
        me.page.goto(f"{address}lead/pair?id={place.pairs[case].id}")
        me.page.wait_for_selector(".ll-clips")
        image = me.page.locator(".ll-first img")
        if case == "whole":
            assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 200
            assert image.get_attribute("alt") == "First image of both clips"
        elif case == "missing":
            me.page.locator(".ll-first", has_text="cannot be shown here").wait_for()
        else:
            assert me.page.locator(".ll-first").count() == 0


@pytest.mark.browser
def test_nothing_moves_when_a_slow_image_arrives_and_the_old_one_is_gone_at_once(visit, address):
    me = visit(address)
    held = []
    me.page.route("**/image/**", lambda route: held.append(route))
    me.enter("Slow")
    for _ in CASES:
        if held and me.page.is_visible(f"{SHOWN} button"):
            break
        me.key("x")
    else:
        raise AssertionError("no pair had an image to wait for")
    where = "[...document.querySelectorAll('.sl-prompt, .sl-stage, .sl-answers')].map((one) => {"
    where += "const { x, y, width, height } = one.getBoundingClientRect();"
    where += "return [x, y, width, height]; })"
    before = me.page.evaluate(where)
    assert me.page.locator(f"{SHOWN} img").evaluate("i => i.naturalWidth") == 0
    for route in held:
        route.continue_()
    me.page.wait_for_function(
        f"[...document.querySelectorAll('{SHOWN} img')].every((i) => i.complete)"
    )
    assert me.page.evaluate(where) == before
