"""Train on rewards without their gradient (DDPO): VADER's baseline on the same footing.

    python -m train.ddpo --db prefs.duckdb --model shapes --reward shapes --steps 30

Denoising is a decision process (Black et al. 2023, arXiv 2305.13301): each sampler step draws the
next latents from a normal distribution around what the policy predicts, and the finished clip's
reward judges all of them. Per step of training a batch of clips is sampled and scored; advantages
are the rewards less their mean, over their deviation, cut at 5 deviations; then its clips are taken
in `--updates` parts, each one update of the policy by the clipped ratio of probabilities at every
sampler step:

    mean over clips and steps of max(-A r, -A clip(r, 1 - c, 1 + c)),
    r = exp(log p(next latents) - log p when they were sampled)

with log p the mean over latents' elements, as in the authors' code (c = 1e-4 belongs to it). The
sampler is DDIM with `--eta` 1 in every parametrisation (`train.sampling.rollout.ancestral`); the
last step is sure and has no part. Model, adapter, prompts and rewards are those of `train.vader`
(`train.reward.reward_run`), but any scorer is a reward here, also one without a gradient
(`--reward flow`). Randomness is by counter.

Several devices: `accelerate launch --config_file train/configs/ddp.yaml -m train.ddpo ...`; --batch
is that of all, advantages are over all of it, and one process of 8 clips does what two of 4 do.

Left out on purpose: rewards' statistics per prompt, a pull towards the base, looks at fixed clips
(`train.reward.watch`), and networks that are spread over processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from data.console import say
from data.errors import UserError, user_errors
from data.records import Run
from train.options import option, parser
from train.reward.vader_config import Shared

if TYPE_CHECKING:  # these import torch: --help does not wait for it
    from pathlib import Path

    from train.reward.reward_run import Parts
    from train.run.distributed import Group
    from train.run.runs import RunFolder

_LESS = "a smaller --micro, --checkpointing blocks"


@dataclass(frozen=True, kw_only=True)
class Config(Shared):
    """Settings of one run. Everything that changes its result is here, and is kept with it."""

    reward: str = option(
        "shapes", "scorer[:weight],... any, also without gradients (flow); or omniscore[:weight]"
    )
    checkpointing: str = option(
        "none", "blocks: make the network's activations again on the way back"
    )
    eta: float = option(1.0, "noise of the sampler, above 0 to 1 (DDIM); DDPO: 1")
    updates: int = option(2, "of the policy per step, each on its part of the clips; DDPO: 2")
    clip: float = option(1e-4, "how far the ratio of probabilities counts from 1; DDPO: 1e-4")

    def __post_init__(self) -> None:
        """Refuse what has no part in a policy gradient."""
        super().__post_init__()
        if set(self.again) - {"blocks"}:
            raise UserError(
                f"--checkpointing is {self.checkpointing!r}; train.ddpo sends nothing back through "
                "decoder or reward: write none or blocks"
            )

    def _positive(self) -> tuple[str, ...]:
        return (*super()._positive(), "eta", "updates", "clip")


def run(config: Config) -> Run:
    """Trains, checks the adapter, and returns the finished run's record (with its folder).

    Raises:
        UserError: no prompts, an unknown reward, or clips that `updates` does not divide.
    """
    from train.reward import reward_run
    from train.run import distributed
    from train.run.mishaps import explained
    from train.run.trackers import names
    from train.sampling.origin import located

    if config.batch % config.updates:
        raise UserError(
            f"--batch is {config.batch}; it must be a multiple of --updates, {config.updates}"
        )
    group = distributed.join(config.device)
    distributed.demand_equal_shares(config.batch, group)
    earlier = group.from_main(lambda: located(config.db, config.from_adapter))
    config = replace(config, from_adapter=earlier)
    prompts = group.from_main(lambda: reward_run.train_prompts(config.db, config.prompts))
    parts = _prepared(config, group, prompts)
    names(config.trackers)
    folder = group.from_main(lambda: reward_run.begin("ddpo", config, prompts))
    with explained(folder.folder, _LESS), group.writing(folder) as mine:
        return _train(config, prompts, parts, mine, group, folder.state)


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
    folder = group.from_main(lambda: runs.reopen(run_folder, "ddpo", changes))
    config = folder.settings(Config)
    distributed.demand_equal_shares(config.batch, group)
    prompts = reward_run.begun(folder)
    parts = _prepared(config, group, prompts)
    with explained(folder.folder, _LESS), group.writing(folder) as mine:
        return _train(config, prompts, parts, mine, group, folder.state)


def _prepared(config: Config, group: Group, prompts: Sequence[str]) -> Parts:
    """As for `train.vader`; each process holds the network whole.

    Raises:
        UserError: it does not.
    """
    from train.reward import reward_run

    if group.sharded or (group.accelerator and group.accelerator.state.deepspeed_plugin):
        raise UserError(
            "train.ddpo holds the whole network in every process: start it with --config_file "
            "train/configs/ddp.yaml, or spread the weights with train.vader or train.dpo"
        )
    return reward_run.prepared(config, group, prompts, gradients=False)


def _train(
    config: Config,
    prompts: Sequence[str],
    parts: Parts,
    folder: RunFolder,
    group: Group,
    state: Path,
) -> Run:
    from tqdm import tqdm

    from train.preference import loop
    from train.reward import ascent, reward_card
    from train.reward.trajectory import Chances, update
    from train.run.export import export
    from train.run.trackers import names, tracked

    policy, optimizer, settings = parts.policy, parts.optimizer, parts.settings
    together = config.micro or config.batch // group.size
    chances = Chances(policy.model, settings, config.eta, together)
    work = folder.record.labels
    first = group.agreed(loop.load_state(state, policy, optimizer, work))
    folder.rewind(first)
    say(f"{len(prompts)} prompts, reward {config.reward}: {folder.folder}")
    metrics: dict[str, float] = {}
    with (
        tracked(folder, names(config.trackers) if group.main else (), first) as watched,
        tqdm(range(first, config.steps), desc="ddpo", unit="step", disable=None) as bar,
    ):
        for step in bar:
            draws = ascent.drawn(prompts, step, config)
            metrics = update(
                policy, chances, parts.reward, optimizer, draws,
                parts=config.updates, clip=config.clip, group=group,
            )  # fmt: skip
            watched.log(step, split="train", **metrics)
            bar.set_postfix(reward=f"{metrics['reward']:.3f}")
            if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
                loop.save_state(folder.state, step + 1, policy, optimizer, work)
    if not group.main:
        return folder.record
    done = export(
        policy, folder, prompts=prompts, settings=settings, seed=config.seed, shown=config.grid
    )
    metrics |= {"reload_difference": done.difference}
    say(f"Model card: {reward_card.write(folder, policy.model, metrics, prompts)}")
    return folder.finish(config.db, metrics)


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    options = parser(Config, "python -m train.ddpo", __doc__ or "")
    options.add_argument(
        "--resume", metavar="RUN", help="folder of an interrupted run to go on with"
    )
    given: dict[str, Any] = vars(options.parse_args(argv))
    resumed = given.pop("resume", None)
    if resumed is not None and set(given) - {"steps"}:
        raise UserError("--resume takes the run's own settings; only --steps may be given with it")
    done = run(Config(**given)) if resumed is None else resume(resumed, given.get("steps"))
    say(f"run {done.id}: reward {done.metrics.get('reward', float('nan')):.3f} at the last step")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
