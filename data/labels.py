"""From pairs, scores and votes to the labels that training sees: one pure function per source.

- `auto`: OmniScore's best is chosen, its worst rejected, with probability 1. VideoDPO as published.
- `human`: the people's posterior share per pair. With `c` votes for the clip that more people
  preferred, out of `n` that judged, ties counting half for each side, the probability that it is
  the better one is `(c + 1/2) / (n + 1)`: the mean of a Beta posterior under Jeffreys' prior. One
  vote gives 0.75, which is about as often as two people agree on such pairs; five of five give
  0.92.

Undone and revised votes do not count (`data.votes.live_votes`); a skip is no answer. Pairs leave
when nobody answered, when the two sides come out even (such a pair has no direction to learn from),
and when at least half of those who judged called both clips unusable. The last holds for every
source: it is a verdict on the material, not on its order. `left_out` says how many left, and why.

Left out on purpose: strength of a preference, answers per question, reliability of annotators, and
the `posterior` that joins scores and votes. Pure: no IO.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from data.omniscore import Omni, Profile, totals
from data.records import LabelSource, Pair, Preference, Score, Vote
from data.votes import live_votes

JEFFREYS = 0.5
"""Pseudo-votes for each side (Beta(1/2, 1/2))."""

Reason = Literal["unusable", "unscored", "unvoted", "skipped", "even"]
Resolved = Preference | Reason
LabelRule = Callable[..., list[Preference]]


def auto(
    pairs: Sequence[Pair],
    scores: Iterable[Score],
    votes: Iterable[Vote],
    *,
    profile: Profile | None = None,
) -> list[Preference]:
    """OmniScore's opinion, in the order of `pairs`; pairs without one leave.

    With a `profile` the opinion is computed anew from the raw scores; with None the one stored with
    the pair (`Pair.best`) counts, which is how imported pairs keep theirs.
    """
    return _kept(_auto(pairs, scores, votes, profile))


def human(
    pairs: Sequence[Pair],
    scores: Iterable[Score] = (),
    votes: Iterable[Vote] = (),
    *,
    profile: Profile | None = None,
) -> list[Preference]:
    """The people's posterior share per pair, in the order of `pairs`; scores are not looked at."""
    return _kept(_human(pairs, scores, votes, profile))


LABELS: dict[str, LabelRule] = {"auto": auto, "human": human}
"""Label sources by the name that `train.dpo --labels` takes; all have the signature of `auto`."""


def left_out(
    source: str,
    pairs: Sequence[Pair],
    scores: Iterable[Score],
    votes: Iterable[Vote],
    *,
    profile: Profile | None = None,
) -> dict[Reason, int]:
    """How many pairs the source leaves out, by reason; reasons that never occur are absent."""
    rule = {"auto": _auto, "human": _human}[source]
    resolved = rule(pairs, scores, votes, profile).values()
    return dict(Counter(result for result in resolved if not isinstance(result, Preference)))


def _kept(resolved: Mapping[str, Resolved]) -> list[Preference]:
    return [result for result in resolved.values() if isinstance(result, Preference)]


def _auto(
    pairs: Sequence[Pair], scores: Iterable[Score], votes: Iterable[Vote], profile: Profile | None
) -> dict[str, Resolved]:
    answers = _by_pair(votes)
    known = {} if profile is None else totals(scores, profile)
    resolved: dict[str, Resolved] = {}
    for pair in pairs:
        scored = _higher(pair, known.get(pair.a), known.get(pair.b))
        best = pair.best if profile is None else scored
        if _unusable(answers[pair.id]):
            resolved[pair.id] = "unusable"
        elif best is None:
            resolved[pair.id] = "unscored"
        else:
            name = pair.profile if profile is None else profile.name
            resolved[pair.id] = _preference(pair, best, 1.0, "auto", (name,))
    return resolved


def _higher(pair: Pair, a: Omni | None, b: Omni | None) -> str | None:
    if a is None or b is None or a.total is None or b.total is None or a.total == b.total:
        return None
    return pair.a if a.total > b.total else pair.b


def _human(
    pairs: Sequence[Pair], scores: Iterable[Score], votes: Iterable[Vote], profile: Profile | None
) -> dict[str, Resolved]:
    del scores, profile  # the same signature as every label source
    answers = _by_pair(votes)
    return {pair.id: _people(pair, answers[pair.id]) for pair in pairs}


def _people(pair: Pair, answers: Sequence[Vote]) -> Resolved:
    judged = [vote for vote in answers if vote.outcome != "skip"]
    if not judged:
        return "skipped" if answers else "unvoted"
    if _unusable(answers):
        return "unusable"
    ties = sum(vote.outcome == "tie" for vote in judged)
    share = {
        clip: sum(vote.preferred == clip for vote in judged) + ties / 2 for clip in (pair.a, pair.b)
    }
    if share[pair.a] == share[pair.b]:
        return "even"
    chosen = max(share, key=lambda clip: share[clip])
    probability = (share[chosen] + JEFFREYS) / (len(judged) + 2 * JEFFREYS)
    evidence = tuple(vote.id for vote in sorted(judged, key=lambda vote: vote.time_order))
    return _preference(pair, chosen, probability, "human", evidence)


def _unusable(answers: Sequence[Vote]) -> bool:
    """Whether at least half of those who did not skip called both clips unusable."""
    judged = [vote for vote in answers if vote.outcome != "skip"]
    return bool(judged) and 2 * sum(vote.unusable for vote in judged) >= len(judged)


def _by_pair(votes: Iterable[Vote]) -> defaultdict[str, list[Vote]]:
    grouped: defaultdict[str, list[Vote]] = defaultdict(list)
    for vote in live_votes(votes):
        grouped[vote.pair].append(vote)
    return grouped


def _preference(
    pair: Pair, chosen: str, probability: float, source: LabelSource, evidence: tuple[str, ...]
) -> Preference:
    return Preference(
        pair=pair.id,
        prompt=pair.prompt,
        chosen=chosen,
        rejected=pair.b if chosen == pair.a else pair.a,
        probability=probability,
        source=source,
        evidence=evidence,
    )
