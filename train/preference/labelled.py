"""What training reads from the database: weighted labels, and the clips behind them.

The store is opened, read, and closed before anything is trained: an annotator may go on voting,
and the run records which votes it saw. Labels are sorted by pair, so that the order of rows in a
database changes nothing.

Prompts of the split `test` are never trained on. Of the others a share is held out by a hash of
the prompt's text, not by a draw: a prompt that was held out once stays held out when the database
grows, and both clips of a pair, and every pair of a prompt, fall on the same side.

Left out on purpose: tensors (`train.preference.batches`), and torch altogether.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from data import calibration
from data.decisions import counted
from data.errors import UserError
from data.labels import LABELS, resolve, with_label, without_label
from data.profile import Profile
from data.records import Candidate, Decision, Pair, Preference, Prompt, Score, Vote, digest
from data.store import Store
from data.weights import Normalise, effective_sample_size, rarity, weighted
from train.preference import wide

_HASH_DIGITS = 8


@dataclass(frozen=True, kw_only=True)
class Weighting:
    """How pairs are weighted: the arguments of `data.weights.rarity` of the same names."""

    preset: str = "paper"
    alpha: float | None = None
    beta: float | None = None
    clip: float | None = None
    normalise: Normalise = "mean"


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Labels ready to train on, sorted by pair."""

    preferences: tuple[Preference, ...]
    clips: Mapping[str, Candidate]
    """Every clip that a preference names, by hash."""
    prompts: Mapping[str, Prompt]
    """Every prompt that a preference names, by id."""
    left_out: Mapping[str, int]
    """How many pairs have no label, by reason."""
    snapshot: int
    """Sequence number of the last vote in view."""
    basis: str = ""
    """What a person should know about how they were made; may be empty."""

    @property
    def digest(self) -> str:
        """Identity of the labels: pairs, directions, probabilities and weights."""
        return digest("labels", *(json.dumps(asdict(label)) for label in self.preferences))

    @property
    def effective(self) -> float:
        """(sum w)^2 / sum w^2: how many equally weighted pairs these are worth."""
        return effective_sample_size([label.weight for label in self.preferences])


def read(
    db: Path | str, source: str, weighting: Weighting, *, profile: str | None = None
) -> Labelled:
    """Reads the database once and resolves its labels.

    Args:
        db: The database; an app may own it.
        source: A name of `data.labels.LABELS`.
        weighting: How pairs are weighted.
        profile: OmniScore profile of the weights and of `auto` labels, `calibrated:<id>` included.
            None takes the calibration that is in use for the profile most pairs were made with;
            where none is, the opinion stored with each pair, and that profile for the weights.

    Raises:
        UserError: No database, unknown names, or no pair with a label; says what to do.
    """
    if source not in LABELS:
        raise UserError(f"Unknown labels {source!r}; choose one of {', '.join(sorted(LABELS))}")
    with Store.open(db) as store:
        decisions = store.all("decisions")
        chosen, usual = _profiles(profile, wide.pair_profiles(store), decisions)
        wanted = chosen or usual if source == "posterior" else chosen
        labels, reasons, basis = _resolved(store, source, wanted, decisions)
        if not labels:
            raise UserError(_nothing(source, str(db), store.count("pairs"), reasons))
        totals = wide.totals(store, chosen or usual)
        labels = weighted(labels, rarity(labels, totals, **asdict(weighting)))
        clips, prompts = wide.named(store, labels)
        snapshot = store.sequence
    return replace(_labelled(labels, clips, prompts, reasons, snapshot), basis=basis)


def _resolved(
    store: Store, source: str, profile: Profile | None, decisions: Sequence[Decision]
) -> tuple[list[Preference], dict[str, int], str]:
    """Labels, why the other pairs have none, and what they are based on."""
    if wide.can(source, profile):
        return wide.labels(store, source), store.left_out(source), ""
    pairs, scores = store.all("pairs"), wide.scores(store, profile)
    votes = counted(store.all("votes"), decisions)
    found = resolve(source, pairs, scores, votes, profile=profile)
    basis = _basis(source, pairs, scores, votes, profile)
    return with_label(found), {**without_label(found)}, basis


