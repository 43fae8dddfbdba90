"""Sample candidate clips: N per prompt, each from its own seed, written without loss and recorded.

    python -m train.sample --db prefs.duckdb --model shapes --prompts prompts.txt -n 4
    python -m train.sample --db prefs.duckdb --prompts builtin:24 --adapter runs/dpo-0123456789ab
    python -m train.sample --db prefs.duckdb --model MODEL --prompts prompts.csv --image first.png
    accelerate launch --num_processes 4 -m train.sample --db prefs.duckdb --model MODEL ...

The seed of a clip is a hash of (--seed, prompt, index), so adding prompts or clips never changes
the others, and two adapters start from the same noise. A clip is known by its prompt, model,
adapter, seed and settings: run the same command again, after a kill too, and only what is missing
is made. Originals are FFV1 (lossless) in `prefs.clips/originals`, named by what they were made
from; the database gets one Candidate per clip with every setting.

Several processes each make their own part of the job, every N-th clip of the whole list: as
`accelerate launch` numbers them, or by hand with --shard 2/4. A part that died is made by running
it again, alone or in other parts.

Prompts come one per line, or as a table (CSV, TSV, JSONL, Parquet) whose column `image` names the
first image of image-to-video (`train.sampling.prompt_table`, `train.sampling.first_image`).
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from data import clips, provenance, video
from data.console import say
from data.errors import UserError, user_errors
from data.records import Candidate, Prompt, digest
from data.store import Store, add
from train.options import parser
from train.sampling.sample_config import Config, Shard

if TYPE_CHECKING:
    import numpy as np

    from train.models.protocol import SampleSettings, VideoModel
    from train.sampling.rollout import Guidance

__all__ = ["Config", "Wanted", "main", "plan", "run"]
_DEMO = "builtin:24"


@dataclass(frozen=True)
class Wanted:
    """A clip to be made: the fields of its Candidate that are known before it exists."""

    prompt: Prompt
    model: str
    adapter: str
    seed: int
    settings: dict[str, Any]

    @property
    def key(self) -> str:
        """Identity of the clip before it exists."""
        return _key(self.prompt.id, self.model, self.adapter, self.seed, self.settings)


def run(config: Config) -> list[Candidate]:
    """Make and record what is missing of this process's part; returns the new candidates."""
    import torch

    from train import models, policy
    from train.sampling import first_image, origin

    shard = Shard.of(config.shard)
    prompts, images = _prompts(config)
    model = models.load(
        config.model, device=shard.device(config.device), dtype=getattr(torch, config.dtype)
    )
    begun = first_image.memories(config.db, model, images)
    settings = origin.sampler_settings(model, config)
    adapter, file = origin.find_adapter(config.db, config.adapter)
    facts = origin.facts(model, settings, config, file)
    if file is not None:
        policy.load(model, file)
    wanted = plan(
        prompts, model.name, adapter, n=config.n, seed=config.seed, settings=facts, images=begun
    )[shard.first :: shard.parts]
    missing = _missing(config.db, prompts, wanted)
    say(f"{len(wanted)} clips wanted, {len(wanted) - len(missing)} there, {len(missing)} to make")
    return _make(config, model, missing, settings)


def plan(
    prompts: Sequence[Prompt],
    model: str,
    adapter: str,
    *,
    n: int,
    seed: int,
    settings: Mapping[str, Any],
    images: Mapping[str, Mapping[str, str]] | None = None,
) -> list[Wanted]:
    """Every clip of the job, `n` per prompt, prompt by prompt.

    Args:
        prompts: That clips are made for.
        model: Its name.
        adapter: As recorded; empty for the base model.
        n: Clips per prompt.
        seed: Of all clips.
        settings: That all clips share.
        images: What a clip remembers of its first image, by prompt; for image-to-video.
    """
    from train.sampling.rollout import clip_seed

    own = images or {}
    return [
        Wanted(
            prompt,
            model,
            adapter,
            clip_seed(seed, prompt.text, index),
            {**settings, **own.get(prompt.text, {})},
        )
        for prompt in prompts
        for index in range(n)
    ]


def _prompts(config: Config) -> tuple[list[Prompt], dict[str, str]]:
    """The prompts, and the image that the job names for each; empty where it names none."""
    from train.sampling import prompt_table
    from train.sampling import prompts as sources

    default = _DEMO if config.model == "shapes" else ""
    prompts = sources.read(config.prompts, config.split, db=config.db, default=default)
    table = prompt_table.read(config.prompts) if prompt_table.is_table(config.prompts) else {}
    return prompts, {one.text: table.get(one.text) or config.image for one in prompts}


