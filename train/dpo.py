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

Left out on purpose: the reductions of VideoDPO's released code, learning-rate schedules, and more
than one device.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from data.console import say
from data.errors import UserError, user_errors
from train.options import option, parser

if TYPE_CHECKING:  # these import torch: --help does not wait for it
    from data.records import Run
    from train.labelled import Labelled, Weighting
    from train.models import SampleSettings, VideoModel
    from train.policy import Policy
    from train.reference import ReferenceErrors
    from train.runs import RunFolder

_COUNTS = ("steps", "batch", "rank", "evaluate_every", "evaluate_pairs", "save_every")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one run. Everything that changes its result is here, and is kept with it."""

    db: str = option("prefs.duckdb", "database with pairs, scores and votes")
    labels: str = option(
        "human", "`human` votes, OmniScore's opinion (`auto`), or both (`posterior`)"
    )
    model: str = option("shapes", "`shapes` (built in), a diffusers folder, or a hub id")
    steps: int = option(100, "optimizer steps; on `shapes` 75 to 150 are enough")
    batch: int = option(16, "pairs per step")
    micro: int | None = option(None, "pairs that go through the network together; none: all")
    checkpointing: Literal["none", "blocks"] = option(
        "none", "blocks: compute the activations of each block again on the way back: less memory"
    )
    lr: float = option(5e-4, "AdamW's learning rate; for large models 1e-5 to 1e-4")
    beta: float = option(1000.0, "pull towards the reference; published: 2000 to 5000")
    loss: str = option("diffusion-dpo", "diffusion-dpo, hinge, ipo, cdpo, robust or kto")
    flips: float = option(0.1, "cdpo and robust: share of labels that are the wrong way round")
    sft: float = option(0.0, "weight of the chosen clips' own errors beside the loss")
    rank: int = option(8, "of the LoRA on the attention's projections")
    alpha: float | None = option(None, "LoRA's alpha; none: the rank, so that its scale is 1")
    seed: int = option(0, "of the LoRA's start, the order of pairs, noise and noise levels")
    held_out: float = option(0.1, "share of prompts never trained on, by hash of the prompt")
    profile: str | None = option(
        None, "OmniScore profile; none: the calibration in use, or what pairs were made with"
    )
    weights: str = option("paper", "pair weights: paper, code, max-bin (VideoDPO) or none")
    weight_alpha: float | None = option(None, "exponent in place of the preset's")
    weight_beta: float | None = option(None, "numerator in place of the preset's")
    weight_clip: float | None = option(None, "largest weight, before normalisation")
    weight_normalise: Literal["none", "mean"] = option(
        "mean", "`mean` scales the weights to mean 1 over all labels; VideoDPO does not"
    )
    fit: Literal["auto", "exact", "resize"] = option(
        "auto", "clips of another size: refuse, or crop and resize; auto: resize for `shapes`"
    )
    frames: int | None = option(None, "frames per clip; none: the model's")
    height: int | None = option(None, "pixels; none: the model's")
    width: int | None = option(None, "pixels; none: the model's")
    from_adapter: str | None = option(None, "adapter to go on from; it is then the reference")
    evaluate_every: int = option(20, "steps between evaluations on held-out pairs")
    evaluate_pairs: int = option(64, "most pairs that an evaluation takes")
    save_every: int = option(10, "steps between saved states")
    rise_limit: float = option(
        0.25, "chosen_rise at which to warn: on `shapes`, samples get worse from there on"
    )
    grid: int = option(4, "prompts sampled before and after training; 0: none")
    device: str = option("auto", "cpu, cuda, cuda:1, ...; auto: the GPU where there is one")
    dtype: Literal["float32", "bfloat16"] = option(
        "float32", "of the frozen weights; the LoRA is float32"
    )
    out: str = option("runs", "folder that the run's folder is made in")

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train anything."""
        for name in (*_COUNTS, "lr", "beta"):
            if not 0 < getattr(self, name) < math.inf:
                shown = name.replace("_", "-")
                raise UserError(f"--{shown} is {getattr(self, name)}; it must be above 0")
        if self.micro is not None and self.micro < 1:
            raise UserError(f"--micro is {self.micro}; it must be at least 1")
        if not 0 <= self.flips < 0.5:
            raise UserError(f"--flips is {self.flips}; it must lie in [0, 0.5)")
        if not 0 <= self.sft < math.inf:
            raise UserError(f"--sft is {self.sft}; it must be 0 or more")
        if not 0 <= self.held_out < 1:
            raise UserError(f"--held-out is {self.held_out}; it must lie in [0, 1)")

    @property
    def weighting(self) -> Weighting:
        """The weight options as `train.labelled` takes them."""
        from train.labelled import Weighting

        return Weighting(
            preset=self.weights,
            alpha=self.weight_alpha,
            beta=self.weight_beta,
            clip=self.weight_clip,
            normalise=self.weight_normalise,
        )


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
    from train import runs
    from train.labelled import read, write

    labelled = labelled or read(config.db, config.labels, config.weighting, profile=config.profile)
    model, settings = _model(config, labelled)
    folder = runs.begin(
        config.db, "dpo", config, out=config.out, snapshot=labelled.snapshot, labels=labelled.digest
    )
    write(folder.folder / "labels.jsonl", labelled.preferences)
    return _train(config, labelled, model, settings, folder, known)


