"""The tiny model on disk, once per session, and a fresh copy in memory per test."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.train import tiny
from train import models

# The nets are so small that a second thread costs more than it brings.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a `WanPipeline` with random weights."""
    return tiny.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def tiny_model(tiny_folder: Path) -> models.VideoModel:
    """The tiny model, freshly loaded."""
    return models.load(str(tiny_folder))
