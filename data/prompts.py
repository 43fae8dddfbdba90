"""Prompts from files: one per line in `.txt`, or `.json` from a clip's name to its prompt.

Lines are taken as they stand, but for white space at their ends: real prompts contain quotation
marks, commas and non-English text. A byte-order mark, Windows line ends and blank lines do no
harm; a prompt that comes twice is one prompt, and is counted.

A split is a property of a prompt. It comes from the file (`split=`), or from a hash of the text
(`share_test=`), which puts a prompt on the same side wherever and whenever it is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data.errors import UserError
from data.records import Prompt, Split, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFile:
    """The prompts of a file in its order, and what was left aside on the way."""

    prompts: tuple[Prompt, ...]
    duplicates: int
    """Lines whose prompt had come before."""
    blank: int
    """Lines without text."""


def read(path: str | Path, *, split: Split = "train", share_test: float = 0.0) -> PromptFile:
    """The prompts of a file: lines of text, or the values of a `.json` (mapping or list).

    Args:
        path: The file, UTF-8.
        split: Where its prompts belong.
        share_test: Share in [0, 1] that goes to `test` by hash of the text, whatever `split` says.

    Raises:
        UserError: missing, not text, without any prompt, or a share outside [0, 1].
    """
    path = Path(path)
    if not 0.0 <= share_test <= 1.0:
        raise UserError(f"the share of test prompts is {share_test}; it must lie in [0, 1]")
    texts = [text.strip() for text in _texts(path)]
    unique = dict.fromkeys(text for text in texts if text)
    if not unique:
        raise UserError(f"{path} has no prompts; write one on each line")
    blank = texts.count("")
    return PromptFile(
        prompts=tuple(
            Prompt(
                text=text,
                split="test" if hashed_split(text, share_test) == "test" else split,
                source=path.name,
            )
            for text in unique
        ),
        duplicates=len(texts) - blank - len(unique),
        blank=blank,
    )


def hashed_split(text: str, share_test: float) -> Split:
    """`test` for about this share of all texts, by their hash: the same text, the same side."""
    place = int(digest("split", text)[:13], 16) / 16**13  # 52 bits: exact as a float in [0, 1)
    return "test" if place < share_test else "train"


def read_map(path: str | Path) -> dict[str, str]:
    """A `.json` object from a clip's file name to its prompt.

    Raises:
        UserError: not JSON, not an object, a value that is no text, or a name that comes twice.
    """
    path = Path(path)
    try:
        found = json.loads(text_of(path), object_pairs_hook=lambda pairs: _unique(path, pairs))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f'{path} must be an object {{"clip.mp4": "prompt", ...}}')
    for name, prompt in found.items():
        if not isinstance(prompt, str):
            raise UserError(f"{path}: the prompt of {name!r} is {prompt!r}; it must be text")
    return {name: prompt.strip() for name, prompt in found.items()}


def text_of(path: Path) -> str:
    """A text file's content, UTF-8 with or without a byte-order mark; lines end in LF.

    Raises:
        UserError: missing, unreadable, or in another encoding (says at which byte).
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from error


def _texts(path: Path) -> list[str]:
    """What stands in the file, before cleaning. Lines end at CR and LF only, not at U+2028."""
    if path.suffix.lower() != ".json":
        return text_of(path).removesuffix("\n").split("\n")
    try:
        found = json.loads(text_of(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    values = list(found.values()) if isinstance(found, dict) else found
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise UserError(f"{path} must hold prompts as text: a list, or an object by file name")
    return values


def _unique(path: Path, pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise UserError(f"{path} names {name!r} twice; a clip has one prompt")
        found[name] = value
    return found
