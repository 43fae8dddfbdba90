"""What the annotator is asked, by key: a new question is a new key, never a schema change.

Answers are stored by key (`Vote.answers`), each `left`, `right` or `tie`. `overall` is the vote
itself (`Vote.outcome`, `Vote.preferred`) and therefore always asked, last, so that it can weigh.
The wording (`annotate/words/`) follows the three-dimension protocol of VideoAlign (arXiv
2501.13918) and T2VHE (arXiv 2406.08845): one criterion at a time, worded positively. Which campaign
asks what is the campaign's business (`annotate/campaigns.py`). Flags and skip reasons are kept
beside the answers, under the keys `flags` and `skip`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from annotate.protocol import Verdict
from data.errors import UserError

OVERALL = "overall"
QUESTIONS = ("visual", "motion", "alignment", OVERALL)
"""Every question; keys are stored with the answers and never renamed."""
FLAGS = ("watermark", "text", "nsfw")
"""What can be marked on a pair, whatever the answer."""
SKIPS = ("broken", "prompt", "language", "unsure", "unwilling", "other")
"""Why a pair can be skipped."""
_FLAGS, _SKIP = "flags", "skip"


def known(what: str, keys: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """`keys` as a tuple.

    Raises:
        UserError: one of them is not allowed, or stands twice.
    """
    given, choices = tuple(keys), tuple(allowed)
    unknown = [key for key in given if key not in choices]
    if unknown:
        raise UserError(f"No {what} {unknown[0]!r}; there are: {', '.join(choices) or 'none'}")
    if len(set(given)) < len(given):
        raise UserError(f"A {what} stands twice in {', '.join(given)}; name each once")
    return given


def packed(answers: Mapping[str, str], flags: Iterable[str], skip: str) -> dict[str, str]:
    """Answers, flags and skip reason as the one mapping that a vote stores."""
    marks = {_FLAGS: ",".join(flags), _SKIP: skip}
    return {**answers, **{key: value for key, value in marks.items() if value}}


def answers_of(stored: Mapping[str, str]) -> dict[str, Verdict]:
    """Of a vote's `answers`, those to questions."""
    marks = (_FLAGS, _SKIP)
    return {key: cast(Verdict, said) for key, said in stored.items() if key not in marks}


def flags_of(stored: Mapping[str, str]) -> list[str]:
    """Of a vote's `answers`, the flags."""
    return [flag for flag in stored.get(_FLAGS, "").split(",") if flag]


def skip_of(stored: Mapping[str, str]) -> str:
    """Of a vote's `answers`, why it was skipped; empty where nobody said."""
    return stored.get(_SKIP, "")
