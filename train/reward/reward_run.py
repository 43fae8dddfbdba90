"""What a run on rewards consists of: prompts, model, adapter, rewards, settings of the sampler.

`train.vader` and its baseline `train.ddpo` differ in how they follow a reward and in nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from data.console import say
from data.errors import UserError
from data.proceedings import RunKind
from data.records import Prompt, digest
from data.store import Store, add
from scorers.run import profile_in
from train import models, policy
from train.models import SampleSettings, VideoModel
from train.models.generator import Generator
from train.models.protocol import Album, Conditions, FirstFrames
from train.policy import Policy
from train.reward import rewards
from train.reward.backprop import Backprop
from train.reward.frames import Scoring
from train.reward.rewarded import RolloutAndReward
from train.reward.rewards import Mixture
from train.reward.vader_config import Config, Shared
from train.run import runs
from train.run.distributed import Group
from train.run.runs import RunFolder
from train.sampling import first_image, prompt_table
from train.sampling.prompts import read

_PROMPTS = "prompts.txt"
_MOST_TEXTS = 2000


@dataclass(frozen=True)
class Parts:
    """What is trained, what it is trained on, and how clips are sampled."""

    policy: Policy
    reward: Mixture
    rolled: RolloutAndReward
    settings: SampleSettings


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


def prepared(config: Config, group: Group, prompts: Sequence[str]) -> Parts:
    """Model, adapter and rewards on their device, once all can be used together."""
    if config.loss not in rewards.LOSSES:
        names = ", ".join(rewards.LOSSES)
        raise UserError(f"unknown --loss {config.loss!r}; choose one of {names}")
    model = loaded(config, group)
    settings = sampled_at(model, config)
    model.album = album(model, config, prompts, settings)
    plan = Backprop(
        total=settings.steps, steps=config.backprop, k=config.k, stop=config.detach == "input",
        shortcut=config.shortcut, inner=config.inner, branches=config.guidance_gradient,
        checkpoint="network" in config.again, offload=config.offload == "kept", eta=config.eta,
    )  # fmt: skip
    scoring = Scoring(
        spec=config.score_frames,
        exact=config.decoder_gradient == "exact",
        checkpointed="decoder" in config.again,
    )
    reward = mixture(config, config.reward, model, group)
    trained = adapted(config, model)
    rolled = RolloutAndReward(trained, reward, settings, plan, scoring, config.rounds)
    return Parts(trained, reward, rolled, settings)


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
        UserError: a prompt has none, or an image cannot be read.
    """
    if not model.image_conditioned:
        return None
    table = prompt_table.read(config.prompts) if prompt_table.is_table(config.prompts) else {}
    named = {" ".join(text.split()): image for text, image in table.items()}
    paths = {text: named.get(text) or config.image for text in prompts}
    if without := [text for text, path in paths.items() if not path]:
        raise UserError(
            f"Model {model.name} makes clips from a first image, and {len(without)} prompts have "
            f"none (first: {without[0]!r}). Give --image FILE for all, or --prompts FILE.csv with "
            "the columns `prompt` and `image`."
        )
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


def mixture(config: Shared, named: str, model: VideoModel, group: Group) -> Mixture:
    """The rewards of that name on the model's device."""
    weights = rewards.parse(named)
    omniscore = None
    if rewards.OMNISCORE in weights:
        omniscore = group.from_main(lambda: profile_in(config.db, config.profile))
    again = "reward" in config.again
    made = rewards.Mixture(weights, device=model.device, omniscore=omniscore, checkpointed=again)
    if made.silent:
        say(f"{config.profile} as a reward is blind to {', '.join(made.silent)}: no gradients")
    return made


def adapted(config: Shared, model: VideoModel) -> Policy:
    """A fresh adapter on the model, or the one to go on from."""
    if "blocks" in config.again:
        for network in model.components.values():
            cast(Any, network).enable_gradient_checkpointing()
    if config.from_adapter:
        return policy.continue_from(model, Path(config.from_adapter))
    alpha = config.rank if config.alpha is None else config.alpha
    return policy.attach(model, rank=config.rank, alpha=alpha, seed=config.seed)
