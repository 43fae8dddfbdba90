"""Trains a LoRA on preference pairs: weighted Diffusion-DPO on people's or OmniScore's labels.

    python -m train.dpo --db prefs.duckdb --labels human

Labels come from people's votes (`human`), from OmniScore (`auto`: VideoDPO as published), or from
both (`posterior`: calibrated OmniScore, updated by each vote; every scored pair has one). Per pair
both clips see the same noise at the same noise level; the policy's squared errors are
compared with those of the reference, the same weights with the adapter off
(`train.losses.diffusion_dpo` has the formula). Before the first step both are equal, so a pair's
loss starts at exactly ln 2. Noise and noise level are drawn by counter from (seed, pair, epoch).
The run is done once its adapter, loaded into a freshly loaded pipeline, predicts what the policy
predicts.

Read `chosen_rise` before the loss: it says how much worse the policy denoises the clips that
people preferred. It rises in every DPO run; beyond `--rise-limit` samples get worse while loss and
accuracy go on improving.

While it runs, `train.preference.monitor` looks at margins by noise level, at the distance to the
reference and at samples; `--stop-rises` and `--stop-drift` end a run, and say why.

Several devices: `accelerate launch -m train.dpo ...` (`train.run.distributed`; --batch is that of
all).

Left out on purpose: learning-rate schedules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from data.console import say
from data.errors import UserError, user_errors
from train.options import parser
from train.preference.dpo_config import Config
from train.preference.presets import PRESETS, settled

if TYPE_CHECKING:  # these import torch: --help does not wait for it
    from data.records import Run
    from train.models import SampleSettings, VideoModel
    from train.preference.labelled import Labelled
    from train.preference.reference import ReferenceErrors
    from train.run.distributed import Group
    from train.run.runs import RunFolder

__all__ = ["Config", "main", "resume", "run"]


def run(
    config: Config, labelled: Labelled | None = None, known: ReferenceErrors | None = None
) -> Run:
    """Trains, checks the adapter, and returns the finished run's record (with its folder).

    Args:
        config: What to do.
        labelled: Labels to train on in place of those that `config` would read.
        known: The reference's errors of earlier runs on the same clips, model, size and seed.

    Raises:
        UserError: Whatever the person at the keyboard can mend.
    """
    from train.preference import dpo_parts
    from train.preference.labelled import read
    from train.run import distributed
    from train.run.mishaps import explained
    from train.sampling.origin import located

    group = distributed.join(config.device)
    distributed.demand_equal_shares(config.batch, group)
    if config.train == "lora":
        earlier = group.from_main(lambda: located(config.db, config.from_adapter))
        config = replace(config, from_adapter=earlier)
    weighting, profile = config.weighting, config.profile
    known_labels = labelled or group.from_main(
        lambda: read(config.db, config.labels, weighting, profile=profile)
    )
    model, settings = dpo_parts.model(config, known_labels, group)
    folder = group.from_main(lambda: _begin(config, known_labels))
    with explained(folder.folder), group.writing(folder) as mine:
        return _train(config, known_labels, model, settings, mine, group, known)


def _begin(config: Config, labelled: Labelled) -> RunFolder:
    from train.preference.labelled import write
    from train.run import runs

    folder = runs.begin(
        config.db, "dpo", config, out=config.out, snapshot=labelled.snapshot, labels=labelled.digest
    )
    write(folder.folder / "labels.jsonl", labelled.preferences)
    return folder


def resume(run_folder: str, steps: int | None = None) -> Run:
    """Goes on with an interrupted run: its settings, its labels, its last saved state.

    Args:
        run_folder: Of a run of this command.
        steps: A new total number of steps; None keeps the run's.
    """
    from train.preference import dpo_parts
    from train.preference.labelled import relabelled
    from train.run import distributed, runs
    from train.run.mishaps import explained

    changes = {} if steps is None else {"steps": steps}
    group = distributed.join()
    folder = group.from_main(lambda: runs.reopen(run_folder, "dpo", changes))
    config = folder.settings(Config)
    distributed.demand_equal_shares(config.batch, group)
    kept = folder.folder / "labels.jsonl"
    labelled = group.from_main(lambda: relabelled(config.db, kept, folder.record.snapshot))
    model, settings = dpo_parts.model(config, labelled, group)
    with explained(folder.folder), group.writing(folder) as mine:
        return _train(config, labelled, model, settings, mine, group)


def _train(
    config: Config,
    labelled: Labelled,
    model: VideoModel,
    settings: SampleSettings,
    folder: RunFolder,
    group: Group,
    known: ReferenceErrors | None = None,
) -> Run:
    from train.preference import beginnings, dpo_parts, loop, passes
    from train.preference.descend import descend, monitored
    from train.preference.labelled import split
    from train.preference.progress import announce
    from train.preference.reference import ReferenceErrors, context
    from train.run import card, memory
    from train.run.export import export
    from train.run.grid import Grid
    from train.run.trackers import names, tracked

    train, held_out = split(labelled, config.held_out)
    announce(folder, config.labels, labelled, settings, train=train, held_out=held_out)
    shelf = dpo_parts.shelf(config)
    material = passes.material(
        model, labelled.clips, labelled.prompts, settings, group, labelled.preferences,
        dpo_parts.kept(shelf, model, settings),
    )  # fmt: skip
    if model.image_conditioned:
        model.album = beginnings.album(labelled.clips.values(), labelled.prompts, settings)
    if shelf:
        shelf.trim()
    same = context(model, settings, config.from_adapter)
    policy = dpo_parts.policy(config, model)
    config, folder = dpo_parts.planned(config, policy, material, train, group, folder)
    memory.recompute(model, config.checkpointing)
    if config.compile:
        memory.compile_blocks(model)
    optimizer = memory.optimizer(config.optimizer, policy.parameters, config.lr)
    descent = passes.prepare(policy, optimizer, group, dpo_parts.objective(config, model, settings))
    first = group.agreed(loop.load_state(folder.state, policy, descent.optimizer, labelled.digest))
    if first > config.steps:
        raise UserError(
            f"The run has had {first} steps already; --steps is {config.steps}, below it"
        )
    if first == config.steps:
        say(f"All {first} steps are done; to go on: --resume {folder.folder} --steps N, N above it")
    folder.rewind(first)
    shown = dict.fromkeys(label.prompt for label in (*held_out, *train))
    prompts = [labelled.prompts[prompt].text for prompt in shown]
    grid = Grid(policy, prompts[: config.grid or 1], settings, folder.samples, seed=config.seed)
    wanted = names(config.trackers) if group.main else ()
    idle = config.offload != "none" and not config.grid_every
    with memory.parked(model, on=idle), tracked(folder, wanted, first) as watched:
        monitor = monitored(config, policy, material, (train, held_out), grid, watched, group)
        together = config.micro or config.batch // group.size
        if group.sharded:
            known = ReferenceErrors(keep=False)
        known = known or dpo_parts.reference(
            config, shelf, same, descent.objective, together=together
        )
        found = descend(config, descent, material, train, known, watched, monitor, first)
    if not group.saving:
        return folder.record
    done = export(
        policy, folder, prompts=prompts, settings=settings, seed=config.seed, shown=config.grid
    )
    found |= {"reload_difference": done.difference}
    say(f"Model card: {card.write(folder, model, found)}")
    return folder.finish(config.db, found) if group.main else folder.record


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    made = parser(Config, "python -m train.dpo", __doc__ or "")
    made.add_argument("--resume", metavar="RUN", help="folder of an interrupted run to go on with")
    made.add_argument("--preset", metavar="NAME", help=f"settings by name: {', '.join(PRESETS)}")
    given: dict[str, Any] = vars(made.parse_args(argv))
    if "resume" not in given:
        run(settled(given.pop("preset", None), given))
        return 0
    others = sorted(set(given) - {"resume", "steps"})
    if others:
        option = f"--{others[0].replace('_', '-')}"
        raise UserError(
            f"--resume keeps the run's own settings: leave out {option}. Only --steps may be "
            "given, as a new total."
        )
    resume(given["resume"], given.get("steps"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