def _key(prompt: str, model: str, adapter: str, seed: int | None, settings: Any) -> str:
    return digest("clip", prompt, model, adapter, seed, *sorted(settings.items()))


def _missing(db: str, prompts: Sequence[Prompt], wanted: Sequence[Wanted]) -> list[Wanted]:
    """The clips that the database does not have, after the prompts were added to it."""
    with Store.open(db, create=True) as store:
        store.add(prompts)
        made = {
            _key(have.prompt, have.model, have.adapter, have.seed, have.settings)
            for have in cast("list[Candidate]", store.all("candidates"))
            if clips.present(have)
        }
    return [clip for clip in wanted if clip.key not in made]


def _make(
    config: Config, model: VideoModel, missing: Sequence[Wanted], settings: SampleSettings
) -> list[Candidate]:
    """Sample, write and add what is missing, a batch at a time; then the run."""
    from tqdm import tqdm

    if not missing:
        return []
    started = provenance.now_ms()
    written = {clip.key for clip in missing if _original(config.db, clip).exists()}
    made = [_admit(config.db, clip) for clip in missing if clip.key in written]
    add(config.db, made)  # whoever wrote them died before recording them
    left = [clip for clip in missing if clip.key not in written]
    with tqdm(total=len(left), desc="sample", unit="clip", disable=None) as bar:
        for start in range(0, len(left), config.batch):
            some = left[start : start + config.batch]
            for clip, frames in zip(some, _sampled(config, model, some, settings), strict=True):
                _write(config.db, clip, frames, settings.fps)
            batch = [_admit(config.db, clip) for clip in some]
            add(config.db, batch)
            made += batch
            bar.update(len(batch))
    metrics = {"clips": len(made), "seconds": (provenance.now_ms() - started) / 1000}
    add(config.db, [provenance.finished("sample", config, started, metrics)])
    return made


def _sampled(
    config: Config, model: VideoModel, some: Sequence[Wanted], settings: SampleSettings
) -> list[np.ndarray]:
    import torch

    from train.sampling import first_image
    from train.sampling.rollout import Guidance, clips

    texts, seeds = [clip.prompt.text for clip in some], [clip.seed for clip in some]
    memories = [clip.settings for clip in some]
    first = first_image.first_frames(memories, settings) if model.image_conditioned else None
    try:
        guidance = Guidance.of(
            model, texts, settings.guidance, negative=config.negative_prompt, first=first
        )
        if config.negative_prompt and _leads_nowhere(guidance):
            raise UserError(
                f"--negative-prompt changes nothing: guidance is {settings.guidance}, or model "
                f"{model.name} reads no text. Leave it out, or choose a --guidance above 1."
            )
        return clips(model, guidance, seeds, settings)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{len(some)} clips of {settings.frames} frames of {settings.width}x{settings.height} "
            f"do not fit on {model.device}. What was made is kept; go on with a smaller --batch "
            "(or --dtype bfloat16, --frames, --width, --height)."
        ) from error


def _leads_nowhere(guidance: Guidance) -> bool:
    import torch

    if guidance.empty is None:
        return True
    told, away = guidance.conditions[:1].tensors, guidance.empty[:1].tensors
    return all(torch.equal(value, away[name]) for name, value in told.items())


def _original(db: str, clip: Wanted) -> Path:
    return clips.originals(db) / f"{clip.key}.mkv"


def _write(db: str, clip: Wanted, frames: np.ndarray, fps: float) -> None:
    path = _original(db, clip)
    with _alone(path.parent):
        if not path.exists():  # another process made it: a file that is recorded never changes
            video.write(path, frames, fps, lossless=True)


def _admit(db: str, clip: Wanted) -> Candidate:
    return clips.admit(
        db,
        _original(db, clip),
        prompt=clip.prompt,
        model=clip.model,
        adapter=clip.adapter,
        seed=clip.seed,
        settings=clip.settings,
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Within: no other process writes an original there."""
    with (folder / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go when the file is closed, by death too
        yield


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    options = parser(Config, "python -m train.sample", __doc__ or "")
    config = Config(**vars(options.parse_args(argv)))
    made = run(config)
    say(f"{len(made)} new clips in {clips.clip_folder(config.db)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
