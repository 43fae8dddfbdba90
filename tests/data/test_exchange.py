"""Manifests and folders: forgiving about names, strict about what belongs together."""

import json

import polars as pl
import pytest

from data import exchange
from data.errors import UserError
from data.folders import prompt_of_name, read_folder

ROWS = [
    {"Caption": "a cat", "file": "one.mp4", "Generator": "A", "seed": 7, "steps": 25},
    {"Caption": "007", "file": "sub/two.webm", "Generator": "B", "seed": None, "steps": None},
]


def manifest(folder, kind, rows=ROWS):
    path = folder / f"m.{kind}"
    if kind == "csv":
        pl.DataFrame(rows).write_csv(path)
    elif kind == "tsv":
        pl.DataFrame(rows).write_csv(path, separator="\t")
    elif kind == "parquet":
        pl.DataFrame(rows).write_parquet(path)
    else:
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "ndjson", "parquet"])
def test_one_manifest_in_every_format(tmp_path, kind):
    one, two = exchange.read_manifest(manifest(tmp_path, kind))
    assert (one.prompt, one.path, one.model, one.seed) == ("a cat", tmp_path / "one.mp4", "A", 7)
    assert one.settings == {"steps": 25}
    assert (two.prompt, two.path, two.model) == ("007", tmp_path / "sub" / "two.webm", "B")
    assert (two.seed, two.fps, two.split, two.settings, two.problem) == (None, None, None, {}, "")
    assert [one.where, two.where] == [
        f"m.{kind} {'line' if 'json' in kind else 'row'} {index}" for index in (1, 2)
    ]


@pytest.mark.parametrize("prompt", ["prompt", "Caption", " TEXT "])
@pytest.mark.parametrize("path", ["video", "path", "file", "clip", "File Name", "filename"])
def test_column_names(tmp_path, prompt, path):
    (tmp_path / "m.csv").write_text(f"{prompt},{path}\na cat,x.mp4\n")
    (entry,) = exchange.read_manifest(tmp_path / "m.csv")
    assert (entry.prompt, entry.path) == ("a cat", tmp_path / "x.mp4")


def test_of_two_names_the_first_counts_and_the_other_is_kept(tmp_path):
    (tmp_path / "m.csv").write_text("text,prompt,video\nshort,a long prompt,x.mp4\n")
    (entry,) = exchange.read_manifest(tmp_path / "m.csv")
    assert entry.prompt == "a long prompt"
    assert entry.settings == {"text": "short"}


def test_excel_writes_a_mark_quotes_commas_and_line_ends(tmp_path):
    (tmp_path / "m.csv").write_bytes(
        '\ufeffprompt,video\r\n"a ""cat"", red\r\nand big",x.mp4\r\n'.encode()
    )
    (entry,) = exchange.read_manifest(tmp_path / "m.csv")
    assert entry.prompt == 'a "cat", red\nand big'  # the same prompt as from a file with LF


def test_absolute_and_home_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    (tmp_path / "m.csv").write_text("prompt,video\na,/clips/x.mp4\nb,~/y.mp4\n")
    assert [str(entry.path) for entry in exchange.read_manifest(tmp_path / "m.csv")] == [
        "/clips/x.mp4", "/home/someone/y.mp4"
    ]  # fmt: skip


def test_all_fields(tmp_path):
    row = {
        "prompt": "a", "video": "x", "model": "M", "adapter": "lora", "seed": "12.0", "fps": "24",
        "split": "test", "guidance": 7.5, "tags": ["a", "b"], "empty": None,
    }  # fmt: skip
    (tmp_path / "m.jsonl").write_text(json.dumps(row))
    (entry,) = exchange.read_manifest(tmp_path / "m.jsonl")
    assert (entry.adapter, entry.seed, entry.fps, entry.split) == ("lora", 12, 24.0, "test")
    assert entry.settings == {"guidance": 7.5, "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"prompt": ""}, "no prompt"),
        ({"prompt": None}, "no prompt"),
        ({"prompt": ["a"]}, "stands where text belongs"),
        ({"video": ""}, "no path"),
        ({"video": "https://host/x.mp4"}, "is an address"),
        ({"video": {"bytes": "00"}}, "stands where text belongs"),
        ({"video": "a\0b.mp4"}, "zero byte"),
        ({"seed": "seven"}, "seed 'seven' is not a whole number"),
        ({"seed": 1.5}, "seed 1.5 is not a whole number"),
        ({"fps": "fast"}, "fps 'fast' is not a number above 0"),
        ({"fps": 0}, "fps 0 is not a number above 0"),
        ({"fps": "nan"}, "fps 'nan' is not a number above 0"),
        ({"split": "validation"}, "split 'validation' is neither"),
    ],
)
def test_a_bad_row_is_a_problem_of_that_row(tmp_path, row, problem):
    good = {"prompt": "a cat", "video": "x.mp4"}
    rows = [good, good | row, good]
    (tmp_path / "m.jsonl").write_text("\n".join(json.dumps(one) for one in rows))
    first, second, third = exchange.read_manifest(tmp_path / "m.jsonl")
    assert problem in second.problem
    assert second.where.startswith("m.jsonl line 2")
    assert not first.problem
    assert not third.problem


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("m.csv", b"", "cannot be parsed: empty CSV"),
        ("m.csv", b"prompt,video\na,b,c\n", "cannot be parsed: found more fields"),
        ("m.csv", b"prompt,video\n", "no column for the prompt.*found no rows"),
        ("m.csv", b"prompt;video\na;b\n", "no column for the prompt.*found prompt;video"),
        ("m.csv", b"prompt,link\na,b\n", "no column for the path"),
        ("m.csv", b"prompt,video\ncaf\xe9,b\n", "not UTF-8"),
        ("m.jsonl", b'{"prompt": "a", "video": "b"}\n{"pro', "line 2 is not JSON"),
        ("m.jsonl", b"[1]\n", "line 1 must be an object"),
        ("m.parquet", b"prompt", "cannot be read"),
        ("m.xlsx", b"", "a manifest ends in .csv, .tsv, .jsonl, .ndjson, .parquet"),
    ],
)
def test_a_manifest_that_cannot_be_read(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=reason):
        exchange.read_manifest(tmp_path / name)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_clips_of_a_folder_in_natural_order(tmp_path):
    touch(tmp_path, "clip10.mp4", "clip9.webm", "b/x.mov", ".hidden.mp4", "notes.md", "db.duckdb")
    touch(tmp_path, "frames/1.png", "frames/2.png", "prefs.clips/copy.mp4", "report.pdf")
    found = read_folder(tmp_path, skip=frozenset({tmp_path / "prefs.clips"}))
    # The PDF is no companion of clips: it goes on, to be refused by name.
    assert [entry.where for entry in found] == [
        "b/x.mov", "clip9.webm", "clip10.mp4", "frames", "report.pdf"
    ]  # fmt: skip


