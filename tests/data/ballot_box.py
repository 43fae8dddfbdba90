"""Pairs and votes for the tests of statistics: short to write, whole as records."""

from __future__ import annotations

import itertools

from data.records import Pair, Vote, digest

_number = itertools.count()


def clip(name: str) -> str:
    return digest("one", name) + digest("other", name)


def pair(name: str, *, prompt: str = "", best: str | None = "first", margin=0.1, **rest) -> Pair:
    """A pair of the clips `<name>-first` and `<name>-second`; `best` names one of them."""
    first, second = clip(f"{name}-first"), clip(f"{name}-second")
    return Pair.of(
        first,
        second,
        prompt=prompt or name,
        best={"first": first, "second": second, None: None}[best],
        margin=margin,
        profile="lite" if margin is not None else "",
        **rest,
    )


def vote(about: Pair, who: str, said: str, *, name: str = "", **rest) -> Vote:
    """`said`: best | worst | a | b | tie | skip; the clip `a` stands on the left by default."""
    preferred = {"best": about.best, "worst": about.worst, "a": about.a, "b": about.b}.get(said)
    number = next(_number)
    rest.setdefault("left", about.a)
    rest.setdefault("time_ms", 1_000_000 + number)
    return Vote(
        id=name or f"vote-{number}",
        pair=about.id,
        annotator=who,
        right=about.b if rest["left"] == about.a else about.a,
        outcome="preference" if preferred else said,
        preferred=preferred,
        **rest,
    )
