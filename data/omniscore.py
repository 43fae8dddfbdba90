"""OmniScore: how raw scores of a clip become one number. Pure arithmetic, no IO.

VideoDPO (arXiv 2412.14167) names its score and shows a histogram of it, but never published the
code. What it did publish (field names, figure, totals) fits VBench's scoring on own prompts, so
that is the definition here: each raw value is mapped to its documented range, the seven quality
dimensions are averaged by weight, and the total is (4 quality + semantic) / 5.

A profile is a table of dimensions. `vbench` is VBench's own table (`scripts/constant.py`). `lite`
has classical measures in place of the seven quality dimensions and none for alignment; it is a
heuristic and says so. `shapes` is `lite` plus the built-in model's text-video encoder. Ranges of
`lite` come from the definitions of the measures, not from fitting to any clips or votes. `judge` is
what a learned reward model says, and no OmniScore: its total is the mean of its three dimensions,
as VideoAlign sums them. `versus` is what a judge of two clips says.

Left out on purpose: scores themselves (`scorers/`), weights fitted to votes (`data/calibration.py`
makes profiles of them), and VBench's eight semantic dimensions that need annotated prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from data.profile import SHARES, Dimension, Group, Profile
from data.records import Pair, Score


@dataclass(frozen=True, slots=True)
class Omni:
    """OmniScore of one clip.

    `quality` and `semantic` are weighted means over those dimensions of the group that are present
    (None if none is). `total` is None as soon as any dimension of the profile is missing: never 0,
    never a tie.
    """

    total: float | None
    quality: float | None
    semantic: float | None
    normalised: dict[str, float] = field(default_factory=dict)
    """Per dimension key, 0 at the low end of its range and 1 at the high end."""
    missing: tuple[str, ...] = ()
    """Keys of the profile's dimensions that have no score. What no row measures is
    `Profile.lacks`."""


def blend(
    quality: float | None, semantic: float | None, shares: tuple[float, float] = SHARES
) -> float | None:
    """(4 quality + semantic) / 5; the other one alone where a profile has only one group."""
    if quality is None or semantic is None:
        return quality if semantic is None else semantic
    return (shares[0] * quality + shares[1] * semantic) / sum(shares)


def _group(profile: Profile, group: Group, normalised: Mapping[str, float]) -> float | None:
    """Weighted mean over the rows of `group` that are present; None if their weights sum to 0."""
    rows = [row for row in profile.dimensions if row.group == group and row.key in normalised]
    weight = sum(abs(row.weight) for row in rows)
    return sum(_share(row, normalised[row.key]) for row in rows) / weight if weight else None


def _share(row: Dimension, place: float) -> float:
    """What a dimension adds to its group: its weight by its place, counted from the good end."""
    return row.weight * place if row.weight >= 0 else -row.weight * (1.0 - place)


def coefficients(profile: Profile) -> dict[str, float]:
    """By how much the total rises per unit of each normalised dimension, others held."""
    size = {
        group: sum(abs(row.weight) for row in profile.dimensions if row.group == group)
        for group in ("quality", "semantic")
    }
    named = zip(("quality", "semantic"), profile.shares, strict=True)
    shares = {group: share for group, share in named if size[group]}
    return {
        row.key: shares[row.group] / sum(shares.values()) * row.weight / size[row.group]
        if size[row.group]
        else 0.0
        for row in profile.dimensions
    }


def aggregate(raw: Mapping[str, float], profile: Profile) -> Omni:
    """OmniScore of one clip from its raw values per dimension key.

    Args:
        raw: finite raw values; a dimension that could not be judged is left out. Keys that the
            profile does not name are ignored.
        profile: the table to apply.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    rows = profile.dimensions
    normalised = {row.key: row.normalise(raw[row.key]) for row in rows if row.key in raw}
    missing = tuple(row.key for row in rows if row.key not in raw)
    quality, semantic = (_group(profile, group, normalised) for group in ("quality", "semantic"))
    total = None if missing else blend(quality, semantic, profile.shares)
    return Omni(total, quality, semantic, normalised, missing)


