"""The parts of the lead's pages by themselves: escaping, shares, curves, searches, exports."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import polars as pl
import pytest
from markupsafe import Markup

from annotate.lead import export, finding, markup, plots, run
from annotate.lead.finding import Filters
from annotate.lead.markup import Column
from annotate.lead.reading import Reading
from data.agreement import wilson
from data.records import Run
from data.store import Store, add
from tests.annotate.crowd import MALICE, NASTY, pairs_of, paper_world, run_folder, votes


@pytest.fixture(scope="module")
def reading(tmp_path_factory) -> Reading:
    """Sixty pairs with 400 votes."""
    db = tmp_path_factory.mktemp("reading") / "prefs.duckdb"
    world = paper_world(60)
    add(db, world)
    add(db, votes(pairs_of(world), 400))
    with Store.own(db) as owner:
        return Reading.of(owner, lambda stored: stored)


def test_only_markup_is_html():
    made = markup.table(MALICE, [Column(NASTY), Column("n", number=True)], [(MALICE, NASTY)])
    assert "<script" not in made
    assert "<img" not in made
    assert made.count("&lt;script&gt;") == 3  # the caption, its label, and the cell
    assert "<b>kept</b>" in markup.joined([Markup("<b>kept</b>"), MALICE])
    assert 'onerror="' not in markup.link("./pair?id=1", NASTY)


def test_a_share_is_drawn_where_it_lies():
    drawn = markup.share(wilson(1, 2))
    assert "--at:50.0%" in drawn
    assert "--low:9.5%" in drawn  # Wilson, 1 of 2: (0.5 + 0.96) / 1.96 squared + 2 ... = 0.0945
    assert "50 %" in drawn
    assert markup.DASH in markup.share(wilson(0, 0))
    assert "--at" not in markup.share(wilson(0, 0))


def test_ticks_are_round_and_inside():
    assert plots.ticks(0.0, 1.0) == pytest.approx([0.0, 0.5, 1.0])
    assert plots.ticks(0.49, 0.69) == pytest.approx([0.5, 0.55, 0.6, 0.65])
    assert plots.ticks(3.0, 3.0) == [3.0]


def test_a_long_curve_is_thinned_and_keeps_its_end():
    points = [(float(at), float(at)) for at in range(10_001)]
    kept = plots.thinned(points, 100)
    assert len(kept) <= 101
    assert kept[0] == (0.0, 0.0)
    assert kept[-1] == (10_000.0, 10_000.0)


def test_a_curve_says_its_last_value_and_leaves_nan_out():
    words = {"numbers": "Numbers", "last": "last"}
    lines = {MALICE: [(0.0, 1.0), (1.0, float("nan")), (2.0, 0.25)]}
    drawn = plots.curves("loss", lines, across="step", words=words)
    assert "last 0.25" in drawn
    assert "nan" not in drawn
    assert "<script" not in drawn
    # two points in a box of 58..548 by 10..206: (0, 1) top left, (2, 0.25) bottom right
    assert 'd="M58.0 10.0L548.0 206.0"' in drawn
    assert plots.curves("loss", {"train": []}, across="step", words=words) == ""


def test_filters_find_what_a_plain_loop_finds(reading):
    rows = reading.rows
    revised = set(rows["revises"].drop_nulls())
    stand = [
        row for row in rows.iter_rows(named=True)
        if row["id"] not in revised and row["outcome"] != "undo"
    ]  # fmt: skip
    split: dict[str, set[str]] = {}
    against = set()
    for row in stand:
        if row["preferred"]:
            split.setdefault(row["pair"], set()).add(row["preferred"])
            if row["preferred"] != row["best"]:
                against.add(row["pair"])
    count = sum(len(sides) > 1 for sides in split.values())
    assert count > 5
    assert finding.pairs(reading, Filters(state="split")).total == count
    assert finding.pairs(reading, Filters(state="against")).total == len(against)
    voted = {row["pair"] for row in stand if row["outcome"] != "skip"}
    assert finding.pairs(reading, Filters(state="unanswered")).total == 60 - len(voted)
    ties = {row["pair"] for row in stand if row["annotator"] == "bo" and row["outcome"] == "tie"}
    assert finding.pairs(reading, Filters(person="bo", outcome="tie")).total == len(ties) > 0


def test_votes_are_all_listed_and_say_whether_they_stand(reading):
    everything = finding.votes(reading, Filters(view="votes"))
    assert everything.total == 400
    assert everything.rows["time_ms"].is_sorted(descending=True)
    ada = finding.votes(reading, Filters(view="votes", person="ada", exposure="blind"))
    assert set(ada.rows["annotator"]) == {"ada"}
    assert set(ada.rows["exposure"]) == {"blind"}
    revised = set(reading.votes["revises"].drop_nulls())
    assert all((row["id"] in revised) != bool(row["stands"]) for row in ada.rows.to_dicts())


def test_text_is_searched_literally_and_ids_by_their_beginning(reading):
    assert finding.pairs(reading, Filters(text="SCENE NUMBER 7 ")).total == 1
    assert finding.pairs(reading, Filters(text="<img src=x onerror=")).total == 1
    assert finding.pairs(reading, Filters(text=".*")).total == 0
    first = reading.pairs["id"][3]
    assert finding.pairs(reading, Filters(text=first[:12])).rows["pair"].to_list() == [first]
    clip = reading.clips["sha256"][5]
    assert finding.clips(reading, Filters(text=clip[:20])).total == 1


def test_pages_end_where_the_rows_do(reading):
    last = finding.pairs(reading, Filters(page=99))
    assert (last.page, last.pages, len(last.rows)) == (3, 3, 10)  # 60 = 25 + 25 + 10
    seen = [finding.pairs(reading, Filters(page=page)).rows["pair"] for page in (1, 2, 3)]
    assert pl.concat(seen).n_unique() == 60


def test_a_log_is_read_up_to_the_line_that_is_being_written(tmp_path):
    folder = Path(run_folder(tmp_path / "run").folder)
    found = run.series(run.logged(folder))
    assert found["loss"]["train"][:2] == [(0, 0.69), (1, pytest.approx(0.688))]
    assert [step for step, _ in found["loss"]["held-out"]] == [0, 25, 50, 75, 100]
    assert "split" not in found


def test_only_known_files_inside_the_folder_are_served(tmp_path):
    record = run_folder(tmp_path / "run")
    folder = Path(record.folder)
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    (folder / "samples" / "before-9.mp4").symlink_to(secret)
    (folder / "samples" / "good.mp4").write_bytes(b"clip")
    (folder / "samples" / "notes.txt").write_text("no")
    (folder / "id_rsa").write_text("no")
    assert set(run.served(record)) == {"config.json", "metrics.jsonl", "samples/good.mp4"}
    (folder / "metrics.jsonl").unlink()
    (folder / "metrics.jsonl").symlink_to(secret)
    assert run.logged(folder) == []


def test_a_folder_that_is_gone_serves_nothing():
    assert run.served(Run(id="a", kind="dpo", config={}, code="", started_ms=1)) == {}
    gone = Run(id="a", kind="dpo", config={}, code="", started_ms=1, folder="/nowhere/at/all")
    assert run.served(gone) == {}


@pytest.mark.parametrize("ending", export.FORMATS)
def test_exports_come_back_as_they_went(tmp_path, reading, ending):
    path = tmp_path / f"votes.{ending}"
    export.write(reading.votes, path)
    if ending == "parquet":
        assert pl.read_parquet(path).equals(reading.votes)
        return
    if ending == "jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert lines == reading.votes.to_dicts()
        return
    with path.open(newline="", encoding="utf-8") as file:
        again = list(csv.DictReader(file))
    assert [float(row["seconds"]) for row in again] == reading.votes["seconds"].to_list()
    assert [row["reason"] for row in again] == reading.votes["reason"].to_list()


def test_no_cell_of_a_csv_is_a_formula(tmp_path):
    texts = ["=1+1", "+1", "-1", "@x", "\tx", "plain", ""]
    export.write(pl.DataFrame({"text": texts, "n": [-1] * 7}), tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        again = list(csv.DictReader(file))
    assert [row["text"] for row in again] == ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "plain", ""]
    assert {row["n"] for row in again} == {"-1"}
