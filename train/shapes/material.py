"""The training clips of `shapes`: rendered once, by seed, kept as uint8.

Clip i depends on (seed, i) alone, so that any part can be drawn again. Held-out colour and
direction pairs never occur. Left out on purpose: files; rendering 8,000 clips takes some ten
seconds.
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from data import shapes as world
from train.shapes.config import Config


def scenes(config: Config) -> list[world.Scene]:
    """The scenes of the training set, `config.clips` of them."""
    return [
        world.random_scene(np.random.default_rng([config.seed, i])) for i in range(config.clips)
    ]


def clips(config: Config, what: list[world.Scene]) -> np.ndarray:
    """The clips of these scenes: uint8 `n t h w c`."""
    shape = (len(what), config.frames, config.size, config.size, 3)
    pixels = np.empty(shape, np.uint8)
    for i, scene in enumerate(tqdm(what, desc="render", unit="clip")):
        pixels[i] = world.render(scene, config.frames, config.size)
    return pixels
