"""Prompts as a table (CSV, TSV, JSONL, Parquet), whose rows may name a first image.

Columns: prompt | caption | text; image | first_image | first_frame. Relative paths start at the
table's folder. Left out on purpose: several images of one prompt (clips of one prompt are compared,
so they begin alike).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.exchange import COLUMNS, MANIFESTS

_IMAGE = ("image", "first_image", "first_frame")


def is_table(source: str) -> bool:
    """Whether prompts of that name come as a table."""
    return Path(source).suffix.lower() in MANIFESTS


def read(source: str) -> dict[str, str]:
    """Image by prompt, in the table's order; empty where a row names none.

    Raises:
        UserError: cannot be read, no rows, a row without a prompt, or a prompt with two images.
    """
    path, found = Path(source), dict[str, str]()
    for where, row in MANIFESTS[path.suffix.lower()](path):
        text, named = _cell(row, COLUMNS["prompt"]), _cell(row, _IMAGE)
        if not text:
            raise UserError(f"{path} {where} has no prompt; it needs a column `prompt`")
        image = str(path.parent / named) if named else ""
        if found.setdefault(text, image) != image:
            raise UserError(
                f"{path} {where}: prompt {text!r} has two images, {found[text]} and {image}. Clips "
                "of one prompt are compared, so they begin alike: make the prompts differ"
            )
    if not found:
        raise UserError(f"{path} has no rows; write a prompt in each")
    return found


def _cell(row: Mapping[str, Any], names: Sequence[str]) -> str:
    plain = {str(name).strip().lower(): value for name, value in row.items()}
    return next((str(plain[name]).strip() for name in names if plain.get(name)), "")
