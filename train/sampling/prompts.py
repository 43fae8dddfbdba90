"""Which prompts a command works on: a text file, or prompts of the built-in world.

`builtin:N` draws N different captions of `data.shapes`; the two splits are drawn apart, and a
prompt that the database knows in the other split is never drawn. `activity:N` are VADER's test
prompts (`train.sampling.activities`). Files are read by `data.prompts`.

Left out on purpose: prompt rewriting, and sampling from a list (take a shorter file).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import cast

from data import prompts, shapes
from data.errors import UserError
from data.records import Prompt, Split
from data.store import Store
from train.sampling import activities, prompt_table

BUILTIN, ACTIVITY = "builtin", "activity"
_SEEDS: dict[str, int] = {"train": 101, "test": 202}
_DRAWS, _ROUNDS = 512, 40
"""Captions per draw, and draws: enough to see nearly all of the world's 1,728 captions."""
_MOST = 800


def read(source: str, split: Split, *, db: str, default: str = "") -> list[Prompt]:
    """The prompts that `source` names, without repeats, in order.

    Args:
        source: a text file, `builtin:N` or `activity[:N]`; empty takes `default`.
        split: that the prompts belong to.
        db: a prompt belongs to one split for ever; this database knows which.
        default: what an empty `source` stands for; empty where there is none.

    Raises:
        UserError: no such file, nothing in it, not a number, or a prompt of the other split.
    """
    named = source or default
    if not named:
        raise UserError("no prompts: give a text file, one prompt per line, with --prompts")
    with Store.open(db, create=True) as store:
        known = cast("list[Prompt]", store.all("prompts"))
    elsewhere = {prompt.text for prompt in known if prompt.split != split}
    if named == BUILTIN or named.startswith(f"{BUILTIN}:"):
        texts, origin = _builtin(named, split, elsewhere), BUILTIN
    elif named == ACTIVITY or named.startswith(f"{ACTIVITY}:"):
        texts, origin = _activity(named), ACTIVITY
    else:
        texts, origin = _filed(named), Path(named).name
    wrong = [text for text in texts if text in elsewhere]
    if wrong:
        raise UserError(
            f"{len(wrong)} prompts of {named} are not of split {split} in {db} (first: "
            f"{wrong[0]!r}). A prompt keeps its split, or the comparison would test on what it "
            "trained on: take them out of the file, or choose the other --split."
        )
    return [Prompt(text=text, split=split, source=origin) for text in texts]


def _filed(named: str) -> list[str]:
    try:
        if prompt_table.is_table(named):
            return list(prompt_table.read(named))
        return [prompt.text for prompt in prompts.read(named).prompts]
    except UserError as error:
        raise UserError(f"--prompts: {error}") from error


def _builtin(named: str, split: Split, elsewhere: set[str]) -> list[str]:
    number = named.removeprefix(f"{BUILTIN}:")
    if not number.isdigit() or not 0 < int(number) <= _MOST:
        raise UserError(f"--prompts is {named!r}; write builtin:N with N from 1 to {_MOST}")
    fresh = (text for text in _captions(_SEEDS[split]) if text not in elsewhere)
    texts = list(islice(fresh, int(number)))
    if len(texts) < int(number):
        raise UserError(f"only {len(texts)} captions are left for split {split}; ask for fewer")
    return texts


def _activity(named: str) -> list[str]:
    known = activities.prompts()
    number = named.partition(":")[2] or str(len(known))
    if not number.isdigit() or not 0 < int(number) <= len(known):
        raise UserError(
            f"--prompts is {named!r}; write activity, or activity:N with N from 1 to {len(known)}"
        )
    return known[: int(number)]


def _captions(seed: int) -> Iterator[str]:
    """Different captions, in an order that depends on the seed alone."""
    seen: set[str] = set()
    for round_ in range(_ROUNDS):
        for text in shapes.prompts(_DRAWS, seed + 1000 * round_):
            if text not in seen:
                seen.add(text)
                yield text
