"""What the project knows, as frozen records: the words that every room uses.

Word pairs, each with one home: *best / worst* is the scorer's opinion (`Pair`); *left / right* is a
place on the screen (`Vote`); *preferred* is what a person answered (`Vote`); *chosen / rejected* is
the resolved label that training sees (`Preference`).

Records are values: no IO, no behaviour beyond their own consistency, standard library only. A
record is never edited; a newer one that names the older one replaces it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from data.proceedings import Decision, Run

Split = Literal["train", "test"]
Outcome = Literal["preference", "tie", "skip", "undo"]
Exposure = Literal["blind", "shown"]
Strength = Literal["slightly", "clearly"]
LabelSource = Literal["auto", "human", "posterior"]


def digest(*parts: object) -> str:
    """A 32-digit hexadecimal SHA-256 prefix of `parts`, unambiguous (JSON) and stable for ever."""
    text = json.dumps([str(part) for part in parts], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _one_of(what: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        choices = ", ".join(repr(option) for option in allowed)
        raise ValueError(f"{what} is {value!r}; it must be one of {choices}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A text that candidates were made from."""

    text: str
    split: Split = "train"
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse an empty text and an unknown split."""
        if not self.text.strip():
            raise ValueError("Prompt.text is empty; give the text that the clip was made from")
        _one_of("Prompt.split", self.split, ("train", "test"))

    @property
    def id(self) -> str:
        """Identity: the text alone, so that the same prompt from two files is one prompt."""
        return digest("prompt", self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A clip that was made for a prompt. `sha256` of its original bytes is its identity."""

    sha256: str
    """64 hexadecimal digits over the original file's bytes (a frame folder: over its files)."""
    prompt: str
    """`Prompt.id`."""
    path: str
    """Where the untouched original lies (absolute path or URL); empty where nobody has the clip and
    only votes on it are known: then rate and sizes are 0, and `sha256` is of the votes' words."""
    model: str
    """Generator, for people: `shapes`, `VideoCrafter2`; empty when not known."""
    adapter: str = ""
    """Run id or path of the adapter that it was sampled with; empty for the base model."""
    seed: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Every sampler setting that made the clip (steps, guidance, revision, ...): JSON values."""
    fps: float
    """Frames per second, above 0."""
    frames: int
    width: int
    """Pixels."""
    height: int
    """Pixels."""

    def __post_init__(self) -> None:
        """Refuse a hash that is not one, and impossible sizes."""
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"Candidate.sha256 is {self.sha256!r}; it must be 64 hex digits")
        sizes = {name: getattr(self, name) for name in ("fps", "frames", "width", "height")}
        if not self.path and not any(sizes.values()):
            return
        for name, value in sizes.items():
            if not value > 0:
                raise ValueError(f"Candidate.{name} is {value!r}; must be above 0")

    @property
    def id(self) -> str:
        """Identity: the content hash, so that the same file twice is one candidate."""
        return self.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One raw number of one scorer about one clip. Ranges and weights are applied on reading.

    A missing score is missing: there is no record. It is never 0 and never a tie.
    """

    candidate: str
    """`Candidate.sha256`."""
    scorer: str
    version: str
    dimension: str
    value: float
    """Raw, finite."""

    def __post_init__(self) -> None:
        """Refuse NaN and infinities: a scorer that cannot judge returns no score."""
        if not abs(self.value) < float("inf"):
            raise ValueError(
                f"Score.value of {self.scorer}/{self.dimension} for {self.candidate[:12]} is "
                f"{self.value}; it must be finite. A clip that cannot be judged has no score"
            )

    @property
    def id(self) -> str:
        """Identity: the newest score of a (candidate, scorer, version, dimension) counts."""
        return digest("score", self.candidate, self.scorer, self.version, self.dimension)


