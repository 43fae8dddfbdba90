"""The world of the built-in model `shapes`, and the oracle that measures a clip of it.

`world` draws scenes and captions; `oracle` reads pixels. Pure functions of their arguments, NumPy
only.
"""

from data.shapes.oracle import Measured, judge, measure
from data.shapes.world import (
    ATTRIBUTES,
    BACKGROUNDS,
    CHOICES,
    COLOURS,
    DIRECTIONS,
    FPS,
    FRAMES,
    HELD_OUT,
    SHAPES,
    SIZE,
    SIZES,
    SPEEDS,
    Scene,
    caption,
    parse,
    place,
    prompts,
    random_caption,
    random_scene,
    render,
)

__all__ = [
    "ATTRIBUTES",
    "BACKGROUNDS",
    "CHOICES",
    "COLOURS",
    "DIRECTIONS",
    "FPS",
    "FRAMES",
    "HELD_OUT",
    "SHAPES",
    "SIZE",
    "SIZES",
    "SPEEDS",
    "Measured",
    "Scene",
    "caption",
    "judge",
    "measure",
    "parse",
    "place",
    "prompts",
    "random_caption",
    "random_scene",
    "render",
]
