"""The oracle of `shapes`: measures a clip, and judges it against a caption.

It reads pixels only. The background is the median of the frame's border; the object's colour is the
median of the pixels that differ most from it; each pixel's coverage is its place between the two
colours. Colour is the nearest palette entry, direction the regression slope of the centroid, and
shape the template (circle, square or triangle of the measured area at the measured centroid) with
the highest soft intersection over union, averaged over frames. A missing object, a still one, or
one that resembles no template is "none", which is never right.

Left out on purpose: several objects. A second one is counted in full as part of the first, which
lowers every intersection over union.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.shapes.world import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    DIRECTIONS,
    SHAPES,
    SIZES,
    SPEEDS,
    coverage,
    parse,
)

WEIGHTS = dict(zip(ATTRIBUTES, (3.0, 3.0, 3.0, 1.0, 1.0, 1.0), strict=True))
_CONTRAST = 0.22  # least difference between object and background in one channel
_FAINT = 0.25  # coverage below this is noise
_FAR = 0.33  # a colour further than this from every palette entry is none of them
_LEAST_IOU, _LEAST_WAY, _LEAST_AREA = 0.6, 0.1, 0.008
_LEAST_PRESENT = 0.75  # share of frames that must show an object


@dataclass(frozen=True)
class Measured:
    """What the oracle saw.

    `words` has one entry per attribute, "none" where nothing fits; `rgb` and `level` are the
    colours of object and background in [0, 1]; `iou` is per shape, in [0, 1]; `way` is the fitted
    (x, y) displacement from the first frame to the last and `radius` that of the disc of the same
    area, both in shares of the frame's side; `present` is the share of frames with an object.
    """

    words: dict[str, str]
    rgb: tuple[float, ...]
    level: float
    iou: dict[str, float]
    way: tuple[float, float]
    radius: float
    present: float


def _object(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Background `3`, object colour `3` and coverage `t h w`, from a float clip in [0, 1]."""
    ring = np.concatenate([clip[:, 0], clip[:, -1], clip[:, :, 0], clip[:, :, -1]], axis=1)
    ground = np.median(ring, axis=1)
    offset = clip - ground[:, None, None]
    contrast = np.abs(offset).max(-1)
    peak = contrast.max((1, 2))
    core = (contrast > _CONTRAST) & (contrast >= 0.7 * peak[:, None, None])
    if not core.any():
        return np.median(ground, 0), np.zeros(3), np.zeros(clip.shape[:3])
    colour = np.median(clip[core], axis=0)
    axis = colour - ground
    axis2 = np.maximum((axis**2).sum(-1), 1e-6)[:, None, None]
    along = (offset * axis[:, None, None]).sum(-1) / axis2
    alpha = np.clip(along, 0, 1)
    # What is far from both colours should not be there: count it in full.
    stray = np.abs(offset - along[..., None] * axis[:, None, None]).max(-1) > _FAR
    alpha = np.where(stray, 1, np.where(alpha < _FAINT, 0, alpha))
    return np.median(ground, 0), colour, alpha * (peak > _CONTRAST)[:, None, None]


def _nearest(value: np.ndarray, table: dict[str, np.ndarray], limit: float) -> str:
    name, distance = min(
        ((k, float(np.linalg.norm(value - v))) for k, v in table.items()), key=lambda kv: kv[1]
    )
    return name if distance < limit else "none"


def _heading(way: np.ndarray) -> str:
    x, y = (float(v) for v in way)
    if max(abs(x), abs(y)) < _LEAST_WAY or max(abs(x), abs(y)) < 1.5 * min(abs(x), abs(y)):
        return "none"
    if abs(x) > abs(y):
        return "right" if x > 0 else "left"
    return "down" if y > 0 else "up"


def _middle(table: dict[str, float]) -> float:
    return sum(table.values()) / len(table)


def _overlap(alpha: np.ndarray, mask: np.ndarray) -> float:
    both, either = np.minimum(alpha, mask).sum((1, 2)), np.maximum(alpha, mask).sum((1, 2))
    return float((both / either).mean())


def _check(clip: np.ndarray) -> None:
    shape = clip.shape
    if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or clip.dtype != np.uint8:
        raise ValueError(f"a clip is uint8 t h w 3 with h = w, this one is {clip.dtype} {shape}")


