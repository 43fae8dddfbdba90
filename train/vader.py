"""Train on automatic rewards by their gradient (VADER): sample, decode, score, and descend.

    python -m train.vader --db prefs.duckdb --model shapes --reward shapes --steps 30

Each step samples a batch of clips from the policy for train prompts, decodes what is scored, scores
it with differentiable scorers, and sends the gradient back through the decoder and some steps of
the sampler into the LoRA (VADER, Prabhudesai et al. 2024: the last step, through both branches of
classifier-free guidance). `train.reward.backprop` has the other ways. All randomness is by counter:
the same command gives the same adapter on the CPU, bit for bit, also across `--resume`.

A reward can be hacked, and then rises while clips get worse: `train.reward.watch` looks at fixed
clips beside the base model's, by the reward, by `--watch SCORER` and by what needs no scorer, and
ends the run with a reason. The adapter that is kept is then that of the last look without
complaint. K = 1 changes what the last step can still change, appearance rather than motion. Judge
with something else than the reward (`python -m train.compare`).

`--plan` says beforehand what a step takes (`train.reward.forecast`); `--decoder` puts a smaller
decoder before the rewards, with its measured bias (`train.reward.tiny_decoder`).

Several devices: `accelerate launch -m train.vader ...`; --batch is that of all, and gradients meet
in one module's forward (`train.reward.rewarded`).

An image-to-video model takes its first images from `--image`, or from a table of prompts; with
`--rounds` it makes long clips, each part going on from the last frame of the one before.

Left out on purpose: looks at long clips (the watch sees the first part).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from data.console import say
from data.errors import UserError, user_errors
from data.records import Run
from train.options import parser
from train.reward.vader_config import PRESETS, Config, configured

if TYPE_CHECKING:  # these import torch: --help does not wait for it
    from pathlib import Path

    from train.preference.passes import Descent
    from train.reward.lookout import Lookout
    from train.reward.reward_run import Rolling
    from train.run.distributed import Group
    from train.run.runs import RunFolder

_LESS = (
    "--plan auto, a smaller --micro, --checkpointing network,decoder,reward, "
    "--decoder-gradient chosen, --score-frames random"
)
__all__ = ["PRESETS", "Config", "main", "resume", "run"]


def run(config: Config) -> Run:
    """Trains, checks the adapter, and returns the finished run's record (with its folder).

    Raises:
        UserError: no prompts, an unknown reward, or a gradient that is not finite.
    """
    from train.reward import lookout, reward_run
    from train.run import distributed
    from train.run.mishaps import explained
    from train.run.trackers import names
    from train.sampling.origin import located

    group = distributed.join(config.device)
    distributed.demand_equal_shares(config.batch, group)
    earlier = group.from_main(lambda: located(config.db, config.from_adapter))
    config = replace(config, from_adapter=earlier)
    prompts = group.from_main(lambda: reward_run.train_prompts(config.db, config.prompts))
    parts = reward_run.rolling(config, group, prompts)
    lookout.demand_usable(config)
    names(config.trackers)
    folder = group.from_main(lambda: reward_run.begin("vader", parts.config, prompts))
    with explained(folder.folder, _LESS), group.writing(folder) as mine:
        return _train(parts.config, prompts, parts, mine, group, folder.state)


def resume(run_folder: str, steps: int | None = None) -> Run:
    """Goes on with an interrupted run: its settings, its prompts, its last saved state.

    Args:
        run_folder: Of a run of this command.
        steps: A new total number of steps; None keeps the run's.
    """
    from train.reward import reward_run
    from train.run import distributed, runs
    from train.run.mishaps import explained

    changes = {} if steps is None else {"steps": steps}
    group = distributed.join()
    folder = group.from_main(lambda: runs.reopen(run_folder, "vader", changes))
    config = folder.settings(Config)
    prompts = reward_run.begun(folder)
    parts = reward_run.rolling(config, group, prompts)
    with explained(folder.folder, _LESS), group.writing(folder) as mine:
        return _train(config, prompts, parts, mine, group, folder.state)


def _train(
    config: Config,
    prompts: Sequence[str],
    parts: Rolling,
    folder: RunFolder,
    group: Group,
    state: Path,
) -> Run:
    from train.preference import loop
    from train.reward import ascent, reward_card, reward_run
    from train.reward.lookout import Lookout
    from train.run.export import export
    from train.run.trackers import names, tracked

    policy = parts.policy
    climb = ascent.prepare(parts.rolled, policy, parts.optimizer, group)
    first = loop.load_state(state, policy, climb.optimizer, folder.record.labels)
    folder.rewind(first)
    say(f"{len(prompts)} prompts, reward {config.reward}, K = {config.k}: {folder.folder}")
    with tracked(folder, names(config.trackers) if group.main else (), first) as watched:
        lookout = Lookout(config, parts, watched, group, prompts)
        if config.decoder and first == 0 and group.saving:
            _measure_decoder(config, parts, lookout.prompts or prompts, watched)
        if policy.model.device.type == "cuda":
            reward_run.remember(policy.model, [*prompts, *lookout.prompts])
        metrics = _climb(config, prompts, parts, climb, lookout, watched, first)
        if not group.saving:
            return folder.record
        metrics |= lookout.finish(metrics)
    done = export(
        policy,
        folder,
        prompts=prompts,
        settings=parts.settings,
        seed=config.seed,
        shown=config.grid,
    )
    metrics |= {"reload_difference": done.difference}
    say(f"Model card: {reward_card.write(folder, policy.model, metrics, prompts)}")
    return folder.finish(config.db, metrics) if group.main else folder.record


def _measure_decoder(
    config: Config, parts: Rolling, prompts: Sequence[str], folder: RunFolder
) -> None:
    """Says and logs how far `--decoder` is from the model's own."""
    from train.reward import tiny_decoder

    some = prompts[: tiny_decoder.CLIPS]
    found = tiny_decoder.measured(
        parts.policy, parts.reward, parts.scoring, parts.settings, some, config.seed
    )
    say(tiny_decoder.told(found, len(some)))
    folder.log(0, split="decoder", clips=len(some), **found)