def resume(run_folder: str, steps: int | None = None) -> Run:
    """Goes on with an interrupted run: its settings, its labels, its last saved state.

    Args:
        run_folder: Of a run of this command.
        steps: A new total number of steps; None keeps the run's.
    """
    from train import runs
    from train.labelled import relabelled

    changes = {} if steps is None else {"steps": steps}
    folder = runs.reopen(run_folder, "dpo", changes)
    config = Config(**folder.record.config)
    labelled = relabelled(config.db, folder.folder / "labels.jsonl", folder.record.snapshot)
    model, settings = _model(config, labelled)
    return _train(config, labelled, model, settings, folder)


def _train(
    config: Config,
    labelled: Labelled,
    model: VideoModel,
    settings: SampleSettings,
    folder: RunFolder,
    known: ReferenceErrors | None = None,
) -> Run:
    import torch
    from tqdm import tqdm

    from train import loop
    from train.batches import prepare
    from train.evaluate import Evaluation
    from train.export import export
    from train.labelled import split
    from train.losses import make
    from train.progress import announce, evaluated
    from train.reference import ReferenceErrors, in_parts

    reference, loss = (
        known or ReferenceErrors(),
        make(config.loss, flips=config.flips, sft=config.sft),
    )
    train, held_out = split(labelled, config.held_out)
    announce(folder, config.labels, labelled, settings, train=train, held_out=held_out)
    material = prepare(model, labelled.clips, labelled.prompts, settings)
    policy = _policy(config, model)
    optimizer = torch.optim.AdamW(policy.parameters, lr=config.lr)
    first = loop.load_state(folder.state, policy, optimizer, labelled.digest)
    if first > config.steps:
        raise UserError(
            f"The run has had {first} steps already; --steps is {config.steps}, below it"
        )
    folder.rewind(first)
    watched, where = (held_out, "held-out") if held_out else (train, "training pairs")
    evaluate = Evaluation(policy, material, watched[: config.evaluate_pairs], batch=config.batch)
    started = time.monotonic()
    for step in tqdm(range(first, config.steps), desc="train", unit="step", disable=None):
        if step % config.evaluate_every == 0:
            evaluated(folder, step, evaluate(config.beta), where, config.rise_limit)
        some, epochs = loop.pick(train, step, config.batch, config.seed)
        parts = in_parts(
            policy, material, reference, some, epochs, size=config.micro, bank_seed=config.seed
        )
        metrics = loop.update(policy, parts, optimizer, loss, config.beta, pairs=len(some))
        folder.log(step, split="train", **metrics)
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            loop.save_state(folder.state, step + 1, policy, optimizer, labelled.digest)
    seconds = time.monotonic() - started
    say(f"{config.steps - first} steps in {seconds:.1f} s, evaluations included")
    last = evaluated(folder, config.steps, evaluate(config.beta), where, config.rise_limit)
    shown = dict.fromkeys(label.prompt for label in (*held_out, *train))
    prompts = [labelled.prompts[prompt].text for prompt in shown]
    done = export(
        policy, folder, prompts=prompts, settings=settings, seed=config.seed, shown=config.grid
    )
    return folder.finish(
        config.db, last | {"reload_difference": done.difference, "seconds": seconds}
    )


def _model(config: Config, labelled: Labelled) -> tuple[VideoModel, SampleSettings]:
    """The model on its device and the size it is trained at, once all can be used together."""
    import torch

    from train import models
    from train.batches import admit
    from train.labelled import split
    from train.losses import NAMES

    if config.loss not in NAMES:
        raise UserError(f"Unknown loss {config.loss!r}; choose one of {', '.join(NAMES)}")
    model = models.load(config.model, device=config.device, dtype=getattr(torch, config.dtype))
    size = {name: getattr(config, name) for name in ("frames", "height", "width")}
    given = {name: value for name, value in size.items() if value is not None}
    settings = replace(model.sample_defaults, **given)
    model.check(settings)
    split(labelled, config.held_out)  # raises where nothing is left to train on
    admit(labelled.clips.values(), settings, _fit(config, model), model.name)
    return model, settings


def _policy(config: Config, model: VideoModel) -> Policy:
    from train.policy import attach, continue_from

    if config.checkpointing == "blocks":
        cast("Any", model.network).enable_gradient_checkpointing()
    if config.from_adapter:
        return continue_from(model, Path(config.from_adapter))
    alpha = config.rank if config.alpha is None else config.alpha
    return attach(model, rank=config.rank, alpha=alpha, seed=config.seed)


def _fit(config: Config, model: VideoModel) -> Literal["exact", "resize"]:
    if config.fit != "auto":
        return config.fit
    return "resize" if model.name == "shapes" else "exact"


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    made = parser(Config, "python -m train.dpo", __doc__ or "")
    made.add_argument("--resume", metavar="RUN", help="folder of an interrupted run to go on with")
    given: dict[str, Any] = vars(made.parse_args(argv))
    if "resume" not in given:
        run(Config(**given))
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
