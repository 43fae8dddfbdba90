"""Votes of other tools: three real shapes, and every row that is not taken at its word is named."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from data import clips, export, ingest, video
from data.agree import build
from data.ballots import read, time_ms
from data.errors import UserError
from data.records import Candidate, Prompt
from data.store import Store
from data.votes import live_votes

ARENA = """question_id,model_a,model_b,winner,judge,tstamp,language
q1,alpha,beta,model_a,u1,1700000000.5,en
q2,beta,gamma,tie,u2,1700000100,en
q2,beta,gamma,tie (bothbad),u3,1700000200,en
q3,gamma,alpha,model_b,u3,1700000300,en
q3,gamma,beta,leftvote,u3,1700000400,en
"""
ALIGN = """path_A,path_B,prompt,VQ,MQ,TA,Overall,A_model,B_model,fps_A
./videos/1_A.mp4,./videos/1_B.mp4,a cat,A,B,same,A,m1,m2,8
./videos/2_A.mp4,./videos/2_B.mp4,a dog,same,B,A,same,m1,m3,8
./videos/2_A.mp4,./videos/2_B.mp4,a dog,same,B,A,same,m1,m3,8
"""


@pytest.fixture
def db(tmp_path):
    return str(tmp_path / "prefs.duckdb")


@pytest.fixture
def file(tmp_path):
    def written(name, text):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return written


def taken(db):
    with Store.open(db) as store:
        return store.all("votes"), store.all("pairs"), store.all("candidates"), store.all("prompts")


def test_an_arena_log_becomes_votes_without_clips(db, file, capsys):
    path = file("arena.csv", ARENA)
    assert ingest.main(["--votes", path, "--db", db]) == 0
    told = capsys.readouterr().out
    assert "5 rows, 5 new votes, 0 already there, 0 duplicates, 0 refused" in told
    assert "columns language" in told
    assert "only votes are known of 7 of 7 clips" in told
    votes, pairs, candidates, prompts = taken(db)
    assert [one.annotator for one in votes] == ["u1", "u2", "u3", "u3", "u3"]
    assert [one.outcome for one in votes] == ["preference", "tie", "tie", *["preference"] * 2]
    assert [one.unusable for one in votes] == [False, False, True, False, False]
    assert votes[0].time_ms == 1_700_000_000_500
    assert {one.exposure for one in votes} == {"blind"}
    assert {one.campaign for one in pairs} == {"votes-arena"}
    model = {one.sha256: one.model for one in candidates}
    assert [model[one.preferred] for one in votes if one.preferred] == ["alpha", "alpha", "gamma"]
    assert model[votes[0].left] == "alpha"
    # q1 2 clips, q2 2, q3 gamma, alpha and beta: the clip of gamma in q3 is one clip.
    assert len(candidates) == 7
    assert {one.text for one in prompts} == {
        f"(item q{i}; its prompt is not known)" for i in (1, 2, 3)
    }


def test_a_word_too_long_for_a_file_name_is_a_clip_that_is_not_here(db, file, capsys):
    words = [f"{letter * 300}.mp4" for letter in "xy"]
    path = file("long.csv", f"prompt,left,right,preferred\na cat,{words[0]},{words[1]},left\n")
    assert ingest.main(["--votes", path, "--db", db]) == 0
    assert "1 new votes" in capsys.readouterr().out
    assert {one.settings["named"] for one in taken(db)[2]} == set(words)


def test_the_same_file_twice_counts_once(db, file, capsys):
    path = file("arena.csv", ARENA)
    ingest.main(["--votes", path, "--db", db])
    before = taken(db)
    capsys.readouterr()
    assert ingest.main(["--votes", path, "--db", db]) == 0
    assert "0 new votes, 5 already there" in capsys.readouterr().out
    assert taken(db) == before
    ingest.main(["--votes", path, "--db", db, "--campaign", "other"])
    assert len(taken(db)[0]) == 10  # another campaign asks anew


def test_a_videoalign_table_has_answers_per_question(db, file):
    ingest.main(["--votes", file("align.csv", ALIGN), "--db", db])
    votes, _, candidates, prompts = taken(db)
    assert [one.answers for one in votes[:2]] == [
        {"visual": "left", "motion": "right", "alignment": "tie"},
        {"visual": "tie", "motion": "right", "alignment": "left"},
    ]
    assert [one.outcome for one in votes] == ["preference", "tie", "tie"]
    assert votes[0].preferred == votes[0].left
    # Nobody is named, so two equal rows may be two people: both count, by somebody each.
    assert len({one.annotator for one in votes}) == 3
    assert all(one.annotator.startswith("anonymous-") for one in votes)
    assert {one.text for one in prompts} == {"a cat", "a dog"}
    assert {one.model for one in candidates} == {"m1", "m2", "m3"}
    assert candidates[0].settings == {"named": "./videos/1_A.mp4"}


def test_our_own_export_comes_back_vote_by_vote(db, file, tmp_path, capsys):
    ingest.main(["--votes", file("arena.csv", ARENA), "--db", db])
    out, other = tmp_path / "export", str(tmp_path / "other.duckdb")
    export.run(export.Config(db=db, out=out))
    capsys.readouterr()
    assert ingest.main(["--votes", str(out / "votes.parquet"), "--db", other]) == 0
    assert "5 new votes" in capsys.readouterr().out
    assert taken(other) == taken(db)
    ingest.main(["--votes", str(out / "votes.parquet"), "--db", db])
    assert "0 new votes, 5 already there" in capsys.readouterr().out
    lines = [json.dumps(row) for row in pl.read_parquet(out / "votes.parquet").to_dicts()]
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "votes.jsonl").write_text("\n".join(lines))
    third = str(tmp_path / "third.duckdb")
    assert ingest.main(["--votes", str(alone / "votes.jsonl"), "--db", third]) == 1
    told = capsys.readouterr().out
    assert "neither in the database nor in pairs.parquet" in told
    assert "5 rows (lines 1, 2, 3, 4, 5)" in told
    assert ingest.main(["--votes", str(alone / "votes.jsonl"), "--db", db]) == 0


def test_a_csv_of_our_votes_keeps_every_field(db, file, tmp_path):
    ingest.main(["--votes", file("align.csv", ALIGN), "--db", db])
    out = tmp_path / "export"
    export.run(export.Config(db=db, out=out))
    pl.read_parquet(out / "votes.parquet").write_csv(out / "votes.csv")
    other = str(tmp_path / "other.duckdb")
    ingest.main(["--votes", str(out / "votes.csv"), "--db", other])
    assert taken(other)[0] == taken(db)[0]


def test_what_cannot_be_taken_at_its_word_is_counted_and_named(db, file, capsys):
    rows = [
        "q1,alpha,beta,model_a,u1,1700000000",
        "q1,alpha,beta,model_b,u1,1700000003",  # 3 another answer within seconds
        "q1,alpha,beta,model_a,u1,1700009000",  # 4 thought again, much later
        "q3,gamma,alpha,maybe,u3,1700000300",  # 5 unknown word
        "q3,gamma,alpha,model_a,u3,1700000300",
        "q3,gamma,alpha,model_a,u3,1700000300",  # 7 the same to the last cell
        "q4,alpha,alpha,model_a,u4,1700000300",  # 8 one clip
        "q5,alpha,beta,model_a,u4,yesterday",  # 9 unknown time
        "q6,alpha,beta,maybe,u4,1700000300",  # 10 unknown word
    ]
    path = file("log.csv", "question_id,model_a,model_b,winner,judge,tstamp\n" + "\n".join(rows))
    assert ingest.main(["--votes", path, "--db", db]) == 1
    told = capsys.readouterr().out
    assert "unknown answer 'maybe' for preferred: 2 rows (lines 5, 10)" in told
    assert "unknown time 'yesterday'; epoch seconds or ISO 8601: 1 row (line 9)" in told
    assert "left and right are one clip, as far as the file says: 1 row (line 8)" in told
    assert "word for word; counted once: 1 row (line 7)" in told
    assert "same person within seconds: 1 row (line 3)" in told
    assert "the later answer stands: 1 row (line 4)" in told
    assert "9 rows, 4 new votes, 0 already there, 1 duplicates, 4 refused" in told
    votes = taken(db)[0]
    assert [one.time_ms for one in live_votes(votes)] == [1_700_000_300_000, 1_700_009_000_000]
    assert [one.revises for one in votes].count(None) == 2


def test_clips_that_are_here_go_in_like_any_other(db, tmp_path, capsys):
    folder = tmp_path / "mine"
    folder.mkdir()
    for index in range(2):
        frames = np.full((4, 32, 48, 3), 60 + 60 * index, np.uint8)
        frames[:, 8:24, 4 + index : 20] = 200
        video.write(folder / f"{index}.mp4", frames, 8, lossless=False)
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "votes.jsonl").write_text(
        '{"prompt": "p", "left": "0.mp4", "right": "1.mp4", "preferred": "1.mp4", "rater": "x"}\n'
        "\n"
        '{"prompt": "p", "left": "0.mp4", "right": "broken.mp4", "preferred": "left"}\n'
        '{"prompt": "p", "left": "0.mp4", "right": "gone.mp4", "preferred": "left"}\n'
    )
    assert ingest.main(["--votes", str(folder / "votes.jsonl"), "--db", db]) == 1
    told = capsys.readouterr().out
    assert "the clip 'broken.mp4' cannot be read" in told
    assert "1 row (line 3)" in told
    assert "only votes are known of 1 of 3 clips" in told
    votes, _, candidates, _ = taken(db)
    here = [one for one in candidates if one.path]
    assert [(one.frames, one.path) for one in here] == [
        (4, str(folder / "0.mp4")),
        (4, str(folder / "1.mp4")),
    ]
    assert all(clips.playable(db, one.sha256).exists() for one in here)
    assert votes[0].preferred == votes[0].right == here[1].sha256


def test_a_candidate_without_a_clip_says_so_wherever_one_is_needed():
    bare = Candidate(
        sha256="a" * 64, prompt="p", path="", model="m", fps=0, frames=0, width=0, height=0
    )
    assert not clips.present(bare)
    with pytest.raises(video.ClipError, match="only votes on it are known, no clip"):
        clips.read(bare)
    with pytest.raises(ValueError, match="above 0"):
        Candidate(sha256="a" * 64, prompt="p", path="x", model="m", fps=8, frames=0,
                  width=1, height=1)  # fmt: skip


def test_columns_and_words_of_ones_own(db, file, capsys):
    path = file("own.tsv", "was\tclip1\tclip2\tbest\tsmooth\nx\tl\tr\t2\t1\nx\tl\tr\t0\t2\n")
    named = "prompt=was,left=clip1,right=clip2,preferred=best,answers.smooth=smooth"
    arguments = [
        "--votes",
        path,
        "--db",
        db,
        "--columns",
        named,
        "--values",
        "1=left,2=right,0=tie",
    ]
    assert ingest.main(arguments) == 0
    votes, _, _, prompts = taken(db)
    assert [one.outcome for one in votes] == ["preference", "tie"]
    assert [one.answers for one in votes] == [{"smooth": "left"}, {"smooth": "right"}]
    assert prompts == [Prompt(text="x", source="votes")]


def test_a_list_of_objects_and_parquet_say_the_same(tmp_path, file):
    lines = [{"item": "7", "model_a": "x", "model_b": "y", "winner": "x", "time": "2026-01-02"}]
    listed = read(file("one.json", json.dumps(lines)))
    pl.DataFrame(lines).write_parquet(tmp_path / "one.parquet")
    assert listed.ballots == read(tmp_path / "one.parquet").ballots
    (one,) = listed.ballots
    assert (one.answer, one.time_ms, one.line) == ("left", 1_767_312_000_000, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("1700000000", 1_700_000_000_000),
        ("1700000000000", 1_700_000_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14 23:13:20+01:00", 1_700_000_000_000),
    ],
)
def test_times_are_epoch_milliseconds(text, expected):
    assert time_ms(text) == expected


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        ("a_model,b_model\nx,y\n", [], "no column for preferred"),
        ("winner,left\nA,x\n", [], "no column for right or right_model"),
        ("left,right,winner\nx,y,A\n", ["--columns", "preferd=winner"], "the fields are prompt"),
        ("left,right,winner\nx,y,A\n", ["--columns", "prompt=what"], "has no column 'what'"),
        ("left,right,winner\nx,y,A\n", ["--columns", "prompt"], "give NAME=VALUE"),
        ("left,right,winner\nx,y,A\n", ["--values", "1=first"], "must be one of left, right"),
        ("left,right,winner\nx,y\n", [], "line 2 does not have as many cells"),
    ],
)
def test_a_file_that_cannot_be_understood_says_what_to_do(db, file, capsys, content, more, message):
    assert ingest.main(["--votes", file("v.csv", content), "--db", db, *more]) == 2
    assert message in capsys.readouterr().err


def test_a_call_without_anything_and_a_file_that_is_none(db, tmp_path, capsys):
    assert ingest.main(["--db", db]) == 2
    assert "--votes FILE" in capsys.readouterr().err
    assert ingest.main(["--votes", str(tmp_path / "none.csv"), "--db", db]) == 2
    assert "is no file" in capsys.readouterr().err
    with pytest.raises(UserError, match="ends in"):
        read(tmp_path / "votes.xlsx")


def test_imported_votes_fill_the_report(db, tmp_path):
    rng = np.random.default_rng(0)
    strength = {"strong": 1.0, "middle": 0.0, "weak": -1.0}
    rows = []
    for index in range(150):
        one, other = rng.choice(list(strength), 2, replace=False)
        right = 1 / (1 + np.exp(strength[other] - strength[one]))
        said = "tie" if rng.random() < 0.2 else "model_a" if rng.random() < right else "model_b"
        rows.append({"item": str(index), "model_a": str(one), "model_b": str(other),
                     "winner": said, "judge": f"u{index % 3}"})  # fmt: skip
    pl.DataFrame(rows).write_parquet(tmp_path / "votes.parquet")
    ingest.main(["--votes", str(tmp_path / "votes.parquet"), "--db", db])
    with Store.open(db) as store:
        report = build(store)
    assert [one.item for one in report.generators.items] == ["strong", "middle", "weak"]
    assert report.generators.games == 150
    assert report.tallies.overall.unscored == sum(row["winner"] != "tie" for row in rows)
    assert report.sides["blind"].told() == "n=0: too few"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no rows"),
        ("prompt,left,right,winner\n", "has no rows"),
        ("prompt,left,right,winner,winner\na,x,y,left,right\n", "the column 'winner' twice"),
        ("prompt,left,right,winner\n" + "a" * 200_000 + ",x,y,left\n", "line 2 cannot be parsed"),
        ("foo\n1\n", "no column for preferred"),
    ],
)
def test_a_file_that_is_no_vote_file_is_refused_before_there_is_a_database(
    tmp_path, db, file, capsys, text, says
):
    path = file("votes.csv", text)
    assert ingest.main(["--votes", file("good.csv", ARENA), "--votes", path, "--db", db]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert sorted(one.name for one in tmp_path.iterdir()) == ["good.csv", "votes.csv"]