def _climb(
    config: Config,
    prompts: Sequence[str],
    parts: Rolling,
    climb: Descent,
    lookout: Lookout,
    folder: RunFolder,
    first: int,
) -> dict[str, float]:
    """The updates from `first` on, until they are done or the lookout ends them; the last one's."""
    from tqdm import tqdm

    from train.preference import loop, plan
    from train.reward import ascent

    metrics: dict[str, float] = {}
    with tqdm(range(first, config.steps), desc="vader", unit="step", disable=None) as bar:
        for step in bar:
            if lookout.stops(step, metrics):
                break
            began = time.monotonic()
            draws = ascent.drawn(prompts, step, config)
            metrics = ascent.update(climb, parts.rolled, config, draws)
            if step == first and config.plan != "none":
                device, left = climb.policy.model.device, config.steps - step - 1
                plan.measured(device, time.monotonic() - began, left)
            folder.log(step, split="train", **metrics)
            bar.set_postfix(reward=f"{metrics['reward']:.3f}", drift=f"{metrics['drift']:.4f}")
            if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
                work = folder.record.labels
                loop.save_state(folder.state, step + 1, climb.policy, climb.optimizer, work)
    return metrics


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    options = parser(Config, "python -m train.vader", __doc__ or "")
    options.add_argument(
        "--resume", metavar="RUN", help="folder of an interrupted run to go on with"
    )
    given: dict[str, Any] = vars(options.parse_args(argv))
    resumed = given.pop("resume", None)
    if resumed is None:
        done = run(configured(given))
    elif set(given) <= {"steps"}:
        done = resume(resumed, given.get("steps"))
    else:
        raise UserError("--resume takes the run's own settings; only --steps may be given with it")
    if "reward" in done.metrics:
        say(f"run {done.id}: reward {done.metrics['reward']:.3f} at the last step")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
