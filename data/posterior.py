"""What is known of a pair from its scores and its votes together. Pure.

Every pair has a true answer that nobody sees: `a` is better, neither is, or `b` is. Belief in the
three starts from the calibrated OmniScore and is multiplied, vote by vote, by how likely that vote
is under each, from that annotator: Dawid and Skene's reliability (`data/raters.py`), so that the
log odds of a over b grow by `Reliability.log_odds`, and a tie moves belief towards "neither". The
probability of a label is P(a) + P(neither) / 2.

- **Prior.** Calibrated on the answers to *other* prompts: prompts are dealt to five folds, and a
  pair's prior comes from a fit (ridge chosen inside) without its own fold, so that no vote counts
  both in a prior and as evidence. Blind answers are fitted where there are at least 50, else all.
  With fewer than 50 in all, the default weights stand at a cautious scale (`data/fitting.py`).
  A prediction is the mean over the weights that the answers leave possible, not that of the best
  weights (MacKay 1992): with 50 answers about pairs that were hard, these say little.
- **Noise of votes taken out of the prior.** The calibration predicts answers, which are less sure
  than the truth. The prior is the mixture of truths that, through people's mean confusion table M,
  explains the predicted answers best (non-negative least squares). Where no votes share pairs, M is
  that of an unknown annotator, as it is in the evidence: right three times for each wrong answer.
- **Score in view.** Somebody who saw OmniScore follows it with probability κ and else answers as
  when blind; κ = (agreement shown - agreement blind) / (1 - agreement blind), from votes that took
  a side, where both kinds have at least 100, else 0. Overrides keep their full weight: nobody who
  overrides followed.

Left out on purpose: strength of a preference, answers per question, difficulty of a pair,
temperature scaling of the prior (measured: it costs right labels where people are asked about the
uncertain pairs first, `docs/log.md`), and the score as a witness of people's reliability (a biased
score would call those reliable who share its bias).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import nnls

from data import crossfit
from data.agreement import agreement
from data.calibration import LEAST_VOTES, Shares
from data.fitting import NO_RIDGE, Comparisons, Model, Scored, base, comparisons
from data.profile import Profile
from data.raters import RIGHT, TIE, TIE_ON_TIE, TIED, WRONG, Reliability, reliability, said
from data.records import Pair, Score, Vote
from data.votes import live_votes

LEAST_EXPOSED = 100
"""Votes that took a side, blind and shown each, before the pull of a score is measured."""
_SURE = 0.98
"""Most that a prior may believe in one answer: scores alone never settle a pair."""
_CODE = {"a": 0, "tie": 1, "b": 2}
UNKNOWN = Reliability(right=RIGHT, tie=TIE, wrong=WRONG, tie_on_tie=TIE_ON_TIE, votes=1, shared=0)
"""Somebody of whom nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beliefs:
    """What is known of each pair, and from what."""

    pairs: Mapping[str, Shares]
    """By pair; pairs without scores start from knowing nothing."""
    scored: frozenset[str]
    """Pairs whose scores said something."""
    calibrated: int
    """Answers that the prior was calibrated on; 0: default weights at a cautious scale."""
    exposures: str
    """`blind` or `all`: which answers those were."""
    reliability: Mapping[str, Reliability]
    noise: Float[ndarray, "3 3"]
    """P(answer | truth) of people on average."""
    follows: float
    """κ: probability of following a score in view."""


def basis(
    pairs: Sequence[Pair], scores: Iterable[Score], votes: Iterable[Vote], profile: Profile
) -> str:
    """One sentence for the person who trains on it: what the prior is made of."""
    mine = [pair for pair in pairs if pair.trains]
    rows, exposures = _answers(mine, list(votes), Scored(scores, base(profile)))
    if len(rows):
        kind = "blind answers" if exposures == "blind" else "answers, also with the score in view"
        return f"OmniScore's part is calibrated on {len(rows)} {kind}, by folds of prompts"
    return (
        f"Fewer than {LEAST_VOTES} answers to calibrate on: OmniScore's part is the default "
        f"weights at a cautious scale, a typical pair's better score preferred 60 times in 100"
    )


def beliefs(
    pairs: Sequence[Pair],
    scores: Iterable[Score],
    votes: Iterable[Vote],
    profile: Profile,
    *,
    seed: int = 0,
) -> Beliefs:
    """Belief in the three answers of every pair that trains.

    Args:
        pairs: any.
        scores: raw.
        votes: those that count (`data.decisions.counted`).
        profile: whose dimensions the prior has; of a calibrated one, the base.
        seed: of the folds.
    """
    mine = [pair for pair in pairs if pair.trains]
    known = {pair.id: pair for pair in mine}
    given = [vote for vote in votes if vote.pair in known]
    scored = Scored(scores, base(profile))
    rows, exposures = _answers(mine, given, scored)
    people = reliability(given, mine)
    noise, follows = confusion(people.values()), following(mine, given)
    prior = priors(mine, rows, Model(scored.profile, scored.units(mine)), scored, seed)
    said_by_votes = evidence(given, known, people, follows)
    flat = Shares((1 - TIED) / 2, TIED, (1 - TIED) / 2)
    if len(rows):
        prior = {id: truth(shares, noise) for id, shares in prior.items()}
    return Beliefs(
        pairs={id: updated(prior.get(id, flat), said_by_votes.get(id)) for id in known},
        scored=frozenset(prior),
        calibrated=len(rows),
        exposures=exposures,
        reliability=people,
        noise=noise,
        follows=follows,
    )


