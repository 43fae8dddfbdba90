"""Rows of a vote file as ballots: which column says what, and what its words mean.

Columns are found by name, in any case, spaces and hyphens as underscores; the
lists below hold the names that people use, and `--columns field=name` adds to them. An answer is
one of the words below, or the very text of the left or right cell (the name of the generator, the
path of the clip). What is wrong with a row is written into its ballot; nothing is guessed.

Left out on purpose: answers by number (is 1 the left one?), which `--values 1=left,2=right` names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from data.errors import UserError
from data.voterows import ROWS

Answer = Literal["left", "right", "tie", "unusable", "skip"]
FIELDS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "caption", "text", "prompt_text"),
    "item": ("item", "item_id", "prompt_id", "question_id", "conv_id", "sample_id"),
    "left": ("left", "path_a", "video_a", "clip_a", "left_video", "video_left", "left_clip"),
    "right": ("right", "path_b", "video_b", "clip_b", "right_video", "video_right", "right_clip"),
    "left_model": ("left_model", "model_a", "a_model", "model_left", "generator_a"),
    "right_model": ("right_model", "model_b", "b_model", "model_right", "generator_b"),
    "preferred": ("preferred", "winner", "overall", "preference", "vote", "choice", "answer"),
    "annotator": ("annotator", "annotator_id", "judge", "rater", "worker", "worker_id", "user_id"),
    "time": ("time", "time_ms", "tstamp", "timestamp", "created_at", "date"),
    "seconds": ("seconds", "duration", "response_time"),
    "comment": ("comment", "reason", "rationale"),
    "exposure": ("exposure",),
    "answers.visual": ("vq", "visual", "visual_quality"),
    "answers.motion": ("mq", "motion", "motion_quality"),
    "answers.alignment": ("ta", "alignment", "text_alignment"),
}  # fmt: skip
"""Field -> the column names under which people write it; `answers.KEY` is a question's answer."""