def measure(clip: np.ndarray) -> Measured:
    """What is to be seen in a clip, uint8 `t h w c` with h = w."""
    _check(clip)
    ground, rgb, alpha = _object(clip.astype(np.float32) / 255)
    side, area = clip.shape[1], alpha.sum((1, 2))
    seen = area > _LEAST_AREA * side * side
    present, level = float(seen.mean()), float(ground.mean())
    words = dict.fromkeys(ATTRIBUTES, "none")
    grays = {k: np.full(3, v / 255) for k, v in BACKGROUNDS.items()}
    words["background"] = _nearest(ground, grays, 0.3)
    if seen.sum() < 2 or present < _LEAST_PRESENT:
        return Measured(words, (0, 0, 0), level, dict.fromkeys(SHAPES, 0.0), (0, 0), 0.0, present)
    alpha, area = alpha[seen], area[seen]
    grid = np.arange(side) + 0.5
    x, y = (alpha * grid).sum((1, 2)) / area, (alpha * grid[:, None]).sum((1, 2)) / area
    xy = np.stack([x, y], 1)
    way = np.polyfit(np.flatnonzero(seen) / (len(clip) - 1), xy, 1)[0] / side
    radius = float(np.sqrt(np.median(area) / np.pi) / side)
    iou = {s: _overlap(alpha, coverage(s, xy, np.sqrt(area / np.pi), side)) for s in SHAPES}
    best = max(SHAPES, key=lambda s: iou[s])
    words["colour"] = _nearest(rgb, {k: np.array(v) / 255 for k, v in COLOURS.items()}, _FAR)
    words["shape"] = best if iou[best] >= _LEAST_IOU else "none"
    words["size"] = "small" if radius < _middle(SIZES) else "big"
    words["direction"] = _heading(way)
    if words["direction"] != "none":
        words["speed"] = "slowly" if np.abs(way).max() < _middle(SPEEDS) else "quickly"
    gone = (float(way[0]), float(way[1]))
    return Measured(words, tuple(map(float, rgb)), level, iou, gone, radius, present)


def judge(clip: np.ndarray, text: str) -> dict[str, float | bool]:
    """For each attribute that the caption states: right or not; and a graded `score` in [0, 1].

    The score is the weighted mean of the grades of the stated attributes (colour, shape and
    direction weigh 3, the others 1), times the share of frames in which an object is seen.
    """
    seen, stated = measure(clip), parse(text)
    if not stated:
        raise ValueError(
            f"the caption {text!r} states nothing that can be measured: "
            f"name at least one of {', '.join(ATTRIBUTES)}"
        )
    verdict: dict[str, float | bool] = {k: seen.words[k] == word for k, word in stated.items()}
    weight = sum(WEIGHTS[k] for k in stated)
    grade = sum(WEIGHTS[k] * _grade(k, word, seen) for k, word in stated.items()) / weight
    return verdict | {"score": float(grade * seen.present)}


def _grade(name: str, word: str, seen: Measured) -> float:
    """How well one stated attribute is met, in [0, 1]: without steps, so that candidates rank."""
    if name == "background":
        return _closeness(seen.level, BACKGROUNDS[word] / 255, 0.3)
    if seen.radius == 0:
        return 0.0
    covered = float(np.hypot(seen.way[0], seen.way[1]))
    if name == "colour":
        distance = np.linalg.norm(np.array(seen.rgb) - np.array(COLOURS[word]) / 255)
        return _closeness(float(distance), 0, 1.5 * _FAR)
    if name == "shape":
        rival = max(v for k, v in seen.iou.items() if k != word)
        return float(np.clip(0.5 + (seen.iou[word] - rival) / 0.3, 0, 1)) * seen.iou[word]
    if name == "direction":
        along = float(np.dot(seen.way, DIRECTIONS[word]))
        return float(np.clip((2 * along - covered) / SPEEDS["slowly"], 0, 1))
    got, table = (seen.radius, SIZES) if name == "size" else (covered, SPEEDS)
    return _closeness(got, table[word], abs(float(np.diff(list(table.values()))[0])))


def _closeness(got: float, wanted: float, zero_at: float) -> float:
    """1 where wanted, falling linearly to 0 at a distance of `zero_at`."""
    return max(0.0, 1 - abs(got - wanted) / zero_at)