def calibrated(
    pairs: Sequence[Pair],
    scores: Iterable[Score],
    votes: Iterable[Vote],
    profile: Profile,
    *,
    seed: int = 0,
) -> dict[str, Shares]:
    """The prior alone, by scored pair: what a pair's own votes have no part in."""
    mine = [pair for pair in pairs if pair.trains]
    ids = {pair.id for pair in mine}
    given = [vote for vote in votes if vote.pair in ids]
    scored = Scored(scores, base(profile))
    rows, _ = _answers(mine, given, scored)
    return priors(mine, rows, Model(scored.profile, scored.units(mine)), scored, seed)


def updated(prior: Shares, log_likelihood: Float[ndarray, " 3"] | None) -> Shares:
    """Bayes' rule over a, neither, b."""
    if log_likelihood is None:
        return prior
    logs = np.log([prior.a, prior.tie, prior.b]) + log_likelihood
    odds = np.exp(logs - logs.max())
    a, tie, b = (odds / odds.sum()).tolist()
    return Shares(a, tie, b)


def table(who: Reliability) -> Float[ndarray, "3 3"]:
    """P(answer | truth): a row per truth, a column per answer, both in the order a, tie, b."""
    split = (1 - who.tie_on_tie) / 2
    return np.array(
        [
            [who.right, who.tie, who.wrong],
            [split, who.tie_on_tie, split],
            [who.wrong, who.tie, who.right],
        ]
    )


def confusion(people: Iterable[Reliability]) -> Float[ndarray, "3 3"]:
    """The mean table, each person by votes; with nobody, that of an unknown annotator."""
    everyone = list(people) or [UNKNOWN]
    weight = max(sum(who.votes for who in everyone), 1)
    return sum((who.votes * table(who) for who in everyone), np.zeros((3, 3))) / weight


def following(pairs: Iterable[Pair], votes: Iterable[Vote]) -> float:
    """κ: how often a score in view is followed rather than the clips; 0 where not measured."""
    found = agreement(pairs, votes)
    blind, shown = found.blind.agreement, found.shown.agreement
    if min(blind.n, shown.n) < LEAST_EXPOSED or blind.share is None or shown.share is None:
        return 0.0
    return min(0.9, max(0.0, (shown.share - blind.share) / max(1 - blind.share, 1e-9)))


def _answers(
    pairs: Sequence[Pair], votes: Sequence[Vote], scored: Scored
) -> tuple[Comparisons, str]:
    """What to calibrate on: blind answers if there are enough, else all, else none."""
    for exposures in ("blind", "all"):
        rows = comparisons(pairs, votes, scored, exposures)
        if len(rows) >= LEAST_VOTES and len(set(rows.prompts)) >= crossfit.FOLDS:
            return rows, exposures
    return rows.where(np.zeros(len(rows), dtype=bool)), "none"


def priors(
    pairs: Sequence[Pair], rows: Comparisons, model: Model, scored: Scored, seed: int
) -> dict[str, Shares]:
    """Predicted answers to every scored pair, by a fit without the pair's fold of prompts.

    Args:
        pairs: that train.
        rows: answers to calibrate on; none: the default weights at the cautious scale.
        model: profile and units.
        scored: clips of that profile.
        seed: of the folds.
    """
    if not scored.rows:
        return {}
    fold = crossfit.fold_of([pair.prompt for pair in pairs], folds=crossfit.FOLDS, seed=seed)
    place = np.array([fold[prompt] for prompt in rows.prompts], dtype=np.int64)
    found: dict[str, Shares] = {}
    for each in sorted(set(fold.values())):
        there = {
            pair.id: x
            for pair in pairs
            if fold[pair.prompt] == each and (x := scored.difference(pair.a, pair.b)) is not None
        }
        if there:
            shares = _predicted(rows.where(place != each), model, np.array([*there.values()]), seed)
            found |= {id: Shares(*row) for id, row in zip(there, shares.tolist(), strict=True)}
    return found


def _predicted(
    rows: Comparisons, model: Model, x: Float[ndarray, "n d"], seed: int
) -> Float[ndarray, "n 3"]:
    if not len(rows):
        held = replace(model, ridge=NO_RIDGE)
        return held.predicted(held.prior.centre, rows, x)
    chosen = replace(model, ridge=crossfit.chosen_ridge(rows, model, seed=seed))
    return chosen.predicted(chosen.fit(rows), rows, x)


def truth(shares: Shares, noise: Float[ndarray, "3 3"]) -> Shares:
    """The mixture of truths behind predicted answers: shares = truth · noise, kept off 0 and 1."""
    found, _ = nnls(noise.T, np.array([shares.a, shares.tie, shares.b]))
    least = (1 - _SURE) / 2
    a, tie, b = (least + (1 - 3 * least) * found / found.sum()).tolist()
    return Shares(a, tie, b)


def evidence(
    votes: Iterable[Vote],
    pairs: Mapping[str, Pair],
    people: Mapping[str, Reliability],
    follows: float,
) -> dict[str, Float[ndarray, " 3"]]:
    """Log-likelihood of each pair's standing votes under the three truths."""
    tables = {name: table(who) for name, who in people.items()}
    found: defaultdict[str, ndarray] = defaultdict(lambda: np.zeros(3))
    for vote in live_votes(votes):
        pair = pairs[vote.pair]
        answer = said(vote, pair)
        if answer is None:
            continue
        likely = tables[vote.annotator][:, _CODE[answer]]
        if vote.exposure == "shown" and pair.best is not None:
            followed = answer == ("a" if pair.best == pair.a else "b")
            likely = (1 - follows) * likely + follows * followed
        found[vote.pair] = found[vote.pair] + np.log(likely)
    return dict(found)
