"""What training on pairs says: what it trains on, and what each evaluation found."""

from __future__ import annotations

from collections.abc import Sequence

from data.console import say
from data.records import Preference
from train.losses import Metrics
from train.models import SampleSettings
from train.preference.batches import resized
from train.preference.labelled import Labelled
from train.run.runs import RunFolder


def announce(
    folder: RunFolder,
    source: str,
    labelled: Labelled,
    settings: SampleSettings,
    *,
    train: Sequence[Preference],
    held_out: Sequence[Preference],
) -> None:
    """Say what is trained on what, before anything slow begins."""
    say(f"Run {folder.folder}; after an interruption: python -m train.dpo --resume {folder.folder}")
    gone = ", ".join(f"{count} {why}" for why, count in sorted(labelled.left_out.items()))
    say(
        f"{len(labelled.preferences)} pairs with {source} labels; their weights make them worth "
        f"{labelled.effective:.1f} equal pairs" + (f"; left out: {gone}" if gone else "")
    )
    if labelled.basis:
        say(labelled.basis)
    prompts = len({label.prompt for label in held_out})
    say(
        f"Training on {len(train)}; "
        + (
            f"held out: {len(held_out)} pairs of {prompts} prompts"
            if held_out
            else "none is held out, so evaluations are on training pairs and say nothing of others"
        )
    )
    other = resized(labelled.clips.values(), settings)
    if other:
        say(
            f"{other} of {len(labelled.clips)} clips are cropped to the centre, resized by area to "
            f"{settings.width}x{settings.height} and thinned evenly to {settings.frames} frames"
        )


def evaluated(folder: RunFolder, step: int, metrics: Metrics, where: str, limit: float) -> Metrics:
    """Log and say one evaluation; warn where the policy moves away from the preferred clips.

    Args:
        folder: The open run.
        step: How many updates the policy has had.
        metrics: Of `train.preference.evaluate.Evaluation`.
        where: `held-out` or `training pairs`.
        limit: `chosen_rise` to warn at.
    """
    folder.log(step, split=where, **metrics)
    say(
        f"step {step}, {where}: loss {metrics['loss']:.4f}, accuracy {metrics['accuracy']:.2f}, "
        f"margin {metrics['margin']:+.3f}, error of chosen {metrics['chosen_rise']:+.4f}, "
        f"of rejected {metrics['rejected_rise']:+.4f}"
    )
    if metrics["chosen_rise"] >= limit:
        say(
            f"Warning: the error on chosen clips has risen by {metrics['chosen_rise']:.3f} (limit "
            f"{limit:g}). Samples get worse from about here: train less, lower --lr, raise --beta."
        )
    return metrics
