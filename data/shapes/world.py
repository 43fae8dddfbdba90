"""The world of `shapes`: scenes, their clips, and their captions.

A clip shows one coloured shape that moves in a straight line over a plain background. Captions read
"a [small|big] red circle moving right [slowly|quickly] [on a white background]"; what stands in
brackets may be left out. Everything is a pure function of its arguments.

Left out on purpose: rotation, several objects, textures, objects that leave the frame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

FRAMES, SIZE, FPS = 9, 48, 8
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (225, 40, 40),
    "green": (40, 175, 70),
    "blue": (45, 80, 230),
    "yellow": (240, 210, 40),
    "purple": (165, 55, 200),
}
BACKGROUNDS: dict[str, int] = {"black": 14, "gray": 125, "white": 240}
SHAPES = ("circle", "square", "triangle")
DIRECTIONS: dict[str, tuple[int, int]] = {
    "right": (1, 0), "left": (-1, 0), "up": (0, -1), "down": (0, 1)
}  # fmt: skip
# Radius of the disc of the same area, in shares of the frame's side.
SIZES: dict[str, float] = {"small": 0.125, "big": 0.19}
# Way covered from the first frame to the last, as a share of the frame's side.
SPEEDS: dict[str, float] = {"slowly": 0.2, "quickly": 0.4}
HELD_OUT = frozenset({("red", "right"), ("green", "left"), ("blue", "up"), ("yellow", "down")})
ATTRIBUTES: tuple[str, ...] = ("colour", "shape", "direction", "size", "speed", "background")
_TABLES = (COLOURS, SHAPES, DIRECTIONS, SIZES, SPEEDS, BACKGROUNDS)
CHOICES = {k: tuple(words) for k, words in zip(ATTRIBUTES, _TABLES, strict=True)}

_HALF_SQUARE = float(np.sqrt(np.pi) / 2)  # half side over radius, equal area
_IN_TRIANGLE = float(np.sqrt(np.pi / (3 * np.sqrt(3))))  # inscribed radius over radius, equal area
_MARGIN = 0.035  # free border around the whole path, share of the side
_WANDER = 0.12  # how far the middle of a path may lie from the middle of the frame


@dataclass(frozen=True)
class Scene:
    """What a clip shows; `start` is the first centroid (x, y), in shares of the frame's side."""

    shape: str
    colour: str
    direction: str
    size: str
    speed: str
    background: str
    start: tuple[float, float]


def _reach(shape: str, radius: float) -> tuple[float, float, float]:
    """Extent from the centroid: sideways, up, down."""
    if shape == "circle":
        return radius, radius, radius
    if shape == "square":
        half = _HALF_SQUARE * radius
        return half, half, half
    inner = _IN_TRIANGLE * radius
    return inner * float(np.sqrt(3)), 2 * inner, inner


def place(words: dict[str, str], rng: np.random.Generator) -> Scene:
    """A scene with these attributes whose whole path stays inside the frame."""
    side, above, below = _reach(words["shape"], SIZES[words["size"]])
    step = np.array(DIRECTIONS[words["direction"]]) * SPEEDS[words["speed"]] / 2
    low = np.array([side, above]) + np.abs(step) + _MARGIN
    high = 1 - np.array([side, below]) - np.abs(step) - _MARGIN
    middle = rng.uniform(np.maximum(low, 0.5 - _WANDER), np.minimum(high, 0.5 + _WANDER))
    x, y = middle - step
    return Scene(**{k: words[k] for k in ATTRIBUTES}, start=(float(x), float(y)))


def random_scene(rng: np.random.Generator, *, held_out: bool = False) -> Scene:
    """A uniform draw over the combinations outside (or, with `held_out`, inside) HELD_OUT."""
    while True:
        words = {name: str(rng.choice(CHOICES[name])) for name in ATTRIBUTES}
        if ((words["colour"], words["direction"]) in HELD_OUT) == held_out:
            return place(words, rng)


def caption(scene: Scene, *, size: bool = True, speed: bool = True, background: bool = True) -> str:
    """The scene in words; each flag keeps one of the optional parts."""
    words = ["a"] + [scene.size] * size + [scene.colour, scene.shape, "moving", scene.direction]
    words += [scene.speed] * speed + [f"on a {scene.background} background"] * background
    return " ".join(words)


def random_caption(scene: Scene, rng: np.random.Generator) -> str:
    """The caption with each optional part kept half of the time."""
    size, speed, background = (bool(x) for x in rng.random(3) < 0.5)
    return caption(scene, size=size, speed=speed, background=background)


def prompts(n: int, seed: int, *, held_out: bool = False) -> list[str]:
    """`n` captions drawn like those of training (or from the held-out combinations)."""
    rng = np.random.default_rng([seed, int(held_out)])
    return [random_caption(random_scene(rng, held_out=held_out), rng) for _ in range(n)]


def parse(text: str) -> dict[str, str]:
    """What a caption states, by attribute; attributes that it does not mention are absent."""
    found = re.search(r"\bon an? (\w+) background", text.lower())
    stated = {"background": found[1]} if found and found[1] in BACKGROUNDS else {}
    rest = re.findall(r"[a-z]+", text.lower().replace(found[0], "") if found else text.lower())
    for name in ATTRIBUTES[:-1]:
        hits = [word for word in rest if word in CHOICES[name]]
        if hits:
            stated[name] = hits[0]
    return stated


def coverage(shape: str, xy: np.ndarray, radius: np.ndarray, side: int) -> np.ndarray:
    """Anti-aliased masks `t side side` in [0, 1] for centroids `t 2` and radii `t`, in pixels."""
    grid = np.arange(side, dtype=np.float32) + 0.5
    x = grid[None, None, :] - xy[:, 0, None, None].astype(np.float32)
    y = grid[None, :, None] - xy[:, 1, None, None].astype(np.float32)
    r = radius[:, None, None].astype(np.float32)
    if shape == "circle":
        distance = np.sqrt(x * x + y * y) - r
    elif shape == "square":
        distance = np.maximum(np.abs(x), np.abs(y)) - _HALF_SQUARE * r
    else:
        slanted = np.abs(x) * np.float32(np.sqrt(3) / 2) - y * np.float32(0.5)
        distance = np.maximum(y, slanted) - _IN_TRIANGLE * r
    return np.clip(0.5 - distance, 0, 1)


def render(scene: Scene, frames: int = FRAMES, size: int = SIZE) -> np.ndarray:
    """The clip, uint8 `t h w c`, h = w = `size` pixels; the path is the same for any count."""
    time = np.linspace(0, 1, frames)[:, None]
    way = np.array(DIRECTIONS[scene.direction]) * SPEEDS[scene.speed]
    xy = (np.array(scene.start) + time * way) * size
    mask = coverage(scene.shape, xy, np.full(frames, SIZES[scene.size] * size), size)[..., None]
    colour = np.array(COLOURS[scene.colour], np.float32)
    return np.rint(BACKGROUNDS[scene.background] * (1 - mask) + colour * mask).astype(np.uint8)
