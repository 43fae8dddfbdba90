"""Sample candidate clips: N per prompt, each from its own seed, written without loss and recorded.

    python -m train.sample --db prefs.duckdb --model shapes --prompts prompts.txt -n 4
    python -m train.sample --db prefs.duckdb --prompts builtin:24 --adapter runs/dpo-0123456789ab

The seed of a clip is a hash of (--seed, prompt, index), so adding prompts or clips never changes
the others, and two adapters start from the same noise. A clip is known by its prompt, model,
adapter, seed and settings: run the same command again and only what is missing is made. Originals
are FFV1 (lossless) in `prefs.clips/originals`; the database gets one Candidate per clip with every
setting.

Left out on purpose: image-to-video, and splitting one job over several machines by itself (give
each its own prompts: the clips are the same).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from data import clips, provenance, video
from data.console import say
from data.errors import UserError, user_errors
from data.records import Candidate, Prompt, Run, digest
from data.store import Store, add
from train.options import option, parser

if TYPE_CHECKING:
    import numpy as np

    from train.models.protocol import SampleSettings, VideoModel

_DEMO = "builtin:24"
_PEEK = 16  # values of each weight that its fingerprint reads


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one job."""

    db: str = option("prefs.duckdb", "database; its clips lie beside it")
    model: str = option("shapes", "`shapes` (built in), a diffusers folder, or a hub id")
    prompts: str = option("", f"text file, or builtin:N; empty: {_DEMO} for `shapes`")
    n: int = option(4, "clips per prompt; VideoDPO: 4")
    adapter: str = option("", "run id, run folder or LoRA file; empty: the base model")
    seed: int = option(0, "of all clips")
    batch: int = option(16, "clips at a time; changes a clip by float noise at most")
    split: Literal["train", "test"] = option("train", "of the prompts")
    steps: int | None = option(None, "denoising steps; none: the model's")
    guidance: float | None = option(None, "classifier-free guidance scale; none: the model's")
    frames: int | None = option(None, "frames per clip; none: the model's")
    height: int | None = option(None, "pixels; none: the model's")
    width: int | None = option(None, "pixels; none: the model's")
    device: str = option("auto", "cpu, cuda, cuda:1, ...; auto: the GPU where there is one")

    def __post_init__(self) -> None:
        """Refuse numbers that make nothing."""
        for name in ("n", "batch", "steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"--{name} is {value}; it must be at least 1")


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
    """Make and record what is missing; returns the new candidates."""
    from train import models, policy
    from train import prompts as prompt_sources

    prompts = prompt_sources.read(
        config.prompts,
        config.split,
        db=config.db,
        default=_DEMO if config.model == "shapes" else "",
    )
    model = models.load(config.model, device=config.device)
    settings = sampler_settings(model, config)
    facts = asdict(settings) | {"weights": fingerprint(model)}
    adapter, file = find_adapter(config.db, config.adapter)
    if file is not None:
        policy.continue_from(model, file)
        facts["adapter_digest"] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    wanted = plan(prompts, model.name, adapter, n=config.n, seed=config.seed, settings=facts)
    missing = _missing(config.db, prompts, wanted)
    say(f"{len(wanted)} clips wanted, {len(wanted) - len(missing)} there, {len(missing)} to make")
    return _record(config, missing, _frames(model, missing, settings, config.batch), settings.fps)


def plan(
    prompts: Sequence[Prompt],
    model: str,
    adapter: str,
    *,
    n: int,
    seed: int,
    settings: dict[str, Any],
) -> list[Wanted]:
    """Every clip of the job, `n` per prompt, prompt by prompt."""
    from train.rollout import clip_seed

    return [
        Wanted(prompt, model, adapter, clip_seed(seed, prompt.text, index), settings)
        for prompt in prompts
        for index in range(n)
    ]


def sampler_settings(model: VideoModel, config: Config) -> SampleSettings:
    """The model's own settings with those of the command in their place, checked by the model."""
    names = ("steps", "guidance", "frames", "height", "width")
    given = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    settings = replace(model.sample_defaults, **given)
    model.check(settings)
    return settings


def fingerprint(model: VideoModel) -> str:
    """16 hex digits over the first values of every weight of the bare network.

    It tells two versions of a model apart without hashing gigabytes.
    """
    total = hashlib.sha256()
    for name, weight in model.network.named_parameters():
        peek = weight.detach().flatten()[:_PEEK].float().cpu().numpy()
        total.update(f"{name}{tuple(weight.shape)}".encode() + peek.tobytes())
    return total.hexdigest()[:16]


def find_adapter(db: str, named: str) -> tuple[str, Path | None]:
    """What to record for an adapter, and its file: by run id, run folder, adapter folder or file.

    The name that is recorded is the run's id, or the path where the adapter belongs to no run;
    empty and None for the base model.

    Raises:
        UserError: no adapter there.
    """
    from train.policy import WEIGHTS

    if not named:
        return "", None
    with Store.open(db) as store:
        runs = {run.id: run for run in cast("list[Run]", store.all("runs"))}
    identity = named.rsplit("-", 1)[-1]
    folder = Path(runs[identity].folder) if identity in runs else Path(named)
    for file in (folder, folder / WEIGHTS, folder / "adapter" / WEIGHTS):
        if file.is_file():
            owner = {Path(run.folder) / "adapter" / WEIGHTS: run.id for run in runs.values()}
            return owner.get(file.resolve(), str(file.resolve())), file
    raise UserError(
        f"no adapter at {named!r}: give a run id of {db}, a run's folder, or a LoRA's file"
    )


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


def _frames(
    model: VideoModel, wanted: Sequence[Wanted], settings: SampleSettings, batch: int
) -> Iterator[np.ndarray]:
    from train.rollout import generate

    prompts, seeds = [clip.prompt.text for clip in wanted], [clip.seed for clip in wanted]
    return generate(model, prompts, seeds, settings, batch=batch, title="sample")


def _record(
    config: Config, missing: Sequence[Wanted], frames: Iterator[np.ndarray], fps: float
) -> list[Candidate]:
    """Write, admit and add every clip, a batch at a time; then the run."""
    if not missing:
        return []
    started, made = provenance.now_ms(), []
    for start in range(0, len(missing), config.batch):
        batch = [
            _admit(config.db, clip, next(frames), fps)
            for clip in missing[start : start + config.batch]
        ]
        add(config.db, batch)
        made += batch
    seconds = (provenance.now_ms() - started) / 1000
    metrics = {"clips": len(made), "seconds": seconds}
    add(config.db, [provenance.finished("sample", config, started, metrics)])
    return made


def _admit(db: str, clip: Wanted, frames: np.ndarray, fps: float) -> Candidate:
    path = clips.originals(db) / f"{clip.key}.mkv"
    video.write(path, frames, fps, lossless=True)
    return clips.admit(
        db,
        path,
        prompt=clip.prompt,
        model=clip.model,
        adapter=clip.adapter,
        seed=clip.seed,
        settings=clip.settings,
    )


@user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    options = parser(Config, "python -m train.sample", __doc__ or "")
    options.add_argument("-n", dest="n", type=int, metavar="N", help="the same as --n")
    config = Config(**vars(options.parse_args(argv)))
    made = run(config)
    say(f"{len(made)} new clips in {clips.clip_folder(config.db)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
