"""What a run on rewards consists of: prompts, model, adapter, rewards, settings of the sampler.

`train.vader` and its baseline `train.ddpo` differ in how they follow a reward and in nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from data.console import say
from data.errors import UserError
from data.omniscore import PROFILES
from data.proceedings import RunKind
from data.records import Prompt, digest
from data.store import Store, add
from scorers.run import profile_in
from train import models, policy
from train.models import SampleSettings, VideoModel
from train.models.generator import Generator
from train.models.protocol import Album, Conditions, FirstFrames
from train.policy import Policy
from train.preference.plan import expected, room, silent
from train.reward import forecast, rewards, tiny_decoder
from train.reward.backprop import Backprop
from train.reward.budget import Forecast
from train.reward.forecast import Step
from train.reward.frames import Scoring, chosen
from train.reward.rewarded import RolloutAndReward
from train.reward.rewards import Mixture
from train.reward.vader_config import Config, Shared
from train.run import memory, runs
from train.run.distributed import Group
from train.run.runs import RunFolder
from train.sampling import first_image, prompt_table
from train.sampling.prompts import read

_PROMPTS = "prompts.txt"
_MOST_TEXTS = 2000


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What is trained, what it is trained on, and how clips are sampled."""

    policy: Policy
    reward: Mixture
    optimizer: torch.optim.Optimizer
    settings: SampleSettings


@dataclass(frozen=True, kw_only=True)
class Rolling(Parts):
    """Those of `train.vader`."""

    rolled: RolloutAndReward
    scoring: Scoring
    config: Config
    """With what `--plan auto` chose."""


def train_prompts(db: str, source: str = "") -> list[str]:
    """The texts to sample, sorted, each on one line.

    Args:
        db: The database; a prompt keeps its split in it for ever.
        source: As `train.sampling.prompts.read` takes it, added as train prompts; empty: all.

    Raises:
        UserError: no database, no train prompts in it, or test prompts in the source.
    """
    if source:
        known = read(source, "train", db=db)
        add(db, known)
    else:
        with Store.open(db) as store:
            known = cast("list[Prompt]", store.all("prompts"))
    texts = {" ".join(prompt.text.split()) for prompt in known if prompt.split == "train"}
    if not texts:
        raise UserError(f"{db} has no train prompts; add some: --prompts FILE")
    return sorted(texts)


def begin(kind: RunKind, config: Shared, prompts: Sequence[str]) -> RunFolder:
    """A new run's folder, with its prompts in it."""
    work = digest("prompts", *prompts)
    folder = runs.begin(config.db, kind, config, out=config.out, labels=work)
    runs.write_whole(folder.folder / _PROMPTS, "".join(f"{text}\n" for text in prompts))
    return folder


def begun(folder: RunFolder) -> list[str]:
    """The prompts of a run."""
    return (folder.folder / _PROMPTS).read_text().splitlines()


def prepared(
    config: Shared, group: Group, prompts: Sequence[str], *, gradients: bool = True
) -> Parts:
    """Model, adapter, rewards and optimizer on their device, once all can be used together.

    Without `gradients` the rewards need none.
    """
    model = loaded(config, group)
    settings = sampled_at(model, config)
    model.album = album(model, config, prompts, settings)
    reward = mixture(config, config.reward, model, group, gradients=gradients)
    trained = adapted(config, model)
    if "blocks" in config.again:
        memory.recompute(model, "blocks")
    made = memory.optimizer(config.optimizer, trained.parameters, config.lr, decay=0.0)
    return Parts(policy=trained, reward=reward, optimizer=made, settings=settings)


def rolling(config: Config, group: Group, prompts: Sequence[str]) -> Rolling:
    """The same for `train.vader`, with the rollout whose gradient it follows.

    Raises:
        UserError: a loss, or steps of the sampler, that there are not.
    """
    if config.loss not in rewards.LOSSES:
        names = ", ".join(rewards.LOSSES)
        raise UserError(f"unknown --loss {config.loss!r}; choose one of {names}")
    parts = prepared(config, group, prompts)
    settings = parts.settings
    chosen(config.score_frames, [range(i, i + 1) for i in range(settings.frames)], 0.0)
    plan = Backprop(
        total=settings.steps, steps=config.backprop, k=config.k, stop=config.detach == "input",
        shortcut=config.shortcut, inner=config.inner, branches=config.guidance_gradient,
        checkpoint="network" in config.again, offload=config.offload == "kept", eta=config.eta,
    )  # fmt: skip
    scoring = Scoring(
        spec=config.score_frames,
        exact=config.decoder_gradient == "exact",
        checkpointed="decoder" in config.again,
        decoder=tiny_decoder.load(config.decoder, parts.policy.model) if config.decoder else None,
    )
    step = Step(
        policy=parts.policy, reward=parts.reward, settings=settings, backprop=plan,
        scoring=scoring, rounds=config.rounds,
    )  # fmt: skip
    config, step = planned(config, step, group, prompts[0])
    rolled = RolloutAndReward(
        step.policy, step.reward, settings, step.backprop, step.scoring, config.rounds
    )
    return Rolling(
        policy=parts.policy, reward=step.reward, optimizer=parts.optimizer, settings=settings,
        rolled=rolled, scoring=step.scoring, config=config,
    )  # fmt: skip


