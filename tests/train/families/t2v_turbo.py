"""T2V-Turbo: the tiny VideoCrafter2 with a guidance embedding."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.train import families
from tests.train.families.videocrafter import UNET
from tests.train.tiny_unet import SETTINGS, parts
from train.models.t2v_turbo import T2VTurboPipeline
from train.nets.convert import scheduler
from train.nets.videocrafter import VideoCrafterUNet


def save(folder: Path, seed: int = 0) -> Path:
    drawn = parts(seed, unet=partial(VideoCrafterUNet, **UNET, guidance_width=8))
    made = T2VTurboPipeline(**drawn, scheduler=scheduler())
    return families.write(made, folder, SETTINGS | {"guidance_scale": 1.0})
