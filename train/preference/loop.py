"""The steps of training on pairs, as functions: which pairs, one update, saving and restoring.

Everything is a function of the step's number: which pairs (a permutation per epoch, by seed),
which noise (the bank, by pair and epoch), and no global generator is used. A run that is stopped
and resumed therefore does what it would have done (on the CPU, bit for bit).

Left out on purpose: learning-rate schedules, averages of the weights.
"""

from __future__ import annotations

import math
import pickle
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from data.errors import UserError
from train import bank
from train.losses import Metrics, effective
from train.policy import Policy
from train.preference.batches import PairBatch
from train.preference.evaluate import PairErrors
from train.preference.passes import Descent
from train.run import sharded

Label = TypeVar("Label")
GRADIENT_LIMIT = 1.0
"""Largest norm of the gradient over the adapter's weights; a larger one is scaled down to it."""
_STATE = "latest.pt"


def order(count: int, seed: int, epoch: int) -> list[int]:
    """The order in which `count` pairs are seen in an epoch."""
    drawn = bank.generator("order", seed, epoch)
    return torch.randperm(count, generator=drawn).tolist()


def pick(
    labels: Sequence[Label], step: int, batch: int, seed: int
) -> tuple[list[Label], list[int]]:
    """The labels of one step, and for each the epoch in which it stands (the counter of its draws).

    Epochs follow one another without a gap, so that every step has a full batch.
    """
    places = [divmod(place, len(labels)) for place in range(step * batch, (step + 1) * batch)]
    orders = {epoch: order(len(labels), seed, epoch) for epoch in {epoch for epoch, _ in places}}
    return [labels[orders[epoch][place]] for epoch, place in places], [epoch for epoch, _ in places]


Part = tuple[PairBatch, PairErrors]
"""Pairs that go through the network together, and the reference's errors on them."""


def update(descent: Descent, parts: Iterable[Part], beta: float, *, pairs: int) -> Metrics:
    """One step of the optimizer; what was measured before it, over all processes.

    The gradient is that of the mean over the pairs of all processes, whatever the parts: each
    part's loss is a mean over its own pairs and counts by their number. (`kto` alone looks at its
    whole batch, and here at each part.)

    Args:
        descent: What is trained.
        parts: The step's pairs, one after the other through the network; made as they are needed.
        beta: Strength of the descent's objective.
        pairs: How many pairs all parts of this process have; the same in every process.

    Raises:
        UserError: An error or the gradient is not finite; names the pairs.
    """
    descent.optimizer.zero_grad(set_to_none=True)
    found: list[tuple[float, Metrics]] = []
    names: list[str] = []
    weights: list[Tensor] = []
    for batch, reference in parts:
        names += batch.pairs
        weights.append(batch.weight)
        share = len(batch) / pairs
        with descent.part(last=len(names) == pairs):
            errors = descent.errors(batch)
            _demand_finite(errors, reference, batch)
            value, metrics = descent.objective.cost(
                descent.policy.model, batch, errors, reference, beta
            )
            descent.backward(value * share)
        found.append((share, metrics))
    norm = descent.clip(GRADIENT_LIMIT)
    if not math.isfinite(norm):
        raise UserError(_not_finite("gradient", names))
    descent.optimizer.step()
    group = descent.group
    means = {name: sum(share * part[name] for share, part in found) for name in found[0][1]}
    everybody = torch.cat(group.collect(torch.cat(weights).cpu()))
    return group.mean(means) | {"ess": effective(everybody), "gradient": norm}


def save_state(
    folder: Path, step: int, policy: Policy, optimizer: torch.optim.Optimizer, labels: str
) -> None:
    """Keeps what `load_state` needs to go on after `step` updates; whole, or not at all."""
    folder.mkdir(exist_ok=True)
    state = {"step": step, "labels": labels, "adapter": policy.state()}
    kept = sharded.optimizer_state(policy.model.network, optimizer)
    _write(state | {"optimizer": kept}, folder / _STATE)


def _write(state: dict[str, Any], path: Path) -> None:
    """Writes the file whole or not at all; where the disk refuses, what it said is raised."""
    partial = path.with_suffix(".part")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
    except (RuntimeError, OSError) as error:
        partial.unlink(missing_ok=True)
        refused = error.__context__  # torch raises its own error over the file's
        raise (refused if isinstance(refused, OSError) else error) from None
    partial.replace(path)


def load_state(folder: Path, policy: Policy, optimizer: torch.optim.Optimizer, labels: str) -> int:
    """Restores policy and optimizer; returns how many updates they have had (0: no state kept).

    Raises:
        UserError: The file is damaged, or was trained on other labels or with other settings.
    """
    path = folder / _STATE
    if not path.is_file():
        return 0
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{path} is damaged ({type(error).__name__}). Bring it back from a copy, or "
            "remove it: the run then begins again, with its settings and labels."
        ) from error
    if state["labels"] != labels:
        raise UserError(
            f"{path} was trained on labels {state['labels'][:12]}, not on {labels[:12]}: the run's "
            "labels.jsonl was changed. Start a new run."
        )
    try:
        policy.load_state(state["adapter"])
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise UserError(
            f"{path} does not fit the run's settings ({textwrap.shorten(str(error), 200)}). Bring "
            "its config.json back as it was, or start a new run."
        ) from error
    sharded.restore_optimizer(policy.model.network, optimizer, state["optimizer"])
    return int(state["step"])


def _demand_finite(errors: PairErrors, reference: PairErrors, batch: PairBatch) -> None:
    total = errors.chosen + errors.rejected + reference.chosen + reference.rejected
    sound = torch.isfinite(total).view(len(batch), -1).all(1)
    bad = [pair for pair, fine in zip(batch.pairs, sound.tolist(), strict=True) if not fine]
    if bad:
        raise UserError(_not_finite("error", bad))


def _not_finite(what: str, pairs: Sequence[str]) -> str:
    return (
        f"The {what} is not finite at pair {', '.join(pairs)}. The last saved state is as it was. "
        "Look at these clips; if they are sound, lower --lr or use --dtype float32."
    )