def planned(config: Config, step: Step, group: Group, prompt: str) -> tuple[Config, Step]:
    """Says what a step is expected to take; with `--plan auto` also makes it fit.

    What is given (--checkpointing, --micro) is kept, and only said, as everything is with `--plan
    say`; then a model that cannot be counted is named.
    """
    if silent(config.plan, config.model):
        return config, step
    model, given = step.policy.model, config.checkpointing != "none" or config.micro is not None
    fitted = config.plan == "auto" and not given
    made = group.from_main(lambda: _forecast(config, step, group, prompt, fitted=fitted))
    say(made if isinstance(made, str) else expected(made, model))
    parts = config.again if isinstance(made, str) else made.parts
    if "blocks" in parts:  # counting leaves them as they were before any of this
        memory.recompute(model, "blocks")
    if isinstance(made, str) or not fitted:
        return config, step
    config = replace(config, plan="say", checkpointing=",".join(parts) or "none", micro=made.micro)
    return config, step.again(parts)


def _forecast(
    config: Config, step: Step, group: Group, prompt: str, *, fitted: bool
) -> Forecast | str:
    """What a step takes, or with `--plan say` why that is not known."""
    try:
        return forecast.made_to_fit(
            step, prompt, config.again, config.micro,
            clips=-(-config.batch // group.size),
            fixed=forecast.fixed_bytes(step.policy, config.optimizer),
            room=room(step.policy.model.device, config.memory) if fitted else None,
        )  # fmt: skip
    except UserError as error:
        if config.plan == "auto":
            raise
        return str(error)


def remember(model: VideoModel, texts: Iterable[str]) -> None:
    """Embeds texts, and the empty one, once and for all; the text encoders leave a GPU.

    They may be larger than everything that is trained (UMT5-XXL has 11 GB in bfloat16). From here
    on the model knows these texts only. With more than 2,000 of them it stays as it is.
    """
    every = dict.fromkeys([*texts, ""])
    if not isinstance(model, Generator) or len(every) > _MOST_TEXTS:
        return
    with torch.no_grad():
        known = {text: model.text([text]).to("cpu") for text in every}

    def recalled(prompts: Sequence[str]) -> Conditions:
        return Conditions.join([known[text] for text in prompts]).to(model.device)

    model.text = recalled
    for name, part in model.pipeline.components.items():
        if name.startswith("text_encoder") and part is not None:
            part.to("cpu")


def loaded(config: Shared, group: Group) -> VideoModel:
    """The bare model on this process's device."""
    dtype = getattr(torch, config.dtype)
    return models.load(config.model, device=group.device(config.device), dtype=dtype)


def album(
    model: VideoModel, config: Shared, prompts: Sequence[str], settings: SampleSettings
) -> Album | None:
    """Where an image-to-video model finds the first image of each prompt; None for others.

    It is that of the prompt's row where the prompts are a table with images, else `--image`.

    Raises:
        UserError: a prompt has none, an image cannot be read, or a model takes none.
    """
    table = prompt_table.read(config.prompts) if prompt_table.is_table(config.prompts) else {}
    named = {" ".join(text.split()): image for text, image in table.items()}
    paths = {text: named.get(text) or config.image for text in prompts}
    if not first_image.demanded(model.name, paths, wanted=model.image_conditioned):
        return None
    size = settings.height, settings.width
    known = {path: first_image.fitted(Path(path), *size) for path in set(paths.values())}

    def look_up(texts: Sequence[str]) -> FirstFrames:
        images = torch.stack([known[paths[text]] for text in texts])
        return FirstFrames(images.to(model.device), settings.frames)

    return look_up


def sampled_at(model: VideoModel, config: Shared) -> SampleSettings:
    """The model's own settings with those of the command in their place, checked by the model."""
    given = {"steps": config.sampler_steps} | {
        name: getattr(config, name) for name in ("guidance", "frames", "height", "width")
    }
    named = {name: value for name, value in given.items() if value is not None}
    settings = replace(model.sample_defaults, **named)
    model.check(settings)
    return settings


def mixture(
    config: Shared, named: str, model: VideoModel, group: Group, *, gradients: bool = True
) -> Mixture:
    """The rewards of that name on the model's device."""
    weights = rewards.parse(named)
    omniscore = None
    if rewards.OMNISCORE in weights:
        if config.profile in PROFILES:
            rewards.demand_no_judge(PROFILES[config.profile].scorers)
        omniscore = group.from_main(lambda: profile_in(config.db, config.profile))
    again = "reward" in config.again
    made = rewards.Mixture(
        weights, device=model.device, omniscore=omniscore, checkpointed=again, gradients=gradients,
        dtype=getattr(torch, config.reward_dtype), weights_dir=config.weights or None,
    )  # fmt: skip
    if made.silent:
        say(f"{config.profile} as a reward is blind to {', '.join(made.silent)}: no gradients")
    return made


def adapted(config: Shared, model: VideoModel) -> Policy:
    """A fresh adapter on the model, or the one to go on from."""
    if config.from_adapter:
        return policy.continue_from(model, Path(config.from_adapter))
    alpha = config.rank if config.alpha is None else config.alpha
    return policy.attach(model, rank=config.rank, alpha=alpha, seed=config.seed)
