"""A tiny pipeline with random weights per family: `tests/train/families/<family>.py`.

Each has `save(folder, seed=0) -> Path`, which writes the pipeline as diffusers does and
`sampling.json` beside it, so that `train.models.load` takes the folder. The contract of
`tests/train/test_models.py` runs over all of them. A module may have `theirs(model, noise, prompt,
steps, guidance)`: the clip, frames in [0, 1], that the diffusers pipeline itself samples from the
same noise, which ours must equal.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

NAMES = sorted(found.name for found in pkgutil.iter_modules(__path__))


def module(name: str) -> ModuleType:
    """The family's builder."""
    return importlib.import_module(f"{__name__}.{name}")


def write(pipeline: Any, folder: Path, settings: dict[str, Any]) -> Path:
    """The pipeline and its settings in a folder that `train.models.load` takes."""
    pipeline.save_pretrained(folder)
    (folder / "sampling.json").write_text(json.dumps(settings))
    return folder
