"""Clips in a folder that has no manifest: which files are clips, and what each was made from.

Everything below the folder counts, in natural order; a folder that holds images and no videos is
one clip, whose frames they are. Hidden files, and the text and table files that lie beside clips,
are no clips; any other file is taken for one, so that a broken or foreign file is named and not
passed over.

A clip's prompt is found by its name, never by its place in a list:

- `cat.txt` beside `cat.mp4` (for a folder of frames `cat`, beside the folder), or
- `prompts.json` ({"cat.mp4": "a cat"}) or `prompts.txt` (`cat.mp4<TAB>a cat`, one per line), in the
  clip's folder or one above it, up to the folder that was given; the key is the path from there,
  the file name, or the name without its suffix;
- or, when asked for, the file name itself, as VBench names its samples: `a cat-0.mp4`.

Two places that say different things about one clip are a problem of that clip.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from data import prompts
from data.containers import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from data.decoding import natural
from data.errors import UserError
from data.exchange import MANIFESTS, Entry

PromptFrom = Literal["files", "name"]
ModelFrom = Literal["option", "folder"]

_COMPANIONS = {".txt", ".json", ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".md"}
_COMPANIONS |= {".yaml", ".yml", ".log", ".duckdb", ".lock", ".journal", ".sock"}
_MAPS = ("prompts.json", "prompts.txt")
_MAP_LINE = re.compile(
    rf"(?P<name>[^\t]+)\t(?P<prompt>.+)"
    rf"|(?P<file>.+?(?:{'|'.join(map(re.escape, VIDEO_SUFFIXES))}))[ |:,]+(?P<rest>.+)",
    re.IGNORECASE,
)


def read_folder(
    path: str | Path,
    *,
    prompt_from: PromptFrom = "files",
    model_from: ModelFrom = "option",
    skip: frozenset[Path] = frozenset(),
) -> list[Entry]:
    """The clips below a folder as entries, in natural order; or the one clip that `path` is.

    Args:
        path: A folder of clips, a folder of frames, or a video file.
        prompt_from: `files` (side-car, prompts.json, prompts.txt), or `name` (the file name).
        model_from: `folder`: the first folder below `path` names the generator.
        skip: Folders that are left aside (a database's own clips).

    Raises:
        UserError: nothing there, or a prompt map that cannot be parsed.
    """
    root = Path(path).absolute()
    if not root.exists():
        raise UserError(f"{path}: no such file or folder")
    found = list(_clips(root, {folder.resolve() for folder in skip}))
    if not found:
        raise UserError(f"{path} has no clips; allowed are {', '.join(VIDEO_SUFFIXES)}, or frames")
    base = root if root.is_dir() and found != [root] else root.parent
    known = cache(_prompt_map)  # each map is read once, for this call only
    return [_entry(clip, base, prompt_from, model_from, known) for clip in found]


def prompt_of_name(name: str) -> str:
    """The prompt that a file name spells: without a sample number, with spaces for underscores.

    `a cat-0` and `a_cat_12` are both "a cat" (VBench: `<prompt>-<index>.mp4`).
    """
    text = re.sub(r"[-_]\d+$", "", name)
    return text.strip() if " " in text else text.replace("_", " ").strip()


def _clips(path: Path, seen: set[Path]) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    if path.resolve() in seen:  # the database's own clips, or a link back to a folder above
        return
    seen.add(path.resolve())
    inside = sorted(
        (one for one in _listed(path) if not one.name.startswith(".")),
        key=lambda one: natural(one.name),
    )
    suffixes = {one.suffix.lower() for one in inside if one.is_file()}
    if suffixes.intersection(IMAGE_SUFFIXES) and not suffixes.intersection(VIDEO_SUFFIXES):
        yield path
        inside = [one for one in inside if one.is_dir()]
    for one in inside:
        if one.is_dir() or one.suffix.lower() not in _COMPANIONS:
            yield from _clips(one, seen)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder} cannot be listed: {error.strerror}") from error


def _entry(
    clip: Path,
    base: Path,
    prompt_from: PromptFrom,
    model_from: ModelFrom,
    known: Callable[[Path], Mapping[str, str]],
) -> Entry:
    where = clip.relative_to(base)
    model = where.parts[0] if model_from == "folder" and len(where.parts) > 1 else ""
    stem = clip.name if clip.is_dir() else clip.stem
    texts = [prompt_of_name(stem)] if prompt_from == "name" else _told(clip, base, stem, known)
    problem = ""
    if not any(texts):
        problem = f"no prompt: {_advice(base, stem)}"
    elif len(set(texts)) > 1:
        problem = "two prompts: " + " and ".join(repr(text) for text in dict.fromkeys(texts))
    prompt = "" if problem else texts[0]
    return Entry(where=where.as_posix(), path=clip, prompt=prompt, model=model, problem=problem)


def _advice(base: Path, stem: str) -> str:
    for manifest in sorted(_listed(base)):
        if manifest.suffix.lower() in MANIFESTS:
            return f"give {manifest.name}, which lies there, instead of the folder"
    return f"write it to {stem}.txt beside the clip, or to {' or '.join(_MAPS)}"


def _told(
    clip: Path, base: Path, stem: str, known: Callable[[Path], Mapping[str, str]]
) -> list[str]:
    """Every prompt that a file gives this clip, the nearest first."""
    beside = clip.parent / f"{stem}.txt"
    told = [prompts.text_of(beside).strip()] if beside.is_file() else []
    for folder in (clip.parent, *clip.parent.parents):
        for name in _MAPS:
            prompt_map = known(folder / name)
            keys = (clip.relative_to(folder).as_posix(), clip.name, stem)
            told.extend([prompt_map[key] for key in keys if key in prompt_map][:1])
        if folder == base:
            break
    return [text for text in told if text]


def _prompt_map(path: Path) -> dict[str, str]:
    """Name -> prompt from prompts.json or prompts.txt; empty where there is no such file."""
    if not path.is_file():
        return {}
    if path.suffix == ".json":
        return prompts.read_map(path)
    found: dict[str, str] = {}
    for line in prompts.text_of(path).splitlines():
        match = _MAP_LINE.fullmatch(line.strip())
        if match is None:
            continue  # a plain list of prompts names no clip: the clips say that they have none
        name = (match["name"] or match["file"]).strip()
        prompt = (match["prompt"] or match["rest"]).strip()
        if found.setdefault(name, prompt) != prompt:
            raise UserError(f"{path} gives {name!r} two prompts; a clip has one")
    return found
