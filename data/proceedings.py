"""What was done and what was decided, as frozen records beside those about clips and answers.

They belong to `data/records.py`, where all kinds are named; standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Topic = Literal["campaign", "person", "pair", "gold", "calibration"]
RunKind = Literal["sample", "score", "pair", "dpo", "vader", "ddpo", "compare", "ingest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a command did: enough to repeat it."""

    id: str
    kind: RunKind
    config: Mapping[str, Any]
    code: str
    """Code version: git revision, or the package's version outside a checkout."""
    snapshot: int = 0
    """Sequence number of the last vote that the run saw."""
    labels: str = ""
    """Digest of the label set that it used; empty where it used none."""
    folder: str = ""
    started_ms: int
    finished_ms: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a lead or a command decided about the work; the newest one of a subject counts.

    Settings of a campaign, whether a person's votes count, what a pair is asked again for, the
    answer that a gold pair should get, the calibration in use: all of it is said, none of it is
    edited, and every earlier word stays readable.
    """

    id: str
    """A UUID made by whoever decides, so that a retry counts once."""
    topic: Topic
    subject: str
    """What it is about, such as the campaign's name, the annotator or `Pair.id`."""
    values: Mapping[str, Any]
    """JSON values; which ones is the topic's business (`data.decisions`)."""
    by: str = ""
    """Who decided: an annotator, or the command."""
    time_ms: int
    """UTC epoch milliseconds."""

    def __post_init__(self) -> None:
        """Refuse an unknown topic and a decision about nothing."""
        if self.topic not in get_args(Topic):
            topics = ", ".join(get_args(Topic))
            raise ValueError(f"Decision.topic is {self.topic!r}; it must be one of {topics}")
        if not self.subject:
            raise ValueError(f"Decision.subject is empty; name the {self.topic} that it is about")