NEVER_TRAINS = ("gold", "practice", "repeat")
"""First words of `Pair.strategy` (before a colon) of pairs that check people, not clips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two clips of one prompt to be compared, in canonical order (`a` < `b` as text)."""

    prompt: str
    """`Prompt.id`."""
    a: str
    """`Candidate.sha256`, the smaller."""
    b: str
    """`Candidate.sha256`, the larger."""
    best: str | None = None
    """The scorer's opinion: `a`'s or `b`'s hash; None where unscored or exactly equal."""
    profile: str = ""
    """OmniScore profile behind `best` and `margin`; empty where unscored."""
    margin: float | None = None
    """OmniScore of the best minus that of the worst, >= 0; None where a score is missing."""
    strategy: str = ""
    """How it was chosen; `gold:<kind>`, `practice:<kind>` and `repeat:<pair>` check people."""
    campaign: str = "default"

    def __post_init__(self) -> None:
        """Refuse a pair out of order, and an opinion about a clip that is not in it."""
        if not self.a < self.b:
            raise ValueError(
                f"Pair needs a < b (canonical order), got {self.a[:12]} and {self.b[:12]}; "
                "build it with Pair.of(...)"
            )
        _one_of("Pair.best", self.best, (None, self.a, self.b))
        if self.margin is not None and self.margin < 0:
            raise ValueError(f"Pair.margin is {self.margin}; it must be >= 0")

    @classmethod
    def of(cls, one: str, other: str, **rest: Any) -> Pair:
        """A pair of two clips given in any order; `rest` are the other fields."""
        return cls(a=min(one, other), b=max(one, other), **rest)

    @property
    def worst(self) -> str | None:
        """The other clip than `best`; None where the scorer has no opinion."""
        return None if self.best is None else (self.b if self.best == self.a else self.a)

    @property
    def id(self) -> str:
        """Identity: the campaign and the two clips; a repeated pair is not the first one again."""
        again = () if self.trains else (self.strategy,)
        return digest("pair", self.campaign, self.a, self.b, *again)

    @property
    def trains(self) -> bool:
        """Whether its votes may become labels: gold, practice and repeated pairs never do."""
        return self.strategy.partition(":")[0] not in NEVER_TRAINS


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One answer of one person about one pair. Confirm and override are derived, never stored.

    An undo is a newer vote with `outcome="undo"` that revises the older one; a changed mind is a
    newer vote that revises it. `live_votes` (in `data.votes`) leaves the ones that stand.
    """

    id: str
    """A UUID made by the client when the pair is shown, so that a retry cannot count twice."""
    pair: str
    """`Pair.id`."""
    annotator: str
    left: str
    """Hash of the clip that stood on the left."""
    right: str
    """Hash of the clip that stood on the right."""
    outcome: Outcome
    preferred: str | None = None
    """`left` or `right` when the outcome is a preference, else None."""
    strength: Strength | None = None
    unusable: bool = False
    """Both clips are unusable. Beside the preference, not instead of it; such pairs never train."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """Answers per question key: `left`, `right` or `tie`."""
    exposure: Exposure = "shown"
    """Whether OmniScore could be seen when this vote was cast."""
    revises: str | None = None
    """Id of the earlier vote that this one replaces."""
    reason: str = ""
    """Why skipped, or why changed; and the annotator's free comment."""
    seconds: float = 0.0
    """From showing the pair to this vote."""
    watched: Mapping[str, Any] = field(default_factory=dict)
    """Watch facts: fraction of each clip played, replays, speed."""
    time_ms: int = 0
    """UTC epoch milliseconds, by the server's clock; 0 until the store has taken it."""

    def __post_init__(self) -> None:
        """Refuse a preference for a clip that was not shown, and a preference that names none."""
        _one_of("Vote.outcome", self.outcome, ("preference", "tie", "skip", "undo"))
        _one_of("Vote.exposure", self.exposure, ("blind", "shown"))
        _one_of("Vote.strength", self.strength, (None, "slightly", "clearly"))
        allowed = (self.left, self.right) if self.outcome == "preference" else (None,)
        _one_of(f"Vote.preferred (outcome {self.outcome})", self.preferred, allowed)
        if self.outcome == "undo" and self.revises is None:
            raise ValueError("Vote.outcome is 'undo' but revises is None; name the undone vote")

    @property
    def time_order(self) -> tuple[int, str]:
        """Sort key: time, then id, so that equal times keep one order everywhere."""
        return (self.time_ms, self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """A resolved label: what training sees of a pair."""

    pair: str
    """`Pair.id`."""
    prompt: str
    """`Prompt.id`."""
    chosen: str
    rejected: str
    probability: float
    """That `chosen` is the better clip, in [0, 1]."""
    weight: float = 1.0
    """Pair weight w >= 0, outside the log-sigmoid."""
    source: LabelSource
    evidence: tuple[str, ...] = ()
    """Ids of the votes it was made from, or the profile whose scores it was made from."""

    def __post_init__(self) -> None:
        """Refuse probabilities outside [0, 1] and negative weights."""
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"Preference.probability is {self.probability}; must lie in [0, 1]")
        if not 0.0 <= self.weight < float("inf"):
            raise ValueError(f"Preference.weight is {self.weight}; must be finite and >= 0")

    @property
    def id(self) -> str:
        """Identity: pair and source of the label."""
        return digest("preference", self.pair, self.source)


Record = Prompt | Candidate | Score | Pair | Vote | Run | Decision
KINDS: dict[str, type[Record]] = {
    "prompts": Prompt,
    "candidates": Candidate,
    "scores": Score,
    "pairs": Pair,
    "votes": Vote,
    "runs": Run,
    "decisions": Decision,
}
"""Every kind of record that the store holds, by the name that `Store.all` and `frame` take."""
