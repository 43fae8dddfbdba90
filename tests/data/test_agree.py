"""`python -m data.agree`: one report, the same bytes every time, as text, JSON and page."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from data import agree, agree_page, agree_text
from data.errors import UserError
from data.omniscore import PROFILES
from data.records import Candidate, Decision, Pair, Prompt, Score, Vote, digest
from data.store import Store

LITE = {row.key: row.scorer for row in PROFILES["lite"].dimensions}


def material(prompts=60, seed=0, *, people=("ada", "ben", "left"), generators=("x", "y")):
    """A small campaign of simulated annotators: blind and shown votes, reveals, gold, repeats."""
    rng = np.random.default_rng(seed)
    records, votes, decisions = [], [], []

    def cast(pair, who, preferred, left, **rest):
        number = len(votes)
        votes.append(
            Vote(
                id=f"v{number:05}", pair=pair.id, annotator=who, left=left,
                right=pair.b if left == pair.a else pair.a,
                outcome="preference" if preferred else "tie", preferred=preferred,
                time_ms=1_790_000_000_000 + number, **rest,
            )
        )  # fmt: skip
        return votes[-1]

    for index in range(prompts):
        prompt = Prompt(text=f"prompt {index}")
        shas = [digest("clip", index, side) + digest("more", index, side) for side in (0, 1)]
        quality = {sha: rng.normal() for sha in shas}
        a, b = sorted(shas)
        models = dict(zip(shas, generators, strict=True))
        records += [prompt] + [
            Candidate(sha256=sha, prompt=prompt.id, path="/gone.mp4", model=models[sha], fps=8,
                      frames=9, width=48, height=48)
            for sha in shas
        ]  # fmt: skip
        records += [
            Score(candidate=sha, scorer=scorer, version="1", dimension=key,
                  value=float(np.clip(0.5 + 0.1 * (quality[sha] + rng.normal()), 0, 1)))
            for sha in shas
            for key, scorer in LITE.items()
        ]  # fmt: skip
        best = a if quality[a] + rng.normal() > quality[b] else b
        pair = Pair(prompt=prompt.id, a=a, b=b, best=best, profile="lite",
                    margin=abs(quality[a] - quality[b]), campaign="pilot")  # fmt: skip
        gold = Pair(prompt=prompt.id, a=a, b=b, strategy="gold:frozen", campaign="pilot")
        again = Pair(prompt=prompt.id, a=a, b=b, strategy=f"repeat:{pair.id}", campaign="pilot")
        records += [pair, gold, again]
        decisions.append(
            Decision(id=f"d{index}", topic="gold", subject=gold.id, time_ms=1,
                     values={"expected": a, "kind": "frozen", "use": "gold"})
        )  # fmt: skip
        for who in people:
            left = a if rng.random() < 0.5 else b
            better = a if quality[a] > quality[b] else b
            liked = left if who == "left" else better if rng.random() < 0.8 else None
            if rng.random() < 0.6:
                first = cast(pair, who, liked, left, exposure="blind", answers={"motion": "left"})
                cast(pair, who, best if rng.random() < 0.2 else liked, left, revises=first.id)
            else:
                cast(pair, who, best if rng.random() < 0.5 else liked, left)
            if index % 3 == 0:
                other = b if left == a else a
                cast(again, who, other if who == "left" else liked, other)
                cast(gold, who, a if rng.random() < 0.9 else b, left)
    return records, votes, decisions


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("agree") / "prefs.duckdb")
    records, votes, decisions = material()
    with Store.open(path, create=True) as store:
        store.add([*records, *votes, *decisions])
    return path


@pytest.fixture(scope="module")
def report(db):
    with Store.open(db) as store:
        return agree.build(store)


def test_the_command_prints_and_writes_the_same_bytes_each_time(db, tmp_path, capsys):
    files = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        written = ["--json", str(folder / "agree.json"), "--html", str(folder / "agree.html")]
        assert agree.main(["--db", db, "--campaign", "pilot", *written]) == 0
        files.append([(folder / f).read_bytes() for f in ("agree.json", "agree.html")])
    assert files[0] == files[1]
    told = capsys.readouterr().out
    assert "of blind votes that took a side" in told
    assert "Krippendorff's alpha, ordinal" in told
    facts = json.loads(files[0][0])
    assert facts["counts"]["votes"] == 180
    assert facts["tallies"]["blind"]["agreement"]["n"] == facts["sides"]["blind"]["n"]
    assert facts["generators"]["parts"] == [["x", "y"]]
    with Store.open(db) as store:
        other = agree.build(store, seed=1)
        assert other.sides["blind"].value == facts["sides"]["blind"]["value"]
        assert other.sides["blind"].low != facts["sides"]["blind"]["low"]


def test_every_figure_is_made_of_the_votes_that_it_says(report):
    _, votes, _ = material()
    known = {pair.id: pair for pair in material()[0] if isinstance(pair, Pair) and pair.trains}
    blind = [vote for vote in votes if vote.exposure == "blind"]
    sided = [vote for vote in blind if vote.preferred]
    hits = sum(vote.preferred == known[vote.pair].best for vote in sided)
    assert report.sides["blind"].value == pytest.approx(hits / len(sided))
    assert (report.tallies.blind.ties, report.with_ties["blind"].share.n) == (
        len(blind) - len(sided),
        len(blind),
    )
    assert report.quoted == "blind"
    assert sum(one.share.n for one in report.margins) == len(sided)
    assert report.reveal.n == len(blind)
    assert report.gold.accuracy.overall.n == 60
    assert report.repeats.same.overall.n == 60
    assert report.left.people["left"].value > 0.85
    assert report.reliability["left"].accuracy < 0.65 < report.reliability["ada"].accuracy
    assert report.consensus.pairs == 60
    assert {one.question for one in report.dimensions} == {"overall", "motion"}
    assert report.generators.games == 180
    assert report.adapters.items == ()


def test_excluded_people_leave_every_figure(db, report, tmp_path):
    records, votes, decisions = material()
    out = Decision(id="out", topic="person", subject="left", values={"counts": False}, time_ms=2)
    path = str(tmp_path / "prefs.duckdb")
    with Store.open(path, create=True) as store:
        store.add([*records, *votes, *decisions, out])
        found = agree.build(store)
    assert found.counts.excluded == ("left",)
    assert (found.counts.people, found.counts.votes) == (2, 120)
    assert list(found.reliability) == ["ada", "ben"]
    assert "left" not in found.gold.accuracy.people
    assert found.left.overall.value < report.left.overall.value
    assert "Left out, since their votes do not count: left." in agree_text.tables(found)


def test_pairs_without_a_stored_opinion_get_the_one_their_scores_have_now(tmp_path):
    records, votes, _ = material(people=("ada",))
    bare = [
        Pair(prompt=one.prompt, a=one.a, b=one.b, campaign="pilot", strategy=one.strategy)
        if isinstance(one, Pair)
        else one
        for one in records
    ]
    path = str(tmp_path / "prefs.duckdb")
    with Store.open(path, create=True) as store:
        store.add([*bare, *votes])
        found = agree.build(store)
    assert found.profile == "lite"
    assert found.tallies.overall.unscored == 0
    assert found.sides["overall"].n > 30


def test_a_handful_of_votes_is_said_to_be_too_few(tmp_path, capsys):
    records, votes, decisions = material(prompts=2)
    path = str(tmp_path / "prefs.duckdb")
    with Store.open(path, create=True) as store:
        store.add([*records, *votes, *decisions])
    assert agree.main(["--db", path, "--html", str(tmp_path / "page.html")]) == 0
    told = capsys.readouterr().out
    assert "cannot be said yet" in told
    assert not re.search(r"\d+ % \[", told)
    page = (tmp_path / "page.html").read_text()
    assert "too few" in page
    assert "<circle" not in page


def test_no_votes_at_all(tmp_path):
    path = str(tmp_path / "prefs.duckdb")
    with Store.open(path, create=True) as store:
        store.add(material(prompts=3)[0])
        found = agree.build(store)
    assert found.counts.votes == 0
    assert "There is nothing to show yet." in agree_page.page(found)


def test_an_unknown_campaign_and_a_missing_database_say_what_to_do(db, tmp_path, capsys):
    with Store.open(db) as store, pytest.raises(UserError, match="campaigns with pairs are: pilot"):
        agree.build(store, campaign="pilto")
    assert agree.main(["--db", str(tmp_path / "none.duckdb")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert agree.main(["--db", db, "--json", str(tmp_path / "no" / "agree.json")]) == 2
    assert "cannot be written (No such file or directory)" in capsys.readouterr().err


def test_names_are_text_and_never_markup(tmp_path):
    records, votes, _ = material(prompts=12, people=("<img src=x>",), generators=("<b>", "y & z"))
    path = str(tmp_path / "prefs.duckdb")
    with Store.open(path, create=True) as store:
        store.add([*records, *votes])
        page = agree_page.page(agree.build(store))
    assert "<img" not in page
    assert "&lt;img src=x&gt;" in page
    assert "y &amp; z" in page


def test_generators_that_never_met_are_named(tmp_path):
    one, votes, _ = material(prompts=20)
    more = material(prompts=20, seed=5, generators=("u", "v"))[0]
    pairs = [pair for pair in more if isinstance(pair, Pair) and pair.trains]
    apart = []
    for index, pair in enumerate(pairs):
        prompt = Prompt(text=f"other {index}")
        a, b = (digest("far", sha) + digest("away", sha) for sha in (pair.a, pair.b))
        apart += [prompt, Pair.of(a, b, prompt=prompt.id, campaign="pilot")]
        apart += [
            Candidate(sha256=sha, prompt=prompt.id, path="", model=name, fps=0, frames=0, width=0,
                      height=0)
            for sha, name in ((a, "u"), (b, "v"))
        ]  # fmt: skip
        votes.append(
            Vote(id=f"far{index}", pair=apart[-3].id, annotator="ada", left=a, right=b,
                 outcome="tie", time_ms=5)
        )  # fmt: skip
    path = str(tmp_path / "prefs.duckdb")
    with Store.open(path, create=True) as store:
        store.add([*one, *apart, *votes])
        found = agree.build(store)
    assert found.generators.parts == (("u", "v"), ("x", "y"))
    assert "never met, so their ratings cannot be compared: u, v | x, y." in agree_text.tables(
        found
    )
    assert "Not connected: u, v | x, y." in agree_page.page(found)


def test_help_is_quick_and_no_torch_comes_in(root):
    for call in (["data.agree", "--help"], ["data.ingest", "--help"]):
        code = (
            "import runpy, sys\n"
            f"sys.argv = {call!r}\n"
            "try:\n    runpy.run_module(sys.argv[0], run_name='__main__')\n"
            "except SystemExit:\n    pass\n"
            "heavy = {'torch', 'transformers', 'statsmodels', 'pandas', 'scipy', 'evalica'}\n"
            "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_stands_alone_on_any_screen(browser, report, tmp_path, width):
    file = tmp_path / "agree.html"
    file.write_text(agree_page.page(report))
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        asked, trouble = [], []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("console", lambda said, trouble=trouble: trouble.append(said.text))
        page.goto(file.as_uri())
        assert asked == [file.as_uri()]
        assert trouble == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("svg circle.at").count() >= 12
        boxes = page.evaluate(
            "[...document.querySelectorAll('.stack tbody th')].map(e => e.clientWidth)"
        )
        assert min(boxes) >= 90
        ink, paper = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).background]"
        )
        assert ("rgb(20, 23, 27)" in paper) == (scheme == "dark")
        assert ink not in paper
        context.close()
