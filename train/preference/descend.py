"""The steps of `train.dpo`, from prepared parts to the last evaluation."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tqdm import tqdm

from data.console import say
from data.records import Preference
from train.losses import Metrics
from train.policy import Policy
from train.preference import loop, plan
from train.preference.batches import Material
from train.preference.dpo_config import Config
from train.preference.evaluate import Evaluation
from train.preference.monitor import Monitor
from train.preference.passes import Descent
from train.preference.reference import ReferenceErrors, in_parts
from train.preference.strength import Automatic
from train.run.distributed import Group
from train.run.grid import Grid
from train.run.runs import RunFolder


def descend(
    config: Config,
    descent: Descent,
    material: Material,
    train: Sequence[Preference],
    known: ReferenceErrors,
    folder: RunFolder,
    monitor: Monitor,
    first: int,
) -> Metrics:
    """The steps from `first` on, until they are done or a rule ends them.

    Args:
        config: Of the run.
        descent: Policy and optimizer, restored.
        material: With every clip of `train`.
        train: Labels, all of them in every process.
        known: The reference's errors so far.
        folder: The open run.
        monitor: That looks, and may end the run.
        first: Updates that the policy has had.

    Returns:
        The last evaluation, `seconds`, and `stopped` (updates done) where a rule ended the run.
    """
    policy, group = descent.policy, descent.group
    strength = Automatic(config.beta, config.auto_beta)
    for line in group.from_main(folder.logged):  # the other processes write elsewhere
        strength.see(line["gap"] if line["split"] == "train" else 0.0)
    started, stopped = time.monotonic(), {}
    for step in tqdm(range(first, config.steps), desc="train", unit="step", disable=None):
        if monitor.stops(step):
            loop.save_state(folder.state, step, policy, descent.optimizer, folder.record.labels)
            stopped = {"stopped": float(step)}
            break
        began = time.monotonic()
        picked, epochs = loop.pick(train, step, config.batch, config.seed)
        some, epochs = group.share(picked), group.share(epochs)
        draws = [epoch % (config.draws or epoch + 1) for epoch in epochs]
        parts = in_parts(
            policy, descent.objective, material, known, some, draws, size=config.micro,
            bank_seed=config.seed,
        )  # fmt: skip
        beta = strength.beta
        metrics = loop.update(descent, parts, beta, pairs=len(some)) | {"beta": beta}
        strength.see(metrics["gap"])
        if step == first and config.plan != "none":
            plan.measured(policy.model.device, time.monotonic() - began, config.steps - step - 1)
        folder.log(step, split="train", **metrics)
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            loop.save_state(folder.state, step + 1, policy, descent.optimizer, folder.record.labels)
    seconds = time.monotonic() - started
    say(f"{seconds:.1f} s of training, evaluations included")
    last = monitor.latest if stopped else monitor.look(config.steps)
    return last | stopped | {"seconds": seconds}


def monitored(
    config: Config,
    policy: Policy,
    material: Material,
    both: tuple[Sequence[Preference], Sequence[Preference]],
    grid: Grid,
    folder: RunFolder,
    group: Group,
) -> Monitor:
    """A monitor on the held-out pairs; on the training pairs (the first of `both`) without any."""
    train, held_out = both
    watched, where = (held_out, "held-out") if held_out else (train, "training pairs")
    evaluate = Evaluation(
        policy,
        material,
        watched[: config.evaluate_pairs],
        batch=config.micro or config.batch,
        group=group,
    )
    return Monitor(config, policy, evaluate, grid, folder, group, where)