def test_a_link_back_to_a_folder_above_is_not_followed_for_ever(tmp_path):
    touch(tmp_path, "a/x.mp4")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert [entry.where for entry in read_folder(tmp_path)] == ["a/x.mp4"]


def test_a_folder_of_frames_and_a_single_clip(tmp_path):
    touch(tmp_path, "cat/1.png", "cat/2.png", "dog.mp4")
    (tmp_path / "cat.txt").write_text("a cat\n")
    (tmp_path / "dog.txt").write_text("a dog")
    for name, prompt in (("cat", "a cat"), ("dog.mp4", "a dog")):
        (entry,) = read_folder(tmp_path / name)
        assert (entry.path, entry.prompt) == (tmp_path / name, prompt)


def test_prompts_from_side_cars_maps_and_names(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4", "deep/e.mp4", "deep/f.mp4", "no.mp4")
    (tmp_path / "a.txt").write_text("\ufeffprompt a\r\n", encoding="utf-8")
    (tmp_path / "prompts.json").write_text('{"b.mp4": "prompt b", "deep/e.mp4": "prompt e"}')
    (tmp_path / "prompts.txt").write_text("c\tprompt c\nd.mp4: prompt d: red\n\n")
    (tmp_path / "deep" / "prompts.json").write_text('{"f": "prompt f"}')
    found = {entry.path.stem: entry for entry in read_folder(tmp_path)}
    assert {name: entry.prompt for name, entry in found.items()} == {
        "a": "prompt a", "b": "prompt b", "c": "prompt c", "d": "prompt d: red",
        "e": "prompt e", "f": "prompt f", "no": "",
    }  # fmt: skip
    assert "no prompt: write it to no.txt" in found["no"].problem
    assert not any(entry.problem for name, entry in found.items() if name != "no")


def test_a_plain_list_of_prompts_is_never_dealt_out_by_position(tmp_path):
    touch(tmp_path, "0001.mp4", "0002.mp4")
    (tmp_path / "prompts.txt").write_text("a cat\na dog\n")
    assert [entry.prompt for entry in read_folder(tmp_path)] == ["", ""]


def test_two_prompts_for_one_clip_are_a_problem(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("a cat")
    (tmp_path / "prompts.json").write_text('{"a": "a dog", "b": "a cat"}')
    a, b = read_folder(tmp_path)
    assert (a.prompt, a.problem) == ("", "two prompts: 'a cat' and 'a dog'")
    assert (b.prompt, b.problem) == ("a cat", "")
    (tmp_path / "prompts.txt").write_text("b\tone\nb\tother\n")
    with pytest.raises(UserError, match="gives 'b' two prompts"):
        read_folder(tmp_path)


def test_models_from_folders_share_prompts_by_file_name(tmp_path):
    touch(tmp_path, "old/0001.mp4", "new/0001.mp4", "new/run2/0001.mp4", "0001.mp4")
    (tmp_path / "prompts.json").write_text('{"0001.mp4": "a cat"}')
    found = read_folder(tmp_path, model_from="folder")
    assert {entry.where: entry.model for entry in found} == {
        "0001.mp4": "", "new/0001.mp4": "new", "new/run2/0001.mp4": "new", "old/0001.mp4": "old"
    }  # fmt: skip
    assert {entry.prompt for entry in found} == {"a cat"}


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("a cat-0", "a cat"),  # VBench
        ("a cat, still-12", "a cat, still"),
        ("a_cat_3", "a cat"),
        ("a_cat", "a cat"),
        ("snake_case and spaces-1", "snake_case and spaces"),
    ],
)
def test_prompt_of_name(tmp_path, name, prompt):
    assert prompt_of_name(name) == prompt
    touch(tmp_path, f"{name}.mp4")
    (entry,) = read_folder(tmp_path, prompt_from="name")
    assert entry.prompt == prompt


def test_nothing_there(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        read_folder(tmp_path / "none")
    with pytest.raises(UserError, match="has no clips"):
        read_folder(tmp_path)


def test_a_manifest_in_the_folder_is_pointed_at(tmp_path):
    touch(tmp_path, "a.mp4", "metadata.csv")
    (entry,) = read_folder(tmp_path)
    assert "give metadata.csv" in entry.problem