_WORDS: dict[Answer, tuple[str, ...]] = {
    "left": ("left", "a", "model_a", "left_vote", "leftvote", "video_a", "[[a]]"),
    "right": ("right", "b", "model_b", "right_vote", "rightvote", "video_b", "[[b]]"),
    "tie": ("tie", "same", "equal", "draw", "tievote", "tie_(both_good)", "no_preference", "[[c]]"),
    "unusable": ("tie_(bothbad)", "tie_(both_bad)", "bothbad", "both_bad", "bothbad_vote"),
    "skip": ("skip", "skipped"),
}  # fmt: skip
VALUES: dict[str, Answer] = {word: answer for answer, words in _WORDS.items() for word in words}
"""Word of an answer, in lower case with underscores -> what it means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """One row: an answer that somebody gave elsewhere."""

    line: int
    """Of the file, from 1; for Parquet and JSON the row, from 1."""
    prompt: str = ""
    item: str = ""
    left: str = ""
    """How the file names the clip: a path, a URL, a hash; empty where it does not."""
    right: str = ""
    left_model: str = ""
    right_model: str = ""
    answer: Answer = "skip"
    answers: Mapping[str, str] = field(default_factory=dict)
    annotator: str = ""
    time_ms: int = 0
    seconds: float = 0.0
    comment: str = ""
    exposure: Literal["blind", "shown"] = "blind"
    """Blind unless the row says otherwise: nobody saw an OmniScore elsewhere."""
    problem: str = ""
    """Why it cannot go in; empty where nothing speaks against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A vote file, read."""

    ballots: list[Ballot]
    columns: Mapping[str, str]
    """Field -> column."""
    ignored: tuple[str, ...]
    """Columns that are no field."""


def read(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    values: Mapping[str, Answer] | None = None,
) -> Reading:
    """The ballots of a vote file, in order.

    Args:
        path: The file.
        columns: Field -> column, where the names are not among `FIELDS`. Further questions may be
            named as `answers.KEY`.
        values: Further words of answers, such as {"1": "left"}.

    Raises:
        UserError: not a vote file, unreadable, no rows, a column that is not there, or
            no answers in it.
    """
    path = Path(path)
    if path.suffix.lower() not in ROWS:
        raise UserError(f"{path}: a vote file ends in {', '.join(ROWS)}")
    rows = list(ROWS[path.suffix.lower()](path))
    if not rows:
        raise UserError(f"{path} has no rows: the first line names columns, each other is a vote")
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    found = _columns(path, names, columns or {})
    further: dict[str, Answer] = {_plain(word): answer for word, answer in (values or {}).items()}
    words = VALUES | further
    return Reading(
        ballots=[_ballot(line, row, found, words) for line, row in rows],
        columns=found,
        ignored=tuple(name for name in names if name not in found.values()),
    )


def _columns(path: Path, names: list[str], given: Mapping[str, str]) -> dict[str, str]:
    for what, name in given.items():
        if what not in FIELDS and not re.fullmatch(r"answers\.\w+", what):
            raise UserError(
                f"--columns names the field {what!r}; the fields are {', '.join(FIELDS)}, and "
                "answers.KEY for a question of your own"
            )
        if name not in names:
            raise UserError(f"--columns {what}={name}: {path} has no column {name!r}: {names}")
    plain = {_plain(name): name for name in reversed(names) if name not in given.values()}
    found = dict(given) | {
        what: next(plain[alias] for alias in aliases if alias in plain)
        for what, aliases in FIELDS.items()
        if what not in given and any(alias in plain for alias in aliases)
    }
    for needed, either in (
        ("preferred", ()),
        ("left", ("left_model",)),
        ("right", ("right_model",)),
    ):
        if not found.keys() & {needed, *either}:
            raise UserError(
                f"{path} has no column for {' or '.join((needed, *either))}: it needs one of "
                f"{', '.join(FIELDS[needed])}, or --columns {needed}=NAME; found {', '.join(names)}"
            )
    return found


def _ballot(
    line: int, row: Mapping[str, Any], columns: Mapping[str, str], words: Mapping[str, Answer]
) -> Ballot:
    cell = {what: _text(row.get(column)) for what, column in columns.items()}
    try:
        return Ballot(
            line=line,
            **{name: cell.get(name, "") for name in _AS_THEY_STAND},
            answer=_answer(cell, "preferred", words),
            answers=_answers(cell, words),
            time_ms=time_ms(cell.get("time", "")),
            seconds=_seconds(cell.get("seconds", "")),
            exposure=_exposure(cell.get("exposure", "")),
        )
    except ValueError as error:
        return Ballot(line=line, problem=str(error))


_AS_THEY_STAND = (
    *("prompt", "item", "left", "right", "left_model", "right_model", "annotator", "comment"),
)


def _answers(cell: Mapping[str, str], words: Mapping[str, Answer]) -> dict[str, str]:
    """Question -> left, right or tie; both bad is a tie there, and what was skipped is left out."""
    found = {
        what.partition(".")[2]: _answer(cell, what, words)
        for what, text in cell.items()
        if what.startswith("answers.") and text
    }
    return {
        key: "tie" if answer == "unusable" else answer
        for key, answer in found.items()
        if answer != "skip"
    }


def _answer(cell: Mapping[str, str], what: str, words: Mapping[str, Answer]) -> Answer:
    text = cell.get(what, "")
    if _plain(text) in words:
        return words[_plain(text)]
    for left, right in (("left", "right"), ("left_model", "right_model")):
        if text and cell.get(left) != cell.get(right) and text in (cell.get(left), cell.get(right)):
            return "left" if text == cell.get(left) else "right"
    raise ValueError(f"unknown answer {text!r} for {what}")


def time_ms(text: str) -> int:
    """UTC epoch milliseconds of seconds, milliseconds or ISO 8601 (UTC unless it says); 0 if ''."""
    if not text:
        return 0
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"unknown time {text!r}; epoch seconds or ISO 8601") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    if not 0 < number < 1e14:
        raise ValueError(f"unknown time {text!r}; epoch seconds or ISO 8601")
    return round(number if number > 1e11 else number * 1000)


def _seconds(text: str) -> float:
    try:
        found = float(text or 0)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1e9:
        raise ValueError(f"unknown seconds {text!r}; a number of at least 0")
    return found


def _exposure(text: str) -> Literal["blind", "shown"]:
    if text not in ("", "blind", "shown"):
        raise ValueError(f"unknown exposure {text!r}; blind or shown")
    return "shown" if text == "shown" else "blind"


def _plain(text: str) -> str:
    return text.strip().lower().replace(" ", "_").replace("-", "_")


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).strip() if isinstance(value, str | int | float) else json.dumps(value)
