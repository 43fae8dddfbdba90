"""What a run of `train.dpo` is put together from, each part made of the run's settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from data.console import say
from data.errors import UserError
from data.records import Preference, digest
from train import full, models
from train.losses import NAMES, make
from train.models import SampleSettings, VideoModel
from train.policy import Policy, attach, continue_from
from train.preference import plan
from train.preference.batches import Material, PairBatch, admit
from train.preference.cache import Kept, Shelf, folder_of
from train.preference.dpo_config import Config
from train.preference.labelled import Labelled, split
from train.preference.objective import Objective, time_axis
from train.preference.reference import ReferenceErrors
from train.run import memory, trackers
from train.run.runs import RunFolder

if TYPE_CHECKING:
    from train.run.distributed import Group


def objective(config: Config, made: VideoModel, settings: SampleSettings) -> Objective:
    """The loss on batches of pairs."""
    return Objective(
        loss=make(config.loss, flips=config.flips, sft=config.sft),
        schedule=config.beta_schedule,
        anchor=config.anchor,
        segments=config.segments,
        time=time_axis(made, settings) or 1,
        released=config.as_released,
        alone=config.checkpointing == "all",
    )


def model(config: Config, labelled: Labelled, group: Group) -> tuple[VideoModel, SampleSettings]:
    """The model on its device and the size it is trained at, once all can be used together."""
    if config.loss not in NAMES:
        raise UserError(f"Unknown loss {config.loss!r}; choose one of {', '.join(NAMES)}")
    trackers.names(config.trackers)  # raises for one that there is not
    device = group.device(config.device)
    made = models.load(config.model, device=device, dtype=getattr(torch, config.dtype))
    size = {name: getattr(config, name) for name in ("frames", "height", "width", "guidance")}
    size["steps"] = config.sampler_steps
    given = {name: value for name, value in size.items() if value is not None}
    settings = replace(made.sample_defaults, **given)
    made.check(settings)
    _demand_segments(config, made, settings)
    split(labelled, config.held_out)  # raises where nothing is left to train on
    admit(labelled.clips.values(), settings, _fit(config, made), made.name)
    return made, settings


def policy(config: Config, made: VideoModel) -> Policy:
    """The model with the adapter that is trained, its frozen weights where they are to be."""
    earlier = Path(config.from_adapter) if config.from_adapter else None
    if config.train == "full":
        found: Policy = full.start(made, earlier)
    elif earlier:
        found = continue_from(made, earlier)
    else:
        alpha = config.rank if config.alpha is None else config.alpha
        found = attach(made, rank=config.rank, alpha=alpha, seed=config.seed)
    if config.storage == "float8":
        memory.store_float8(made)
    if config.offload == "groups":
        memory.offload_groups(made)
    return found


def planned(
    config: Config,
    trained: Policy,
    material: Material,
    labels: Sequence[Preference],
    group: Group,
    folder: RunFolder,
) -> tuple[Config, RunFolder]:
    """The settings with which a step fits, also in the run's folder: a resumed run keeps to them.

    Says what a step is expected to take. What is given (--checkpointing, --micro) is kept, and only
    said, as everything is with `--plan say`; then a network that cannot be counted is named.
    """
    if plan.silent(config.plan, config.model):
        return config, folder
    one = material.batch(
        labels[:1], [0], bank_seed=config.seed, device=trained.model.device,
        released=config.as_released,
    )  # fmt: skip
    pairs = -(-config.batch // group.size)
    if config.plan == "say":
        said = group.from_main(lambda: _expected(config, trained, one, pairs))
        say(said)
        return config, folder
    made = group.from_main(lambda: _plan(config, trained, one, pairs))
    say(plan.expected(made, trained.model))
    found = {"checkpointing": made.checkpointing, "micro": made.micro}
    record = replace(folder.record, config={**folder.record.config, "plan": "none", **found})
    folder = replace(folder, record=record)
    if group.main:
        folder.keep()
    return replace(config, **found), folder


def _expected(config: Config, trained: Policy, one: PairBatch, pairs: int) -> str:
    """What a step is expected to take, or why that is not known."""
    try:
        return plan.expected(_plan(config, trained, one, pairs), trained.model)
    except UserError as error:
        return str(error)


def _plan(config: Config, trained: Policy, one: PairBatch, pairs: int) -> plan.Plan:
    device, cost = trained.model.device, plan.counted(trained.model, one)
    count = sum(weight.numel() for weight in trained.parameters)
    given = config.checkpointing != "none" or config.micro is not None
    if given or config.plan == "say":
        return plan.plan(
            cost, config.checkpointing, config.micro or pairs, pairs=pairs, trained=count,
            optimizer=config.optimizer,
        )  # fmt: skip
    room = plan.room(device, config.memory)
    return plan.choose(cost, pairs=pairs, trained=count, room=room, optimizer=config.optimizer)


def shelf(config: Config) -> Shelf | None:
    """The cache on disk, if there is to be one."""
    if config.cache == "none":
        return None
    folder = folder_of(config.db) if config.cache == "auto" else Path(config.cache)
    return Shelf(folder, int(config.cache_limit * 2**30))


def kept(place: Shelf | None, made: VideoModel, settings: SampleSettings) -> Kept | None:
    """Its latents and conditions of this model at this size."""
    return Kept(place, made, settings) if place else None


def reference(
    config: Config, place: Shelf | None, context: str, aim: Objective, *, together: int
) -> ReferenceErrors:
    """The reference's errors of earlier runs that rounded as this one does.

    Args:
        config: Of the run.
        place: Of the cache.
        context: From `train.preference.reference.context`.
        aim: The run's objective.
        together: Pairs per pass.
    """
    if place is None or not aim.comparable:
        return ReferenceErrors()
    rounding = (together, config.storage, config.compile, aim.segments, aim.released)
    name = digest("errors", context, config.seed, *rounding)[:24]
    return ReferenceErrors(place.folder / "reference" / f"{name}.jsonl")


def _demand_segments(config: Config, made: VideoModel, settings: SampleSettings) -> None:
    shape, axis = made.latent_shape(settings), time_axis(made, settings)
    if (config.segments > 1 and axis is None) or (config.as_released and len(shape) != 4):
        raise UserError(
            "--segments needs latents with one axis of time, and --as-released latents of four "
            f"axes; those of {made.name} are {shape}"
        )
    if axis is not None and config.segments > shape[axis]:
        raise UserError(
            f"--segments is {config.segments}, and a clip has {shape[axis]} latent frames; it must "
            f"be at most {shape[axis]}"
        )


def _fit(config: Config, made: VideoModel) -> Literal["exact", "resize"]:
    if config.fit != "auto":
        return config.fit
    return "resize" if made.name == "shapes" else "exact"
