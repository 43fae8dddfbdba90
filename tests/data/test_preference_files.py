"""Labelled pairs go out in two formats and come back in as what they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data import export, ingest, preference_export, preference_files, preference_import, video
from data.errors import UserError
from data.omniscore import PROFILES
from data.preference_files import LabelledPair
from data.records import Score, Vote
from data.store import Store

PROMPTS = ("a red circle", 'a "blue" square, moving', "ein grünes Dreieck")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two clips per prompt of 1.25 s, and two of half a second."""
    folder = tmp_path_factory.mktemp("clips")
    made = []
    for number in range(8):
        frames = np.random.default_rng(number).integers(0, 255, (10, 16, 16, 3), np.uint8)
        made.append(folder / f"clip {number}.mkv")
        video.write(made[-1], frames[: 10 if number < 6 else 4], 8.0, lossless=True)
    return made


@pytest.fixture(scope="module")
def source(clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of three scored pairs, from a plain file of prompt, chosen and rejected."""
    folder = tmp_path_factory.mktemp("source")
    rows = [
        {"prompt": text, "chosen": str(clips[2 * i]), "rejected": str(clips[2 * i + 1])}
        | {"profile": "lite", "margin": 0.25}
        for i, text in enumerate(PROMPTS)
    ]
    file = folder / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    db = folder / "prefs.duckdb"
    assert ingest.main(["--pairs", str(file), "--db", str(db)]) == 0
    with Store.open(db) as store:
        pairs: list[Any] = store.all("pairs")
        store.add(
            Score(candidate=sha, scorer=row.scorer, version="1", dimension=row.key, value=value)
            for pair in pairs
            for sha, value in ((pair.best, 0.9), (pair.worst, 0.1))
            for row in PROFILES["lite"].dimensions
        )
    return db


def labels_of(db: Path) -> list[dict[str, Any]]:
    """What the pairs say, without their campaign."""
    with Store.open(db) as store:
        texts = {prompt.id: prompt.text for prompt in store.all("prompts")}
        return sorted(
            (
                {"prompt": texts[pair.prompt], "best": pair.best, "worst": pair.worst}
                for pair in store.all("pairs")
            ),
            key=lambda row: row["prompt"],
        )


def exported(db: Path, out: Path, **options: str) -> Path:
    export.run(export.Config(db=str(db), out=out, **({"labels": "auto"} | options)))
    return out


class TestRoundTrip:
    @pytest.mark.parametrize("what", ["preferences.parquet", "videodpo"])
    def test_is_the_same_pairs(self, source: Path, tmp_path: Path, what: str) -> None:
        out = exported(source, tmp_path / "out")
        other = tmp_path / "other.duckdb"
        assert ingest.main(["--pairs", str(out / what), "--db", str(other)]) == 0
        assert labels_of(other) == labels_of(source)
        with Store.open(other) as store:
            assert store.count("votes") == 0  # a scorer's opinion, and nobody's vote
            assert {pair.strategy for pair in store.all("pairs")} == {"imported"}
            assert len(store.all("candidates")) == 6

    def test_keeps_margin_profile_and_split_in_parquet(self, source: Path, tmp_path: Path) -> None:
        out = exported(source, tmp_path / "out")
        other = tmp_path / "other.duckdb"
        (report,) = preference_import.run([str(out / "preferences.parquet")], str(other))
        assert (report.rows, report.new, report.refused) == (3, 3, {})
        with Store.open(other) as store:
            assert {(p.profile, p.margin) for p in store.all("pairs")} == {("lite", 0.25)}
            assert {p.split for p in store.all("prompts")} == {"train"}

    def test_a_second_time_adds_nothing(self, source: Path, tmp_path: Path) -> None:
        out, other = exported(source, tmp_path / "out"), str(tmp_path / "other.duckdb")
        (first,) = preference_import.run([str(out / "videodpo")], other)
        (again,) = preference_import.run([str(out / "videodpo")], other)
        assert (first.new, again.new, again.there) == (3, 0, 3)

    def test_trains_like_the_pairs_that_it_was_made_from(
        self, source: Path, tmp_path: Path
    ) -> None:
        out, other = exported(source, tmp_path / "out"), tmp_path / "other.duckdb"
        preference_import.run([str(out / "videodpo")], str(other))
        with Store.open(other) as store:
            found = preference_export.labelled(store, "auto", "none")
        assert {(row.prompt, row.chosen_sha256) for row in found} == {
            (row["prompt"], row["best"]) for row in labels_of(source)
        }


class TestParquet:
    def test_has_the_columns_of_preference_data_sets(self, source: Path, tmp_path: Path) -> None:
        frame = pl.read_parquet(exported(source, tmp_path / "out") / "preferences.parquet")
        assert frame.columns[:3] == ["prompt", "chosen", "rejected"]
        assert set(frame.schema.values()) == {pl.String(), pl.Float64()}
        assert sorted(frame["prompt"]) == sorted(PROMPTS)
        assert all(Path(path).is_file() for path in (*frame["chosen"], *frame["rejected"]))
        assert frame["chosen_seconds"].to_list() == [1.25] * 3

    def test_weights_and_frequencies_are_those_of_videodpo(
        self, source: Path, tmp_path: Path
    ) -> None:
        out = exported(source, tmp_path / "out", weights="code")
        frame = pl.read_parquet(out / "preferences.parquet")
        # six totals in two bins of three: p = 1/2 for both, so sqrt(p p) = 1/2 and w = 0.72 / p
        assert frame["frequency"].to_list() == pytest.approx([0.5] * 3)
        assert frame["weight"].to_list() == pytest.approx([1.44] * 3)


class TestVideoDpo:
    def test_files_are_what_its_reader_takes(self, source: Path, tmp_path: Path) -> None:
        folder = exported(source, tmp_path / "out") / "videodpo"
        clips, pairs = (
            json.loads((folder / f"{n}.json").read_text()) for n in ("metadata", "pair")
        )
        for row in pairs:  # as video_data.py looks them up
            for key in ("video1", "video2"):
                clip = clips[row[key]]
                assert clip["misc"]["frame_caption"][0] == row["frame_caption"]
                assert Path(clip["basic"]["clip_path"]).is_absolute()
                assert clip["basic"]["clip_duration"] >= 1.0
            assert row["score"] == pytest.approx(0.5)
        assert len(clips) == 6

    def test_indices_count_after_short_clips_are_dropped(self, tmp_path: Path) -> None:
        clip = lambda name, seconds: {  # noqa: E731
            "basic": {"clip_path": name, "clip_duration": seconds},
            "misc": {"frame_caption": [f"of {name}"]},
        }
        clips = [clip("a", 2), clip("short", 0.5), clip("b", 1.0), clip("c", 3)]
        (tmp_path / "metadata.json").write_text(json.dumps(clips))
        pairs = [
            {"video1": 2, "video2": 0, "frame_caption": ["p"]},
            {"video1": 1, "video2": 0},  # no caption: the winner's own
            {"video1": 3, "video2": 0, "frame_caption": "p"},  # there are three clips
            {"video1": -1, "video2": 0, "frame_caption": "p"},
        ]
        (tmp_path / "pair.json").write_text(json.dumps(pairs))
        found: list[Any] = [row for _, row in preference_files.read(tmp_path)]
        assert (found[0].prompt, found[0].chosen, found[0].rejected) == ("p", "c", "a")
        assert (found[1].prompt, found[1].chosen) == ("of b", "b")
        assert all(isinstance(row, str) for row in found[2:])

    def test_cannot_have_short_clips(self, clips: list[Path], tmp_path: Path) -> None:
        pair = LabelledPair(
            prompt="p", chosen=str(clips[6]), rejected=str(clips[7]), chosen_seconds=0.5,
            rejected_seconds=0.5,
        )  # fmt: skip
        assert preference_files.write_videodpo([pair], tmp_path) == 0
        assert preference_files.write_parquet([pair], tmp_path) == 1


class TestRefused:
    def test_peoples_labels_are_no_scorers_opinion(self, source: Path, tmp_path: Path) -> None:
        db = tmp_path / "voted.duckdb"
        preference_import.run([str(exported(source, tmp_path / "o") / "videodpo")], str(db))
        with Store.own(db) as owner:
            for pair in owner.all("pairs"):
                owner.vote(
                    Vote(id=pair.id, pair=pair.id, annotator="x", left=pair.a, right=pair.b,
                         outcome="preference", preferred=pair.worst)
                )  # fmt: skip
        out = exported(db, tmp_path / "human", labels="human")
        frame = pl.read_parquet(out / "preferences.parquet")
        assert set(frame["source"]) == {"human"}
        assert set(frame["margin"]) == {None}  # people chose the other clip
        (report,) = preference_import.run([str(out / "preferences.parquet")], str(db))
        ((reason, places),) = report.refused.items()
        assert "--votes" in reason
        assert len(places) == 3

    def test_what_is_wrong_is_named_and_the_rest_goes_in(
        self, clips: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        good = {"prompt": "p", "chosen": str(clips[0]), "rejected": str(clips[1])}
        rows = [good, good | {"chosen": "gone.mp4"}, good | {"rejected": str(clips[0])},
                good | {"prompt": ""}, good | {"margin": "much"}]  # fmt: skip
        file = tmp_path / "mixed.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert ingest.main(["--pairs", str(file), "--db", str(tmp_path / "p.duckdb")]) == 1
        said = capsys.readouterr().out
        for reason in ("no clip gone.mp4", "are one clip", "no prompt", "could not convert"):
            assert reason in said
        assert "5 rows, 1 new pairs, 0 already there, 4 refused" in said

    @pytest.mark.parametrize("name", ["none.parquet", "some.txt"])
    def test_what_is_no_such_file(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "some.txt").write_text("x")
        with pytest.raises(UserError, match=r"no such file|neither a folder"):
            preference_import.run([str(tmp_path / name)], str(tmp_path / "p.duckdb"))

    def test_columns_that_are_missing(self, tmp_path: Path) -> None:
        file = tmp_path / "odd.jsonl"
        file.write_text('{"prompt": "p", "left": "a", "right": "b"}\n')
        with pytest.raises(UserError, match="prompt, chosen, rejected"):
            list(preference_files.read(file))

    def test_sources_and_weights_that_there_are_not(self, source: Path, tmp_path: Path) -> None:
        for options in ({"labels": "people"}, {"weights": "papper"}):
            with pytest.raises(UserError, match="must be one of"):
                exported(source, tmp_path / "out", **options)
        with pytest.raises(UserError, match="No pair has a label"):
            exported(source, tmp_path / "out", labels="human")
        assert not (tmp_path / "out").exists()


def test_columns_that_are_none_of_ours_are_named(tmp_path: Path):
    table = tmp_path / "arena.csv"
    table.write_text("prompt,a,b\na red circle,one.mp4,two.mp4\n")
    with pytest.raises(UserError, match=r"needs the columns prompt, chosen, rejected; found.*'a'"):
        list(preference_files.read(table))
