"""What a clip remembers of how it was made: model and its revision, adapter, every setting.

Left out on purpose: hashing all weights of a model; a few of each tell two versions apart.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from data.errors import UserError
from data.records import Run
from data.store import Store

if TYPE_CHECKING:
    from train.models.protocol import SampleSettings, VideoModel
    from train.sampling.sample_config import Config

_PEEK = 16  # values of each weight that a model's fingerprint reads


def sampler_settings(model: VideoModel, config: Config) -> SampleSettings:
    """The model's own settings with those of the command in their place, checked by the model."""
    names = ("guidance", "frames", "height", "width")
    asked = {"steps": config.sampler_steps, **{name: getattr(config, name) for name in names}}
    given = {name: value for name, value in asked.items() if value is not None}
    settings = replace(model.sample_defaults, **given)
    model.check(settings)
    return settings


def facts(
    model: VideoModel, settings: SampleSettings, config: Config, adapter: Path | None
) -> dict[str, Any]:
    """`Candidate.settings` of a job's clips but for their images; of a bare model.

    What is at its default since before it was an option is not written, so that clips of then are
    known again.
    """
    found: dict[str, Any] = asdict(settings) | {"weights": fingerprint(model)}
    rare = {
        "revision": revision(model.source),
        "dtype": "" if config.dtype == "float32" else config.dtype,
        "negative_prompt": config.negative_prompt,
        "adapter_digest": "" if adapter is None else _digest(adapter),
    }
    return found | {name: value for name, value in rare.items() if value}


def fingerprint(model: VideoModel) -> str:
    """16 hex digits over the first values of every weight of the bare network.

    It tells two versions of a model apart without hashing gigabytes.
    """
    total = hashlib.sha256()
    for name, weight in model.network.named_parameters():
        peek = weight.detach().flatten()[:_PEEK].float().cpu().numpy()
        total.update(f"{name}{tuple(weight.shape)}".encode() + peek.tobytes())
    return total.hexdigest()[:16]


def revision(source: str) -> str:
    """The commit of a hub model that was loaded last; empty for a folder or a built-in model."""
    from huggingface_hub import try_to_load_from_cache

    if Path(source).exists() or source.count("/") != 1:
        return ""
    index = try_to_load_from_cache(source, "model_index.json")
    return Path(index).parent.name if isinstance(index, str) else ""


def find_adapter(db: str, named: str) -> tuple[str, Path | None]:
    """What to record for an adapter, and its file: by run id, run folder, adapter folder or file.

    The name that is recorded is the run's id, or the path where the adapter belongs to no run;
    empty and None for the base model.

    Raises:
        UserError: no adapter there, or a file of something else.
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
            _demand_weights(file)
            owner = {Path(run.folder) / "adapter" / WEIGHTS: run.id for run in runs.values()}
            return owner.get(file.resolve(), str(file.resolve())), file
    if identity in runs:
        raise UserError(
            f"run {identity} has no adapter in {folder}: it was moved (give its folder), or never "
            "finished (go on with --resume)"
        )
    raise UserError(
        f"no adapter at {named!r}: give a run id of {db}, a run's folder, or a LoRA's file"
    )


def _demand_weights(file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt"):
            return
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} is no LoRA's file: it holds no safetensors ({error})") from error


def located(db: str, named: str | None) -> str | None:
    """The file of an adapter that is named as in `find_adapter`; None for none."""
    file = find_adapter(db, named or "")[1]
    return None if file is None else str(file.resolve())


def _digest(adapter: Path) -> str:
    """16 hex digits over an adapter's file and those of further experts beside it."""
    total = hashlib.sha256(adapter.read_bytes())
    for other in sorted(adapter.parent.glob(f"*.{adapter.name}")):
        total.update(other.read_bytes())
    return total.hexdigest()[:16]