def raw_values(scores: Iterable[Score], profile: Profile) -> dict[str, dict[str, float]]:
    """Raw values per clip and dimension key, from the scorers that the profile names.

    Values of different versions of a scorer are never compared: of each dimension, the version of
    the newest score (the last in `scores`, the order in which the store returns them) counts for
    all clips.
    """
    wanted = {(row.scorer, row.key) for row in profile.dimensions}
    mine = [score for score in scores if (score.scorer, score.dimension) in wanted]
    current = {score.dimension: score.version for score in mine}
    found: dict[str, dict[str, float]] = {}
    for score in mine:
        if score.version == current[score.dimension]:
            found.setdefault(score.candidate, {})[score.dimension] = score.value
    return found


def totals(scores: Iterable[Score], profile: Profile) -> dict[str, Omni]:
    """OmniScore of every clip that has at least one score under `profile`, by candidate hash."""
    return {clip: aggregate(raw, profile) for clip, raw in raw_values(scores, profile).items()}


_stand_in = partial(Dimension, clip=True, heuristic=True)

_LITE = (
    _stand_in(
        key="subject_consistency",
        label="Structure stays",
        scorer="consistency",
        source="Shared part of the edge-orientation histograms with the first and the previous "
        "frame; 0 to 1 by definition. Stands in for DINO features. Blind to place: motion is free.",
    ),
    _stand_in(
        key="background_consistency",
        label="Colours stay",
        scorer="consistency",
        source="Shared part of the colour histograms with the first and the previous frame; 0 to 1 "
        "by definition. Stands in for CLIP features. Blind to place: motion is free.",
    ),
    _stand_in(
        key="temporal_flickering",
        label="No flicker",
        scorer="flow",
        low=1 - 1 / 3,
        source="1 minus the mean difference to the next frame along optical flow, where both see "
        "the same point. Independent uniform noise differs by 1/3 on average: that counts 0.",
    ),
    _stand_in(
        key="motion_smoothness",
        label="Smooth motion",
        scorer="flow",
        source="1 minus acceleration over speed where motion is strongest: 0 (reversing) to 1 "
        "(steady or still) by the triangle inequality. Stands in for AMT frame interpolation.",
    ),
    _stand_in(
        key="dynamic_degree",
        label="Movement",
        scorer="flow",
        high=2.0,
        weight=0.5,
        source="Speed of the fastest 5 % of pixels over VBench's threshold (6 px per 1/8 s at 256 "
        "px). The threshold counts half, twice the threshold full; beyond that, more is no better.",
    ),
    _stand_in(
        key="aesthetic_quality",
        label="Colourfulness",
        scorer="colour",
        high=82 / 255,
        source="Hasler and Süsstrunk (2003); their 'highly colourful', 82 of 255, counts full. "
        "Stands in for the LAION aesthetic predictor. Knows nothing of composition.",
    ),
    _stand_in(
        key="imaging_quality",
        label="Sharpness",
        scorer="sharpness",
        source="Share of local contrast that lies in clean edges one pixel wide (after Zhu and "
        "Milanfar 2010): 0 (blur, noise, blank) to 1. Stands in for MUSIQ.",
    ),
)

