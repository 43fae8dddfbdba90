"""Who enters a comparison: the arms that are trained for it, and adapters that exist already.

Arms that name a label source are trained on the pairs that all of them label, with the same
settings, seed, noise and order of pairs; the reference's errors are measured once for all of them.
What an arm cost is counted: the votes that its labels were made of, the minutes that people spent
on them, and the seconds of training.

Left out on purpose: several training seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.console import say
from data.errors import UserError
from data.labels import LABELS
from data.records import Run, Vote
from train.comparison.arms import Common, common
from train.preference.labelled import Weighting, read
from train.preference.reference import ReferenceErrors
from train.sampling.origin import find_adapter

if TYPE_CHECKING:
    from train.compare import Config


@dataclass(frozen=True, kw_only=True)
class Entrants:
    """The arms of a comparison, ready to be trained or loaded."""

    given: Mapping[str, Path | None]
    """Adapters that exist, by the name that was given."""
    labels: Common | None
    """Labels of the arms that are to be trained."""

    def pairs(self) -> dict[str, Any]:
        """What the report says about the pairs that were trained on."""
        if self.labels is None:
            return {}
        return {
            "common": self.labels.pairs,
            "opposed": self.labels.opposed,
            "left_out": dict(self.labels.only),
        }


def found(config: Config) -> Entrants:
    """Read labels and find adapters, before anything is trained.

    Raises:
        UserError: an adapter is not there, or no pair is labelled by every source.
    """
    names = config.names
    given = {name: _adapter(config.db, name) for name in names if name not in LABELS}
    return Entrants(given=given, labels=_labels(config))


def _adapter(db: str, arm: str) -> Path | None:
    try:
        return find_adapter(db, arm)[1]
    except UserError as error:
        raise UserError(
            f"--arms names {arm!r}, which is no label source ({', '.join(sorted(LABELS))}): {error}"
        ) from error


def _labels(config: Config) -> Common | None:
    sources = [name for name in config.names if name in LABELS]
    if not sources:
        return None
    weighting = Weighting(preset=config.weights)
    shared = common(
        {one: read(config.db, one, weighting, profile=config.profile) for one in sources}
    )
    say(
        f"{shared.pairs} pairs have labels of {' and '.join(sources)}; they choose different clips "
        f"in {shared.opposed}; left out: {shared.only}"
    )
    return shared


def trained(config: Config, labels: Common | None, folder: Path) -> dict[str, Run]:
    """Train every arm that names a label source; its run by its name.

    Args:
        config: Of the comparison.
        labels: On the pairs that all sources label; None where no arm is trained.
        folder: That the runs' folders are made in.
    """
    from train import dpo

    known = ReferenceErrors()
    return {
        source: dpo.run(
            dpo.Config(
                db=config.db,
                labels=source,
                model=config.model,
                steps=config.steps,
                batch=config.batch,
                lr=config.lr,
                beta=config.beta,
                weights=config.weights,
                seed=config.seed,
                held_out=0.0,
                grid=0,
                device=config.device,
                out=str(folder),
            ),
            labelled,
            known,
        )
        for source, labelled in (labels.labelled.items() if labels else ())
    }


def costs(
    labels: Common | None, runs: Mapping[str, Run], votes: Iterable[Vote]
) -> dict[str, dict[str, float]]:
    """What each trained arm cost: votes, annotator minutes and seconds of training."""
    by_id = {vote.id: vote for vote in votes}
    return {
        arm: _cost([by_id[one] for label in labelled.preferences for one in label.evidence
                    if one in by_id], runs[arm])
        for arm, labelled in (labels.labelled.items() if labels else ())
    }  # fmt: skip


def _cost(votes: Sequence[Vote], run: Run) -> dict[str, float]:
    return {
        "votes": len(votes),
        "annotator_minutes": sum(vote.seconds for vote in votes) / 60,
        "training_seconds": run.metrics.get("seconds", 0.0),
    }
