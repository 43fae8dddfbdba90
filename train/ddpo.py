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
last step is sure and has no part. Model, adapter, rewards and prompts are those of `train.vader`
(`train.reward.reward_run`), and randomness is by counter.

Left out on purpose: rewards' statistics per prompt, several devices, and a pull towards the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from data.console import say
from data.errors import UserError, user_errors
from data.records import Run
from train.reward.vader_config import Shared
from train.run.options import option, parser

if TYPE_CHECKING:  # these import torch: --help does not wait for it
    from train.run.runs import RunFolder


@dataclass(frozen=True, kw_only=True)
class Config(Shared):
    """Settings of one run. Everything that changes its result is here, and is kept with it."""

    eta: float = option(1.0, "noise of the sampler, above 0 to 1 (DDIM); DDPO: 1")
    updates: int = option(2, "of the policy per step, each on its part of the clips; DDPO: 2")
    clip: float = option(1e-4, "how far the ratio of probabilities counts from 1; DDPO: 1e-4")

    def _positive(self) -> tuple[str, ...]:
        return (*super()._positive(), "eta", "updates", "clip")


def run(config: Config) -> Run:
    """Trains, checks the adapter, and returns the finished run's record (with its folder).

    Raises:
        UserError: no prompts, an unknown reward, or clips that `updates` does not divide.
    """
    from train.reward import reward_run
    from train.sampling.origin import located

    if config.batch % config.updates:
        raise UserError(
            f"--batch is {config.batch}; it must be a multiple of --updates, {config.updates}"
        )
    config = replace(config, from_adapter=located(config.db, config.from_adapter))
    prompts = reward_run.train_prompts(config.db, config.prompts)
    return _train(config, prompts, reward_run.begin("ddpo", config, prompts))


def resume(run_folder: str, steps: int | None = None) -> Run:
    """Goes on with an interrupted run: its settings, its prompts, its last saved state.

    Args:
        run_folder: Of a run of this command.
        steps: A new total number of steps; None keeps the run's.
    """
    from train.reward import reward_run
    from train.run import runs

    folder = runs.reopen(run_folder, "ddpo", {} if steps is None else {"steps": steps})
    config = Config(**folder.record.config)
    return _train(config, reward_run.begun(folder), folder)


def _train(config: Config, prompts: Sequence[str], folder: RunFolder) -> Run:
    import torch
    from tqdm import tqdm

    from train.preference import loop
    from train.reward import ascent, reward_run
    from train.reward.trajectory import Chances, update
    from train.run.distributed import ALONE
    from train.run.export import export
    from train.run.trackers import names, tracked

    model = reward_run.loaded(config, ALONE)
    settings = reward_run.sampled_at(model, config)
    model.album = reward_run.album(model, config, prompts, settings)
    reward = reward_run.mixture(config, config.reward, model, ALONE)
    policy, work = reward_run.adapted(config, model), folder.record.labels
    chances = Chances(model, settings, config.eta, config.micro or config.batch)
    optimizer = torch.optim.AdamW(policy.parameters, lr=config.lr, weight_decay=0.0)
    first = loop.load_state(folder.state, policy, optimizer, work)
    folder.rewind(first)
    say(f"{len(prompts)} prompts, reward {config.reward}: {folder.folder}")
    metrics: dict[str, float] = {}
    with (
        tracked(folder, names(config.trackers), first) as watched,
        tqdm(range(first, config.steps), desc="ddpo", unit="step", disable=None) as bar,
    ):
        for step in bar:
            draws = ascent.drawn(prompts, step, config)
            metrics = update(
                policy, chances, reward, optimizer, draws, parts=config.updates, clip=config.clip
            )
            watched.log(step, split="train", **metrics)
            bar.set_postfix(reward=f"{metrics['reward']:.3f}")
            if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
                loop.save_state(folder.state, step + 1, policy, optimizer, work)
    export(policy, folder, prompts=prompts, settings=settings, seed=config.seed, shown=config.grid)
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
