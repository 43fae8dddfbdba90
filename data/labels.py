"""From pairs, scores and votes to the labels that training sees: one pure function per source.

- `auto`: OmniScore's best is chosen, its worst rejected, with probability 1. VideoDPO as published.
- `human`: the people's posterior share per pair. With `c` votes for the clip that more people
  preferred, out of `n` that judged, ties counting half for each side, the probability that it is
  the better one is `(c + 1/2) / (n + 1)`: the mean of a Beta posterior under Jeffreys' prior. One
  vote gives 0.75, which is about as often as two people agree on such pairs; five of five give
  0.92.
- `posterior`: both. Prior odds from OmniScore calibrated on the votes about other prompts, updated
  by each vote under its annotator's reliability; `data/posterior.py` has the method. Pairs without
  votes keep the calibrated probability, so every scored pair can be used.

Undone and revised votes do not count (`data.votes.live_votes`); a skip is no answer. Pairs leave
when nobody answered, when the two sides come out even (such a pair has no direction to learn from),
and when at least half of those who judged called both clips unusable. The last holds for every
source: it is a verdict on the material, not on its order. Pairs that check people (`Pair.trains`)
leave too, and the caller hands in only votes that count (`data.decisions.counted`). `left_out`
says how many left, and why.

Left out on purpose: strength of a preference and answers per question. Pure: no IO.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from data.calibration import Shares
from data.omniscore import NO_PROFILE, Omni, Profile, totals, usual
from data.records import LabelSource, Pair, Preference, Score, Vote
from data.votes import live_votes

JEFFREYS = 0.5
"""Pseudo-votes for each side (Beta(1/2, 1/2))."""
_EVEN = 1e-12
"""Beliefs closer than rounding have no direction."""

Reason = Literal["check", "unusable", "unscored", "unvoted", "skipped", "even"]
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
    return with_label(_auto(pairs, scores, votes, profile))


def human(
    pairs: Sequence[Pair],
    scores: Iterable[Score] = (),
    votes: Iterable[Vote] = (),
    *,
    profile: Profile | None = None,
) -> list[Preference]:
    """The people's posterior share per pair, in the order of `pairs`; scores are not looked at."""
    return with_label(_human(pairs, scores, votes, profile))


def posterior(
    pairs: Sequence[Pair],
    scores: Iterable[Score],
    votes: Iterable[Vote],
    *,
    profile: Profile | None = None,
) -> list[Preference]:
    """What scores and votes say together, in the order of `pairs`.

    `profile` says whose dimensions the prior has (of a calibrated one, the base: a stored
    calibration has seen the pair's own votes); None: the profile that most pairs were made with.
    """
    return with_label(_posterior(pairs, scores, votes, profile))


LABELS: dict[str, LabelRule] = {"auto": auto, "human": human, "posterior": posterior}
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
    return without_label(resolve(source, pairs, scores, votes, profile=profile))


def resolve(
    source: str,
    pairs: Sequence[Pair],
    scores: Iterable[Score],
    votes: Iterable[Vote],
    *,
    profile: Profile | None = None,
) -> dict[str, Resolved]:
    """The label of each pair by a source's name, or why it has none, in the order of `pairs`."""
    rule = {"auto": _auto, "human": _human, "posterior": _posterior}[source]
    return rule(pairs, scores, votes, profile)


def without_label(resolved: Mapping[str, Resolved]) -> dict[Reason, int]:
    """How many pairs have none, by reason."""
    counts: Counter[Reason] = Counter()
    for result in resolved.values():
        if not isinstance(result, Preference):
            counts[result] += 1
    return dict(counts)


def with_label(resolved: Mapping[str, Resolved]) -> list[Preference]:
    """The labels of those pairs that have one."""
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
        if not pair.trains:
            resolved[pair.id] = "check"
        elif _unusable(answers[pair.id]):
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
    if not pair.trains:
        return "check"
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


def _posterior(
    pairs: Sequence[Pair], scores: Iterable[Score], votes: Iterable[Vote], profile: Profile | None
) -> dict[str, Resolved]:
    from data.posterior import beliefs  # here: the other sources do not wait for its solvers

    cast = list(votes)
    answers = _by_pair(cast)
    known = profile or usual(pairs) or NO_PROFILE
    found = beliefs(pairs, scores, cast, known)
    resolved: dict[str, Resolved] = {}
    for pair in pairs:
        judged = [vote for vote in answers[pair.id] if vote.outcome != "skip"]
        if not pair.trains:
            resolved[pair.id] = "check"
        elif _unusable(judged):
            resolved[pair.id] = "unusable"
        elif not judged and pair.id not in found.scored:
            resolved[pair.id] = "unscored"
        else:
            scored = (known.name,) if pair.id in found.scored else ()
            resolved[pair.id] = _believed(pair, found.pairs[pair.id], scored, judged)
    return resolved


def _believed(
    pair: Pair, found: Shares, scored: tuple[str, ...], judged: Sequence[Vote]
) -> Resolved:
    if abs(found.a - found.b) < _EVEN:
        return "even"
    chosen = pair.a if found.a > found.b else pair.b
    probability = max(found.a, found.b) + found.tie / 2
    votes = tuple(vote.id for vote in sorted(judged, key=lambda vote: vote.time_order))
    return _preference(pair, chosen, min(1.0, probability), "posterior", (*scored, *votes))


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