_HALFWAY = "frames left out, made again by optical flow; the range is that of AMT-S (vbench-amt)"
# VBench 45e79ec, scripts/constant.py: key, label, scorer, raw value, min, max, weight.
_VBENCH_ROWS = (
    ("subject_consistency", "Subject consistency", "dino", "DINO ViT-B/16", 0.1462, 1.0, 1.0),
    ("background_consistency", "Background consistency", "clip", "CLIP ViT-B/32", 0.2615, 1.0, 1.0),
    ("temporal_flickering", "Temporal flickering", "flicker", "frame difference", 0.6293, 1.0, 1.0),
    ("motion_smoothness", "Motion smoothness", "halfway", _HALFWAY, 0.706, 0.9975, 1.0),
    ("dynamic_degree", "Dynamic degree", "raft", "RAFT, moving or not", 0.0, 1.0, 0.5),
    ("aesthetic_quality", "Aesthetic quality", "laion", "LAION v1 linear / 10", 0.0, 1.0, 1.0),
    ("imaging_quality", "Imaging quality", "musiq", "MUSIQ-SPAQ / 100", 0.0, 1.0, 1.0),
    ("alignment", "Overall consistency", "viclip", "ViCLIP cosine", 0.0, 0.364, 1.0),
)
_VBENCH = tuple(
    Dimension(
        key=key,
        label=label,
        group="semantic" if key == "alignment" else "quality",
        scorer=scorer,
        low=low,
        high=high,
        weight=weight,
        source=source,
    )
    for key, label, scorer, source, low, high, weight in _VBENCH_ROWS
)

_SHAPES_ALIGNMENT = Dimension(
    key="alignment",
    label="Fits the prompt",
    group="semantic",
    scorer="shapes",
    clip=True,
    source="Cosine of the built-in text-video encoder: 0 unrelated, 1 the same. It knows only the "
    "world of `shapes`.",
)

# KlingTeam/VideoReward, model_config.json, inference_config: key, label, mean, deviation.
_JUDGE_ROWS = (
    ("visual_quality", "Visual quality", 3.6757, 2.2476),
    ("motion_quality", "Motion quality", 1.1646, 1.3811),
    ("text_alignment", "Text alignment", 2.8105, 2.5121),
)
_JUDGE = tuple(
    Dimension(
        key=key, label=label, scorer="videoreward",
        group="semantic" if key == "text_alignment" else "quality",
        low=mean - 3 * deviation, high=mean + 3 * deviation,
        source="VideoAlign's own mean counts half, three of its deviations below 0, above full.",
    )
    for key, label, mean, deviation in _JUDGE_ROWS
)  # fmt: skip
_VERSUS = Dimension(
    key="preference", label="Preferred in pairs", scorer="versus", low=-3.0, high=3.0,
    source="Log-odds against the mean of the prompt's clips, both orders asked; 3 is 95 %.",
)  # fmt: skip

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="lite",
            title="classical measures, no weights; a heuristic, alignment is not measured",
            dimensions=_LITE,
        ),
        Profile(
            name="shapes",
            title="lite plus the built-in text-video encoder; for the built-in model only",
            dimensions=(*_LITE, _SHAPES_ALIGNMENT),
        ),
        Profile(
            name="vbench",
            title="the eight dimensions of VBench with its ranges and weights",
            dimensions=_VBENCH,
        ),
        Profile(
            name="vbench-amt",
            title="vbench with VBench's own interpolator AMT-S, which you bring",
            dimensions=tuple(
                replace(row, scorer="amt", source="AMT-S interpolation")
                if row.key == "motion_smoothness"
                else row
                for row in _VBENCH
            ),
        ),
        Profile(
            name="judge",
            title="VideoReward, a learned judge; the total is the mean of what it says, as its own",
            dimensions=_JUDGE,
            shares=(2.0, 1.0),
        ),
        Profile(
            name="vbench-judge",
            title="vbench with VideoReward's dimensions beside it; weights to be calibrated",
            dimensions=(*_VBENCH, *_JUDGE),
        ),
        Profile(
            name="versus",
            title="a judge that compared the clips of each prompt two by two (--judge versus)",
            dimensions=(_VERSUS,),
        ),
    )
}
"""Every profile by name. A new one is a row here."""
NO_PROFILE = Profile(name="", title="nothing is measured", dimensions=())
"""For pairs without scores."""


def usual(pairs: Iterable[Pair], known: Mapping[str, Profile] = PROFILES) -> Profile | None:
    """The profile that most pairs were made with, the first by name of several.

    None where no pair names one that is `known` (`data.calibration.usual` knows calibrated ones).
    """
    count = Counter(pair.profile for pair in pairs if pair.profile in known)
    return known[min(count, key=lambda name: (-count[name], name))] if count else None
