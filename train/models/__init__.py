"""The generators that can be trained: one file per family, found by its pipeline's class.

`train/models/<family>.py` has `PIPELINES`, the diffusers pipeline classes that it serves, and
`load(source, *, name, device, dtype)`, which returns a `VideoModel` (a `Generator` put together
from its parts); `FIRST_IMAGE = True` where all its models begin with an image. Adding a family is
adding a file; files without `PIPELINES` are what families are made of.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

import diffusers
import torch
import transformers

from data.errors import UserError
from train.models.protocol import Conditions, SampleSettings, VideoModel

__all__ = [
    "BUILTIN",
    "Conditions",
    "SampleSettings",
    "VideoModel",
    "begins_with_image",
    "families",
    "load",
]

BUILTIN = Path(__file__).parents[1] / "builtin"
"""Folder of the models that come with the repository."""
_INDEX = "model_index.json"
_PATIENCE = 5.0
"""Seconds in which the hub must answer a question."""


def families() -> dict[str, ModuleType]:
    """Module by pipeline class, for every family in this folder."""
    modules = [
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
    ]
    return {kind: module for module in modules for kind in getattr(module, "PIPELINES", ())}


def load(
    source: str, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> VideoModel:
    """A frozen generator, ready to sample and to be given an adapter.

    Args:
        source: `shapes` (built in), a folder that a diffusers pipeline was saved to, or a hub id.
        device: Where its weights go; `auto` is the GPU where there is one, else the CPU.
        dtype: Precision of its weights.

    Raises:
        UserError: No such model or device, or a pipeline class that no family serves.
    """
    place = _device(device)
    folder = _folder(source)
    transformers.utils.logging.disable_progress_bar()  # one bar is enough, and only for a person
    if not sys.stderr.isatty():
        diffusers.utils.logging.disable_progress_bar()
    where = str(folder) if folder.is_dir() else source
    return _family(source).load(where, name=folder.name, device=place, dtype=dtype)


def begins_with_image(source: str) -> bool:
    """Whether `load(source)` is `image_conditioned`; known without loading its weights.

    Raises:
        UserError: No such model, or a pipeline class that no family serves.
    """
    return getattr(_family(source), "FIRST_IMAGE", False)


def _family(source: str) -> ModuleType:
    kind, known = _pipeline_class(source, _folder(source)), families()
    if kind not in known:
        raise UserError(
            f"Model {source} is a {kind}, which no file in train/models/ serves. Served are "
            f"{', '.join(sorted(known))}."
        )
    return known[kind]


def _folder(source: str) -> Path:
    own = BUILTIN / source
    return own if (own / _INDEX).is_file() else Path(source)


def _device(name: torch.device | str) -> torch.device:
    found = torch.cuda.is_available()
    device = torch.device("cuda" if found else "cpu") if name == "auto" else torch.device(name)
    if device.type == "cuda" and not found:
        raise UserError(f"There is no GPU for --device {name} here; use --device cpu.")
    return device


def _pipeline_class(source: str, folder: Path) -> str:
    index = folder / _INDEX
    if not index.is_file():
        if folder.is_dir() or source.count("/") != 1:
            raise UserError(
                f"Model {source!r} is neither built in nor a folder with a model_index.json, nor a "
                "hub id (owner/name). Built in is: shapes."
            )
        index = _from_hub(source)
    try:
        return json.loads(index.read_text())["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"Model {source!r}: {index} names no pipeline class (_class_name). Give a folder that "
            "a diffusers pipeline was saved to with save_pretrained."
        ) from error


def _from_hub(source: str) -> Path:
    """Its `model_index.json`: of the cache where it is there, else of a hub that answers at once.

    Without the question before it, huggingface_hub's download asks an absent network for minutes.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub import try_to_load_from_cache as cached
    from huggingface_hub.errors import HFValidationError, HTTPError

    try:
        if not isinstance(cached(source, _INDEX), str):
            get_hf_file_metadata(hf_hub_url(source, _INDEX), timeout=_PATIENCE)
        return Path(hf_hub_download(source, _INDEX, etag_timeout=_PATIENCE))
    except (HTTPError, OSError, HFValidationError) as error:
        raise UserError(
            f"Model {source!r} cannot be read from the hub ({type(error).__name__}). Check the "
            "name and the network, or give the folder of a downloaded copy."
        ) from error
