"""Labels and totals of a large database, read as columns for `train.preference.labelled`.

A million pairs with five votes each stay in DuckDB, Polars and NumPy; records are made of labels
and of the clips and prompts that they name, not of votes, scores and everything else. The labels
are those of `data.labels`, which the tests hold these to. Left out: `posterior`, and `auto` by
another profile than the one stored with the pairs; `train.preference.labelled` takes the records
for those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, repeat
from typing import Any, cast

import numpy as np
import polars as pl

from data.profile import Profile
from data.records import Candidate, LabelSource, Pair, Preference, Prompt, Score
from data.store import Store
from data.store.rows import to_records
from data.totals import total_column

EVIDENCE_UPTO = 200_000
"""Votes. In a larger database a label does not list its votes: they are those about its pair."""


def can(source: str, profile: Profile | None) -> bool:
    """Whether `labels` gives the labels of that source and profile."""
    return source == "human" or (source == "auto" and profile is None)


def labels(store: Store, source: str) -> list[Preference]:
    """The labels in the order of the pairs."""
    made = store.labels(source)
    known = _evidence(store, source)
    return [
        Preference(
            pair=pair,
            prompt=prompt,
            chosen=chosen,
            rejected=rejected,
            probability=probability,
            source=cast(LabelSource, source),
            evidence=known.get(pair, ()),
        )
        for pair, prompt, chosen, rejected, probability in made.iter_rows()
    ]


def _evidence(store: Store, source: str) -> Mapping[str, tuple[str, ...]]:
    if source == "auto":
        return {pair: (name,) for pair, name in store.frame("pairs", ["id", "profile"]).iter_rows()}
    if store.sequence > EVIDENCE_UPTO:
        return {}
    return {pair: tuple(votes) for pair, votes in store.evidence().iter_rows()}


def pair_profiles(store: Store) -> Iterable[Pair]:
    """A stand-in for each pair that has nothing of it but its profile."""
    counts = store.frame("pairs", ["profile"])["profile"].value_counts(sort=True)
    stand_ins = ((Pair(prompt="", a="a", b="b", profile=name), n) for name, n in counts.iter_rows())
    return chain.from_iterable(repeat(pair, n) for pair, n in stand_ins)


def _raw(store: Store, profile: Profile) -> pl.DataFrame:
    """Columns `candidate` and the keys of the profile's dimensions."""
    rows = profile.dimensions
    found = store.values([(row.scorer, row.key) for row in rows])
    return found.rename({f"{row.scorer}/{row.key}": row.key for row in rows})


def totals(store: Store, profile: Profile | None) -> dict[str, float]:
    """OmniScore of every clip that has a total, by hash."""
    if profile is None or not profile.dimensions:
        return {}
    raw = _raw(store, profile)
    keys = [row.key for row in profile.dimensions]
    total = total_column({key: raw[key].fill_null(np.nan).to_numpy() for key in keys}, profile)
    has = np.flatnonzero(~np.isnan(total))
    return dict(zip(raw["candidate"].gather(has).to_list(), total[has].tolist(), strict=True))


def scores(store: Store, profile: Profile | None) -> list[Score]:
    """The scores that the profile looks at, as records, of the version that counts."""
    if profile is None or not profile.dimensions:
        return []
    raw = _raw(store, profile)
    return [
        Score(candidate=clip, scorer=row.scorer, version="", dimension=row.key, value=value)
        for row in profile.dimensions
        for clip, value in raw.select("candidate", row.key).drop_nulls().iter_rows()
    ]


def named(
    store: Store, preferences: Iterable[Preference]
) -> tuple[dict[str, Candidate], dict[str, Prompt]]:
    """The clips and the prompts that the labels name."""
    every = list(preferences)
    hashes = {sha for label in every for sha in (label.chosen, label.rejected)}
    clips = _some(store, "candidates", "sha256", hashes)
    prompts = _some(store, "prompts", "id", {label.prompt for label in every})
    return {clip.sha256: clip for clip in clips}, {prompt.id: prompt for prompt in prompts}


def _some(store: Store, kind: str, key: str, wanted: set[str]) -> list[Any]:
    frame = store.frame(kind)
    return to_records(kind, frame.filter(pl.col(key).is_in(pl.Series(sorted(wanted)).implode())))
