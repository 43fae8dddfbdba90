"""Labels with their clips, ready to be written for others: `python -m data.export --labels auto`.

Labels are resolved as training resolves them (`data.labels`): by the calibration in use, or the
profile that most pairs were made with. Weights are VideoDPO's rarity weights under a preset
(`data.weights`), not normalised. Names of annotators, and single votes, are not among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data import calibration
from data.decisions import counted
from data.errors import UserError
from data.labels import LABELS, resolve, with_label
from data.omniscore import totals
from data.preference_files import LabelledPair, write_parquet, write_videodpo
from data.records import Candidate, Pair, Preference
from data.store import Store
from data.weights import PRESETS, Histogram, rarity


def write(store: Store, folder: Path, source: str, weights: str = "none") -> dict[str, int]:
    """Writes `preferences.parquet` and the folder `videodpo`; rows of each.

    Args:
        store: The database.
        folder: To write into.
        source: A name of `data.labels.LABELS`.
        weights: A name of `data.weights.PRESETS`.

    Raises:
        UserError: No such source or weights, or no pair with a label.
    """
    pairs = labelled(store, source, weights)
    (folder / "videodpo").mkdir()
    return {
        "preferences.parquet": write_parquet(pairs, folder),
        "videodpo/pair.json": write_videodpo(pairs, folder / "videodpo"),
    }


def labelled(store: Store, source: str, weights: str) -> list[LabelledPair]:
    """The labels of the database, by pair, each with what is known of it.

    Pairs with a clip of which only votes are known leave.
    """
    for what, name, allowed in (("labels", source, LABELS), ("weights", weights, PRESETS)):
        if name not in allowed:
            raise UserError(f"--{what} is {name!r}; it must be one of {', '.join(sorted(allowed))}")
    pairs: dict[str, Pair] = {pair.id: pair for pair in store.all("pairs")}
    found, omni = _resolved(store, source, list(pairs.values()))
    clips: dict[str, Candidate] = {clip.sha256: clip for clip in store.all("candidates")}
    prompts = {prompt.id: prompt for prompt in store.all("prompts")}
    histogram, made = Histogram.of(omni.values()), []
    weighted = zip(found, rarity(found, omni, preset=weights), strict=True)
    for label, weight in sorted(weighted, key=lambda one: one[0].pair):
        chosen, rejected = clips[label.chosen], clips[label.rejected]
        if not (chosen.path and rejected.path):
            continue
        prompt = prompts[label.prompt]
        made.append(
            LabelledPair(
                prompt=prompt.text, probability=label.probability, weight=weight, source=source,
                split=prompt.split, **_opinion(label, pairs[label.pair]),
                **_clip("chosen", chosen), **_clip("rejected", rejected),
                frequency=_frequency(histogram, omni, (label.chosen, label.rejected)),
            )
        )  # fmt: skip
    return made


def _resolved(
    store: Store, source: str, pairs: list[Pair]
) -> tuple[list[Preference], dict[str, float]]:
    """Labels, and the OmniScore of every clip that has one."""
    scores, decisions = store.all("scores"), store.all("decisions")
    usual = calibration.usual(pairs, decisions)
    used = calibration.in_use(decisions, usual.base or usual.name) if usual else None
    table = used.table if used else usual
    profile = table if source == "posterior" or used else None
    votes = counted(store.all("votes"), decisions)
    found = with_label(resolve(source, pairs, scores, votes, profile=profile))
    if not found:
        raise UserError(f"No pair has a label of source {source!r}: score, pair or vote first")
    omni = totals(scores, table) if table else {}
    return found, {clip: one.total for clip, one in omni.items() if one.total is not None}


def _opinion(label: Preference, pair: Pair) -> dict[str, Any]:
    """The scorer's margin, where the label agrees with its opinion; and its profile."""
    return {"margin": pair.margin if pair.best == label.chosen else None, "profile": pair.profile}


def _clip(side: str, clip: Candidate) -> dict[str, Any]:
    return {
        side: clip.path,
        f"{side}_sha256": clip.sha256,
        f"{side}_model": clip.model,
        f"{side}_seconds": clip.frames / clip.fps,
    }


def _frequency(histogram: Histogram, known: dict[str, float], clips: Sequence[str]) -> float | None:
    """VideoDPO's sqrt(p p) of a pair whose clips have totals."""
    if any(clip not in known for clip in clips):
        return None
    shares = [histogram.share(known[clip]) for clip in clips]
    return (shares[0] * shares[1]) ** 0.5