def split(
    labelled: Labelled, share: float
) -> tuple[tuple[Preference, ...], tuple[Preference, ...]]:
    """Training and held-out labels, by prompt; the second may be empty.

    Args:
        labelled: All labels.
        share: Of the prompts in the split `train` that is held out, about; in [0, 1).

    Raises:
        UserError: Nothing is left to train on.
    """
    outside = {id for id, prompt in labelled.prompts.items() if is_held_out(prompt, share)}
    train = tuple(label for label in labelled.preferences if label.prompt not in outside)
    if not train:
        raise UserError(
            f"All {len(labelled.preferences)} labelled pairs belong to held-out prompts, which are "
            f"never trained on. Label more pairs, or lower --held-out (now {share})."
        )
    return train, tuple(label for label in labelled.preferences if label.prompt in outside)


def is_held_out(prompt: Prompt, share: float) -> bool:
    """Whether a prompt is in the split `test`, or its hash falls into the first `share` of all."""
    place = int(digest("held-out", prompt.id)[:_HASH_DIGITS], 16) / 16**_HASH_DIGITS
    return prompt.split == "test" or place < share


def write(path: Path, labels: Sequence[Preference]) -> None:
    """Keeps labels beside a run, one JSON object per line: what it trains on, and resumes with."""
    path.write_text("".join(json.dumps(asdict(label)) + "\n" for label in labels))


def relabelled(db: Path | str, kept: Path, snapshot: int) -> Labelled:
    """The labels that `write` kept, whatever was voted since, with their clips from the database.

    Args:
        db: The database that they were read from.
        kept: Their file.
        snapshot: Sequence number of the last vote that they saw.

    Raises:
        UserError: The file is not there, or not what `write` wrote.
    """
    try:
        rows: list[dict[str, Any]] = [json.loads(line) for line in kept.read_text().splitlines()]
        labels = [Preference(**{**row, "evidence": tuple(row["evidence"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{kept}, what the run trains on, is not as it was written ({error}). Bring it back "
            "from a copy, or start a new run."
        ) from error
    with Store.open(db) as store:
        clips, prompts = wide.named(store, labels)
    return _labelled(labels, clips, prompts, {}, snapshot)


def _labelled(
    labels: Sequence[Preference],
    clips: Mapping[str, Candidate],
    prompts: Mapping[str, Prompt],
    reasons: Mapping[str, int],
    snapshot: int,
) -> Labelled:
    named = {sha for label in labels for sha in (label.chosen, label.rejected)}
    if missing := sorted(named - set(clips)):
        raise UserError(
            f"The database has no clip {missing[0]}, which a pair names. Add its file again with: "
            "python -m data.ingest"
        )
    return Labelled(
        preferences=tuple(sorted(labels, key=lambda label: label.pair)),
        clips={sha: clips[sha] for sha in named},
        prompts={label.prompt: prompts[label.prompt] for label in labels},
        left_out=reasons,
        snapshot=snapshot,
    )


def _profiles(
    name: str | None, pairs: Iterable[Pair], decisions: Sequence[Decision]
) -> tuple[Profile | None, Profile | None]:
    """The profile that was asked for or whose calibration is in use; and the pairs' usual one."""
    usual = calibration.usual(pairs, decisions)
    if name:
        return calibration.profile_named(name, decisions), usual
    used = calibration.in_use(decisions, usual.base or usual.name) if usual else None
    return (used.table if used else None), usual


def _basis(
    source: str,
    pairs: Sequence[Pair],
    scores: Sequence[Score],
    votes: Sequence[Vote],
    profile: Profile | None,
) -> str:
    if profile is None or source == "human":
        return ""
    if source == "posterior":
        from data.posterior import basis  # here: its solvers take a moment to import

        return basis(pairs, scores, votes, profile)
    return f"OmniScore by {profile.name}: {profile.title}" if profile.base else ""


def _nothing(source: str, db: str, pairs: int, reasons: Mapping[str, int]) -> str:
    """Why there is no label at all, and what to do about it."""
    if not pairs:
        return f"{db} holds no pairs yet. Make some with: python -m data.pair --db {db}"
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    if source == "human" and set(reasons) <= {"unvoted", "skipped"}:
        return (
            f"No votes yet on the {pairs} pairs of {db} ({why}). Vote with: python app.py --db "
            f"{db}, or train on OmniScore's opinion with --labels auto."
        )
    if source == "human" and set(reasons) == {"even"}:
        return (
            f"All {pairs} voted pairs of {db} are ties, which have no direction to learn from. "
            f"Vote on more pairs with: python app.py --db {db}"
        )
    remedy = (
        f"Score with: python -m scorers --db {db}, then pair with: python -m data.pair --db {db}"
        if source == "auto"
        else f"Vote on more pairs with: python app.py --db {db}"
    )
    return f"None of the {pairs} pairs of {db} has a label ({why}). {remedy}"
