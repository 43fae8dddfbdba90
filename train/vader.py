"""Train on automatic rewards by their gradient (VADER): sample, decode, score, and descend.

    python -m train.vader --db prefs.duckdb --model shapes --reward shapes --steps 30

Each step samples a batch of clips from the policy for prompts of the database's `train` split,
decodes them, scores them with differentiable scorers, and sends the gradient back through the
decoder and the last K steps of the sampler into the LoRA, through both branches of classifier-free
guidance (VADER, Prabhudesai et al. 2024; K = 1 is its setting). All randomness is by counter: the
same command gives the same adapter on the CPU, bit for bit, also across `--resume`.

Differs from VADER's code: every frame is decoded and scored (it scores one), the gradient flows
through one module's forward (its processes never synchronise), seeds are no wall clock. K = 1
changes what the last step can still change, appearance rather than motion, and a reward can be
hacked: `metrics.jsonl` has the drift from the reference and the share of saturated pixels beside
the reward. Stop early, and judge with something else than the reward (`python -m train.compare`).

Left out on purpose: gradients through steps before the last K, several gradient draws per rollout
(DRaFT-LV), decoding only some frames, and more than one device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from data.console import say
from data.errors import UserError, user_errors
from data.records import Prompt, Run, digest
from train.options import option, parser

if TYPE_CHECKING:  # these import torch: --help does not wait for it
    import torch

    from train.models import SampleSettings, VideoModel
    from train.policy import Policy
    from train.rewards import RolloutAndReward
    from train.runs import RunFolder

_POSITIVE = ("k", "steps", "batch", "lr", "rank", "save_every")
_PROMPTS = "prompts.txt"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one run. Everything that changes its result is here, and is kept with it."""

    db: str = option("prefs.duckdb", "database whose train prompts are sampled")
    model: str = option("shapes", "`shapes` (built in), a diffusers folder, or a hub id")
    reward: str = option("shapes", "scorer[:weight],... each differentiable; or omniscore[:weight]")
    profile: str = option("shapes", "of the reward `omniscore`; calibrated:ID as people prefer")
    loss: str = option("negative-mean", "a name of train.rewards.LOSSES")
    target: float = option(0.0, "of the losses `distance` and `hinge`, in units of the reward")
    k: int = option(1, "last sampler steps that carry gradient; VADER: 1")
    steps: int = option(30, "optimizer steps; on `shapes` 20 to 40, then stop")
    batch: int = option(8, "clips per step")
    lr: float = option(1e-3, "AdamW's learning rate; VADER: 2e-4")
    rank: int = option(8, "of the LoRA on the attention's projections; VADER: 8 or 16")
    alpha: float | None = option(None, "LoRA's alpha; none: the rank, so that its scale is 1")
    seed: int = option(0, "of the LoRA's start, the order of prompts and the clips' noise")
    sampler_steps: int | None = option(None, "denoising steps; none: the model's")
    guidance: float | None = option(None, "classifier-free guidance scale; none: the model's")
    from_adapter: str | None = option(None, "adapter to go on from; it is then the reference")
    save_every: int = option(10, "steps between saved states")
    grid: int = option(4, "prompts sampled before and after training; 0: none")
    device: str = option("auto", "cpu, cuda, cuda:1, ...; auto: the GPU where there is one")
    out: str = option("runs", "folder that the run's folder is made in")

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train anything."""
        for name in _POSITIVE:
            if not 0 < getattr(self, name) < math.inf:
                shown = name.replace("_", "-")
                raise UserError(f"--{shown} is {getattr(self, name)}; it must be above 0")


@dataclass(frozen=True)
class _Parts:
    """What is trained, what is optimised, and how clips are sampled."""

    policy: Policy
    rolled: RolloutAndReward
    settings: SampleSettings


def run(config: Config) -> Run:
    """Trains, checks the adapter, and returns the finished run's record (with its folder).

    Raises:
        UserError: no prompts, an unknown reward, or a gradient that is not finite.
    """
    from train import runs

    prompts = train_prompts(config.db)
    parts = _parts(config)
    work = digest("prompts", *prompts)
    folder = runs.begin(config.db, "vader", config, out=config.out, labels=work)
    runs.write_whole(folder.folder / _PROMPTS, "".join(f"{text}\n" for text in prompts))
    return _train(config, prompts, parts, folder)


def resume(run_folder: str, steps: int | None = None) -> Run:
    """Goes on with an interrupted run: its settings, its prompts, its last saved state.

    Args:
        run_folder: Of a run of this command.
        steps: A new total number of steps; None keeps the run's.
    """
    from train import runs

    folder = runs.reopen(run_folder, "vader", {} if steps is None else {"steps": steps})
    config = Config(**folder.record.config)
    prompts = (folder.folder / _PROMPTS).read_text().splitlines()
    return _train(config, prompts, _parts(config), folder)


def train_prompts(db: str) -> list[str]:
    """The texts of the database's train prompts, sorted, each on one line.

    Raises:
        UserError: no database, or none in it.
    """
    from data.store import Store

    with Store.open(db) as store:
        known = cast("list[Prompt]", store.all("prompts"))
    texts = {" ".join(prompt.text.split()) for prompt in known if prompt.split == "train"}
    if not texts:
        raise UserError(f"{db} has no train prompts; add some: python -m train.sample --db {db}")
    return sorted(texts)


def _parts(config: Config) -> _Parts:
    from scorers.run import profile_in
    from train import models, policy, rewards

    if config.loss not in rewards.LOSSES:
        raise UserError(
            f"unknown --loss {config.loss!r}; choose one of {', '.join(rewards.LOSSES)}"
        )
    weights = rewards.parse(config.reward)
    model = models.load(config.model, device=config.device)
    settings = _settings(model, config)
    trained = (
        policy.continue_from(model, Path(config.from_adapter))
        if config.from_adapter
        else policy.attach(
            model, rank=config.rank, alpha=config.alpha or config.rank, seed=config.seed
        )
    )
    omniscore = profile_in(config.db, config.profile) if rewards.OMNISCORE in weights else None
    mixture = rewards.Mixture(weights, device=model.device, omniscore=omniscore)
    if mixture.silent:
        say(f"{config.profile} as a reward is blind to {', '.join(mixture.silent)}: no gradients")
    rolled = rewards.RolloutAndReward(trained, mixture, settings, grad_steps=config.k)
    return _Parts(trained, rolled, settings)


def _settings(model: VideoModel, config: Config) -> SampleSettings:
    given = {"steps": config.sampler_steps, "guidance": config.guidance}
    named = {name: value for name, value in given.items() if value is not None}
    return replace(model.sample_defaults, **named)


def _train(config: Config, prompts: Sequence[str], parts: _Parts, folder: RunFolder) -> Run:
    import torch
    from tqdm import tqdm

    from train import loop
    from train.export import export

    policy, work = parts.policy, folder.record.labels
    optimizer = torch.optim.AdamW(policy.parameters, lr=config.lr, weight_decay=0.0)
    first = loop.load_state(folder.state, policy, optimizer, work)
    folder.rewind(first)
    say(f"{len(prompts)} prompts, reward {config.reward}, K = {config.k}: {folder.folder}")
    metrics: dict[str, float] = {}
    with tqdm(range(first, config.steps), desc="vader", unit="step", disable=None) as bar:
        for step in bar:
            metrics = _update(config, parts, optimizer, pick(prompts, step, config))
            folder.log(step, split="train", **metrics)
            bar.set_postfix(reward=f"{metrics['reward']:.3f}", drift=f"{metrics['drift']:.4f}")
            if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
                loop.save_state(folder.state, step + 1, policy, optimizer, work)
    export(
        policy,
        folder,
        prompts=prompts,
        settings=parts.settings,
        seed=config.seed,
        shown=config.grid,
    )
    return folder.finish(config.db, metrics)


def pick(prompts: Sequence[str], step: int, config: Config) -> list[tuple[str, int]]:
    """The prompts of one step, each with the epoch in which it stands (the counter of its noise).

    A permutation per epoch, by seed; epochs follow one another without a gap.
    """
    from train.loop import order

    span = range(step * config.batch, (step + 1) * config.batch)
    places = [divmod(place, len(prompts)) for place in span]
    orders = {epoch: order(len(prompts), config.seed, epoch) for epoch, _ in places}
    return [(prompts[orders[epoch][place]], epoch) for epoch, place in places]


def _update(
    config: Config,
    parts: _Parts,
    optimizer: torch.optim.Optimizer,
    some: Sequence[tuple[str, int]],
) -> dict[str, float]:
    """One step of the optimizer on one batch of fresh clips; what was measured before it."""
    import torch

    from train import bank, rewards
    from train.loop import GRADIENT_LIMIT

    model = parts.policy.model
    shape = model.latent_shape(parts.settings)
    noise = [bank.noise(config.seed, f"vader {text}", epoch, shape) for text, epoch in some]
    rolled = parts.rolled(torch.stack(noise).to(model.device), [text for text, _ in some])
    loss = rewards.LOSSES[config.loss](rolled.rewards, config.target)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(parts.policy.parameters, GRADIENT_LIMIT).item()
    if not math.isfinite(norm):
        raise UserError(
            "the gradient is not finite. Nothing was saved since the last state; lower --lr"
        )
    optimizer.step()
    return {
        "reward": rolled.rewards.mean().item(),
        "loss": loss.item(),
        "gradient": norm,
        "drift": rolled.drift,
        "saturated": rolled.saturated,
    }


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
        done = run(Config(**given))
    elif set(given) <= {"steps"}:
        done = resume(resumed, given.get("steps"))
    else:
        raise UserError("--resume takes the run's own settings; only --steps may be given with it")
    say(f"run {done.id}: reward {done.metrics['reward']:.3f} at the last step")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
