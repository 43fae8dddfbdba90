"""Prompt files as people have them."""

import pytest

from data import prompts
from data.errors import UserError


def written(tmp_path, content, name="prompts.txt"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def texts(found):
    return [prompt.text for prompt in found.prompts]


def test_one_per_line_in_order(tmp_path):
    found = prompts.read(written(tmp_path, 'a cat\na "dog", running\n熊猫\n'))
    assert texts(found) == ["a cat", 'a "dog", running', "熊猫"]
    assert (found.duplicates, found.blank) == (0, 0)
    assert {prompt.source for prompt in found.prompts} == {"prompts.txt"}
    assert {prompt.split for prompt in found.prompts} == {"train"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", ["", "end"])
def test_line_ends_mark_blank_lines_and_duplicates(tmp_path, end, mark, last):
    lines = ["a cat", "", "  a dog\t", "a cat", "   ", "a cat"]
    content = mark + end.join(lines) + (end if last else "")
    found = prompts.read(written(tmp_path, content))
    assert texts(found) == ["a cat", "a dog"]
    assert (found.duplicates, found.blank) == (2, 2)


def test_a_line_separator_inside_a_prompt_does_not_cut_it(tmp_path):
    assert texts(prompts.read(written(tmp_path, "one\u2028prompt\x0cstill\ntwo"))) == [
        "one\u2028prompt\x0cstill",
        "two",
    ]


def test_json_by_file_name_and_as_a_list(tmp_path):
    by_name = written(tmp_path, '{"a.mp4": "a cat", "b.mp4": " a dog "}', "p.json")
    assert texts(prompts.read(by_name)) == ["a cat", "a dog"]
    assert prompts.read_map(by_name) == {"a.mp4": "a cat", "b.mp4": "a dog"}
    assert texts(prompts.read(written(tmp_path, '["a", "b", "a"]', "l.json"))) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ("", "p.txt", "has no prompts"),
        ("\n \n", "p.txt", "has no prompts"),
        (b"caf\xe9\n", "p.txt", "not UTF-8 text \\(byte 3\\)"),
        ("{", "p.json", "is not JSON"),
        ('{"a": 1}', "p.json", "must hold prompts as text"),
        ('"a"', "p.json", "must hold prompts as text"),
    ],
)
def test_refused_with_the_reason(tmp_path, content, name, reason):
    with pytest.raises(UserError, match=reason):
        prompts.read(written(tmp_path, content, name))


def test_missing_file_and_wrong_share(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt cannot be read: No such file"):
        prompts.read(tmp_path / "none.txt")
    with pytest.raises(UserError, match=r"is 1\.5; it must lie in \[0, 1\]"):
        prompts.read(written(tmp_path, "a"), share_test=1.5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"a": "x", "a": "y"}', "names 'a' twice"),
        ('{"a": 3}', "the prompt of 'a' is 3"),
        ("[1]", "must be an object"),
        ("{", "is not JSON"),
    ],
)
def test_maps_that_are_none(tmp_path, content, reason):
    with pytest.raises(UserError, match=reason):
        prompts.read_map(written(tmp_path, content, "p.json"))


def test_split_by_file_and_by_hash(tmp_path):
    path = written(tmp_path, "\n".join(f"prompt {index}" for index in range(1000)))
    assert {prompt.split for prompt in prompts.read(path, split="test").prompts} == {"test"}
    split = {p.text: p.split for p in prompts.read(path, share_test=0.2).prompts}
    held_out = sum(side == "test" for side in split.values())
    # Binomial(1000, 0.2): mean 200, standard deviation 12.6; five of them are 63.
    assert abs(held_out - 200) < 63
    more = {p.text for p in prompts.read(path, share_test=0.5).prompts if p.split == "test"}
    assert {text for text, side in split.items() if side == "test"} <= more  # a larger share adds
    assert prompts.hashed_split("a cat", 1.0) == "test"
    assert prompts.hashed_split("a cat", 0.0) == "train"
    reversed_file = written(tmp_path, "\n".join(reversed(list(split))), "r.txt")
    assert {p.text: p.split for p in prompts.read(reversed_file, share_test=0.2).prompts} == split


def test_the_published_lists(root):
    folder = root.parent / "shared" / "data" / "prompts"
    if not folder.exists():
        pytest.skip(f"the published prompt lists are not on this machine ({folder})")
    counts = {path.name: prompts.read(path) for path in folder.glob("*.txt")}
    assert texts(counts["activities.txt"]) == [
        "washing the dishes", "riding a bike", "playing chess"
    ]  # fmt: skip
    for path in folder.glob("*.txt"):
        found = counts[path.name]
        lines = path.read_text(encoding="utf-8").removesuffix("\n").count("\n") + 1
        assert len(found.prompts) + found.duplicates + found.blank == lines
