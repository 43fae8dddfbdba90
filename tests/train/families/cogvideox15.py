"""CogVideoX 1.5: two latent frames to a patch, one of them in front of the clip."""

from __future__ import annotations

from pathlib import Path

from tests.train.families import cogvideox, write
from tests.train.families.cogvideox import SETTINGS, theirs

__all__ = ["LEAD", "save", "theirs"]

LEAD = 1
"""Latent frames that decoding drops."""


def save(folder: Path, seed: int = 0) -> Path:
    """Latents are 4 x 4 x 8 x 8, for 3 latent frames."""
    return write(cogvideox.pipeline(seed, patch_size_t=2), folder, SETTINGS)
