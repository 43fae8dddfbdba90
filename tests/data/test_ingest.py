"""`python -m data.ingest`: what is whole goes in, what is not is named, and twice is once."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence

from data import clips, containers, ingest, video
from data.errors import UserError
from data.store import Store


def clip(path, level, *, lossless=False, count=4):
    frames = np.full((count, 32, 48, 3), 30, np.uint8)
    for index in range(count):
        frames[index, 8:24, 4 * index : 4 * index + 16] = level
    path.parent.mkdir(parents=True, exist_ok=True)
    video.write(path, frames, 8, lossless=lossless)
    return path


@pytest.fixture
def source(tmp_path):
    """Two prompts with two clips each, and a manifest for them."""
    folder = tmp_path / "mine"
    rows = ["prompt,video,model,seed,steps"]
    for index in range(4):
        clip(folder / f"{index}.mp4", 60 + 40 * index)
        rows.append(f"prompt {index // 2},{index}.mp4,M{index % 2},{index},25")
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def db(tmp_path):
    return str(tmp_path / "prefs.duckdb")


def taken(db):
    with Store.open(db) as store:
        return store.all("candidates"), store.all("prompts"), store.all("runs")


def test_a_manifest_goes_in_whole(source, db, capsys):
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    assert ingest.main([str(source / "manifest.csv"), "--db", db]) == 0
    assert capsys.readouterr().out == "4 new, 0 already there, 0 refused\n"
    candidates, prompts, (run,) = taken(db)
    assert [prompt.text for prompt in prompts] == ["prompt 0", "prompt 1"]
    assert [one.path for one in candidates] == [str(source / f"{i}.mp4") for i in range(4)]
    assert [one.prompt for one in candidates] == [prompts[i // 2].id for i in range(4)]
    assert [(one.model, one.seed, one.settings) for one in candidates] == [
        (f"M{i % 2}", i, {"steps": 25}) for i in range(4)
    ]
    assert all(clips.playable(db, one.sha256).exists() for one in candidates)
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
    assert (run.kind, run.metrics["new"], run.config["db"]) == ("ingest", 4, db)


def test_twice_is_once(source, db, capsys):
    arguments = [str(source / "manifest.csv"), "--db", db]
    ingest.main(arguments)
    first = taken(db)
    copies = {path: path.stat().st_mtime_ns for path in clips.clip_folder(db).iterdir()}
    capsys.readouterr()
    assert ingest.main(arguments) == 0
    assert capsys.readouterr().out == "0 new, 4 already there, 0 refused\n"
    assert taken(db) == first
    assert {path: path.stat().st_mtime_ns for path in clips.clip_folder(db).iterdir()} == copies


def test_an_interrupted_ingest_goes_on(source, db):
    ingest.run(ingest.Config(sources=(str(source / "0.mp4"),), db=db, prompt_from="name"))
    (first,) = taken(db)[0]
    clips.playable(db, first.sha256).unlink()
    (clips.clip_folder(db) / ".half.partial").write_bytes(b"left by a killed process")
    (source / "prompts.json").write_text(json.dumps({"0.mp4": "0", "1.mp4": "1"}))
    for name in ("2.mp4", "3.mp4"):
        (source / name).unlink()
    report = ingest.run(ingest.Config(sources=(str(source),), db=db))
    assert (report.new, report.there, report.refused) == (1, 1, [])
    assert clips.playable(db, first.sha256).exists()


def test_broken_files_are_named_and_the_rest_goes_in(source, db, capsys):
    (source / "1.mp4").write_bytes((source / "1.mp4").read_bytes()[:-300])
    (source / "2.mp4").write_bytes(b"")
    with (source / "manifest.csv").open("a") as manifest:
        manifest.write("\n,0.mp4,M,,\na dog,none.mp4,M,,\na dog,0.mp4,M,x,\na dog,text.mp4,M,,\n")
    (source / "text.mp4").write_text("no video at all")
    assert ingest.main([str(source / "manifest.csv"), "--db", db]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "2 new, 0 already there, 6 refused"
    said = [
        r"row 2: .*1\.mp4: truncated: decoded",
        r"row 3: .*2\.mp4: empty file \(0 bytes\)",
        r"row 5 \(0\.mp4\): no prompt",
        r"row 6: .*none\.mp4: no such file",
        r"row 7 \(0\.mp4\): seed 'x' is not a whole number",
        r"row 8: .*text\.mp4: a text file, not a video",
    ]
    assert len(lines) == len(said)
    for line, expected in zip(lines, said, strict=True):
        assert line.startswith("refused  manifest.csv ")
        assert re.search(expected, line), line
    candidates, prompts, _ = taken(db)
    assert [one.path for one in candidates] == [str(source / f"{i}.mp4") for i in (0, 3)]
    # Each clip has the prompt of its own row: nothing has moved up.
    assert [one.prompt for one in candidates] == [prompt.id for prompt in prompts]
    assert len(list(clips.clip_folder(db).iterdir())) == 2


def test_the_same_file_twice_is_one_candidate(source, db):
    (source / "again.mp4").write_bytes((source / "0.mp4").read_bytes())
    (source / "m.csv").write_text(
        "prompt,video,model\na cat,0.mp4,A\na cat,again.mp4,A\na cat,again.mp4,B\n"
    )
    report = ingest.run(ingest.Config(sources=(str(source / "m.csv"),), db=db))
    assert (report.new, report.there, report.refused) == (1, 2, [])
    assert report.differing == [("m.csv row 3", "model 'B', recorded as 'A'")]
    assert [one.model for one in taken(db)[0]] == ["A"]


@pytest.mark.parametrize("calls", [1, 2])
def test_one_clip_with_two_prompts_goes_in_once(source, db, calls):
    lines = ["a cat,0.mp4", "a dog,0.mp4"]
    batches = [lines] if calls == 1 else [[line] for line in lines]
    for batch in batches:
        (source / "m.csv").write_text("\n".join(["prompt,video", *batch]))
        report = ingest.run(ingest.Config(sources=(str(source / "m.csv"),), db=db))
    ((_, reason),) = report.refused
    assert "the same bytes as" in reason
    assert "another prompt ('a cat')" in reason
    (candidate,), prompts, _ = taken(db)
    assert [prompt.text for prompt in prompts] == ["a cat"]
    assert candidate.prompt == prompts[0].id


def test_a_prompt_stays_in_its_split(source, db):
    manifest = str(source / "manifest.csv")
    ingest.run(ingest.Config(sources=(manifest,), db=db, split="test"))
    assert {prompt.split for prompt in taken(db)[1]} == {"test"}
    report = ingest.run(ingest.Config(sources=(manifest,), db=db, split="train"))
    assert [where for where, _ in report.refused] == [f"manifest.csv row {i}" for i in range(1, 5)]
    assert "recorded in the split 'test', here it is 'train'" in report.refused[0][1]


def test_folders_with_generators_and_frames(tmp_path, db):
    for model, level in (("old", 90), ("new", 200)):
        clip(tmp_path / "mine" / model / "a cat-0.mkv", level, lossless=True)
    frames = tmp_path / "mine" / "new" / "a dog-1"
    frames.mkdir()
    for index in range(3):
        Image.fromarray(np.full((16, 16, 3), 50 * index, np.uint8)).save(frames / f"{index}.png")
    report = ingest.run(
        ingest.Config(
            sources=(str(tmp_path / "mine"),), db=db, prompt_from="name", model_from="folder"
        )
    )
    assert (report.new, report.refused) == (3, [])
    candidates, prompts, _ = taken(db)
    text = {prompt.id: prompt.text for prompt in prompts}
    assert [(one.model, text[one.prompt], one.frames) for one in candidates] == [
        ("new", "a cat", 4), ("new", "a dog", 3), ("old", "a cat", 4)
    ]  # fmt: skip


def test_the_databases_own_copies_are_not_taken_in(source, tmp_path):
    inside = str(source / "prefs.duckdb")
    (source / "manifest.csv").unlink()
    config = ingest.Config(sources=(str(source),), db=inside, prompt_from="name")
    assert ingest.run(config).new == 4
    report = ingest.run(config)
    assert (report.new, report.there, report.refused) == (0, 4, [])


def test_usage_errors_are_one_line_and_exit_code_2(tmp_path, db, capsys):
    assert ingest.main([str(tmp_path / "none"), "--db", db]) == 2
    assert "no such file or folder" in capsys.readouterr().err
    (tmp_path / "m.csv").write_text("a,b\n1,2\n")
    assert ingest.main([str(tmp_path / "m.csv"), "--db", db]) == 2
    assert "has no column for the prompt" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        ingest.main([str(tmp_path), "--split", "validation"])
    assert left.value.code == 2


def test_an_unwritable_clip_folder_stops_with_one_line(source, db, capsys):
    clips.clip_folder(db).write_text("in the way")
    assert ingest.main([str(source / "manifest.csv"), "--db", db]) == 2
    assert "cannot make the clip folder" in capsys.readouterr().err.splitlines()[-1]


def test_what_went_in_before_a_full_disk_stays_in(source, db, monkeypatch):
    write, calls = video.write, []

    def full_at_the_third(path, *rest, **named):
        calls.append(path)
        if len(calls) == 3:
            raise UserError(f"cannot write {path}: No space left on device")
        write(path, *rest, **named)

    monkeypatch.setattr(video, "write", full_at_the_third)
    config = ingest.Config(sources=(str(source / "manifest.csv"),), db=db, workers=1)
    with pytest.raises(UserError, match="No space left"):
        ingest.run(config)
    assert len(taken(db)[0]) == 2
    report = ingest.run(config)
    assert (report.new, report.there) == (2, 2)


def test_as_a_command_with_a_progress_bar(source, db, root):
    done = subprocess.run(
        [sys.executable, "-m", "data.ingest", str(source / "manifest.csv"), "--db", db],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4 new, 0 already there, 0 refused\n"
    assert "4/4" in done.stderr
    assert "clip/s" in done.stderr


def test_the_real_clips(real_clips, db):
    config = ingest.Config(sources=(str(real_clips),), db=db)
    report = ingest.run(config)
    assert (report.new, report.there, report.refused) == (12, 0, [])
    candidates, prompts, _ = taken(db)
    assert len(candidates) == 12
    assert len(prompts) == 6
    assert {(one.frames, one.width, one.height, one.fps) for one in candidates} == {
        (16, 512, 320, 10.0)
    }
    for prompt in prompts:
        models = [one.model for one in candidates if one.prompt == prompt.id]
        assert models == ["VideoCrafter2", "VideoCrafter2+VideoDPO"]
    for one in candidates:
        copy = clips.playable(db, one.sha256)
        assert video.probe(copy) == video.Clip(frames=16, width=512, height=320, fps=10.0)
        names = [name for name, _, _ in containers.boxes(copy)]
        assert names.index("moov") < names.index("mdat")
    again = ingest.run(config)
    assert (again.new, again.there) == (0, 12)
    assert taken(db)[0] == candidates


def test_real_gifs_are_read_as_pillow_reads_them(real_clips):
    for path in sorted(real_clips.parent.glob("*.gif"))[:3]:
        frames, _ = video.read(path)
        with Image.open(path) as file:
            theirs = np.stack([np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(file)])
        assert np.array_equal(frames, theirs)
        assert np.abs(np.diff(frames.astype(int), axis=0)).mean() > 0.1  # it moves
