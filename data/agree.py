"""People and OmniScore, measured: `python -m data.agree --db prefs.duckdb`.

1. How often people agree with OmniScore: without ties, with ties, by margin, per dimension; blind
   and shown apart, and quoted from blind votes (`data.agreement`, `data.judged`,
   `data.dimensions`).
2. What seeing the score does: anchoring, and what the reveal changed (`data.anchoring`).
3. How far people agree with each other and with themselves (`data.consensus`, `data.checks`,
   `data.raters`).
4. Which generators and adapters people prefer (`data.ratings`).

Votes of excluded people count nowhere, and pairs that only check people nowhere but in their own
figures. 3 and 4 take answers as they were first given, before a score was revealed.
Every interval is 95 %, and draws whole prompts where votes share them. What rests on too few votes
is said to, not printed. The same database and seed give the same bytes.

    python -m data.agree --db prefs.duckdb --campaign pilot --json agree.json --html agree.html
    python -m data.agree --db prefs.duckdb --profile versus    # people and a judge of pairs

Left out on purpose: weights of the dimensions (`data.calibrate`), arms of training
(`train.compare`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from data import agree_page, agree_text
from data.agreement import Agreement, agreement, exposures
from data.anchoring import Reveal, anchoring, reveal
from data.bootstrap import Estimate
from data.calibration import profile_named, usual
from data.checks import Check, GoldCheck, Repeats, gold, left, repeats
from data.consensus import Consensus, consensus
from data.console import Parser, say
from data.decisions import counted, excluded
from data.decisions import gold as gold_pairs
from data.dimensions import ByDimension, by_dimension
from data.errors import UserError, user_errors
from data.judged import MarginBin, WithTies, by_margin, verdicts, with_ties, without_ties
from data.omniscore import PROFILES, Omni, totals
from data.profile import Profile
from data.raters import Reliability, answers, reliability
from data.ratings import UNKNOWN, Ratings, games, ratings
from data.records import Candidate, Decision, Pair, Score, Vote
from data.store import Store
from data.votes import first_answers

QUOTED = ("blind", "shown", "overall")
"""Exposures that agreement is given for, the one to quote first."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to read, and where to write it."""

    db: str = "prefs.duckdb"
    campaign: str | None = None
    profile: str | None = None
    json: Path | None = None
    html: Path | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What there was to count."""

    pairs: int
    """That train."""
    voted: int
    """Of them, with a standing answer of somebody who counts."""
    votes: int
    """Standing answers on them, skips too."""
    people: int
    excluded: tuple[str, ...]
    """Annotators whose votes do not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that the votes say; every part explains itself in its own module."""

    campaign: str | None
    seed: int
    snapshot: int
    """Sequence number of the newest vote that it saw."""
    profile: str
    """OmniScore profile whose dimensions are shown, and that fills opinions in; may be empty."""
    counts: Counts
    tallies: Agreement
    """Confirmations, overrides, ties, ... by exposure."""
    sides: Mapping[str, Estimate]
    """Agreement without ties, by exposure (`QUOTED`)."""
    with_ties: Mapping[str, WithTies]
    """Agreement with ties, by exposure."""
    quoted: str
    """The exposure of `margins` and `dimensions`: `blind` where there are such votes."""
    margins: tuple[MarginBin, ...]
    dimensions: tuple[ByDimension, ...]
    anchoring: Estimate
    reveal: Reveal
    consensus: Consensus
    left: Check
    repeats: Repeats
    gold: GoldCheck
    reliability: Mapping[str, Reliability]
    generators: Ratings
    adapters: Ratings
    """Generator and adapter together; without games where no adapter was compared."""

    def as_dict(self) -> dict[str, Any]:
        """JSON values, the same for the same votes and seed."""
        return asdict(self) | {"tallies": self.tallies.as_dict()}


def build(
    store: Store, *, campaign: str | None = None, by: str | None = None, seed: int = 0
) -> Report:
    """The report on one campaign, or on all of them.

    `by` names a profile whose opinions count instead of those stored with the pairs, where it knows
    both clips; what seeing a score did is still about the stored ones.

    Raises:
        UserError: there is no such campaign or profile, or no pairs at all.
    """
    pairs = _pairs(store.all("pairs"), campaign)
    decisions = store.all("decisions")
    mine = {pair.id for pair in pairs}
    votes = counted((vote for vote in store.all("votes") if vote.pair in mine), decisions)
    scores = store.all("scores")
    profile = profile_named(by, decisions) if by else _profile(pairs, scores, decisions)
    scored = totals(scores, profile) if profile else {}
    stored = {pair.id: pair for pair in pairs if pair.trains}
    asked = {key: _unscored(pair) for key, pair in stored.items()} if by else stored
    trains = {key: _opinion(pair, scored, profile) for key, pair in asked.items()}
    every = {pair.id: pair for pair in pairs}
    seen = exposures(vote for vote in votes if vote.pair in trains)
    arms = {name: verdicts(getattr(seen, name), trains) for name in QUOTED}
    shown = stored if by else trains
    blind, open_ = (verdicts(votes, shown) for votes in (seen.blind, seen.shown))
    quoted = "blind" if len(arms["blind"]) else "overall"
    first = first_answers(votes)
    given = answers(first, trains.values())
    by_model, by_adapter = _ratings(first, every, store.all("candidates"), seed)
    return Report(
        campaign=campaign,
        seed=seed,
        snapshot=store.sequence,
        profile=profile.name if profile else "",
        counts=Counts(
            pairs=len(trains),
            voted=len(given.pairs),
            votes=len(seen.overall),
            people=len({vote.annotator for vote in seen.overall}),
            excluded=tuple(sorted(excluded(decisions))),
        ),
        tallies=agreement(trains.values(), votes),
        sides={name: without_ties(arms[name], seed=seed, what=name) for name in QUOTED},
        with_ties={name: with_ties(arms[name], seed=seed, what=name) for name in QUOTED},
        quoted=quoted,
        margins=by_margin(arms[quoted], seed=seed),
        dimensions=by_dimension(getattr(seen, quoted), trains, scored, profile, seed=seed)
        if profile
        else (),
        anchoring=anchoring(blind, open_, seed=seed),
        reveal=reveal(seen, shown, seed=seed),
        consensus=consensus(given, {name: pair.prompt for name, pair in trains.items()}, seed=seed),
        left=left(first, every, seed=seed),
        repeats=repeats(first, every, seed=seed),
        gold=gold(votes, gold_pairs(decisions), seed=seed),
        reliability=reliability(first, trains.values()),
        generators=by_model,
        adapters=by_adapter,
    )


def _pairs(pairs: Sequence[Pair], campaign: str | None) -> list[Pair]:
    if campaign is None:
        return list(pairs)
    found = [pair for pair in pairs if pair.campaign == campaign]
    if not found:
        names = ", ".join(sorted({pair.campaign for pair in pairs})) or "none yet"
        raise UserError(f"--campaign is {campaign!r}; the campaigns with pairs are: {names}")
    return found


def _profile(
    pairs: Iterable[Pair], scores: Sequence[Score], decisions: Iterable[Decision]
) -> Profile | None:
    """The profile that most pairs were made with, else the richest one that scores exist for."""
    if (found := usual(pairs, decisions)) is not None:
        return found
    there = {(score.scorer, score.dimension) for score in scores}
    full = [
        profile
        for profile in PROFILES.values()
        if all((row.scorer, row.key) in there for row in profile.dimensions)
    ]
    return max(full, key=lambda profile: len(profile.dimensions), default=None)


def _unscored(pair: Pair) -> Pair:
    return replace(pair, best=None, margin=None, profile="")


def _opinion(pair: Pair, scored: Mapping[str, Omni], profile: Profile | None) -> Pair:
    """The pair as it is where OmniScore had an opinion, else with the one that it has now."""
    a, b = scored.get(pair.a), scored.get(pair.b)
    if pair.margin is not None or profile is None or a is None or b is None:
        return pair
    if a.total is None or b.total is None:
        return pair
    best = None if a.total == b.total else pair.a if a.total > b.total else pair.b
    return replace(pair, best=best, margin=abs(a.total - b.total), profile=profile.name)


def _ratings(
    votes: Sequence[Vote],
    pairs: Mapping[str, Pair],
    candidates: Iterable[Candidate],
    seed: int,
) -> tuple[Ratings, Ratings]:
    model: dict[str, str] = {}
    whole: dict[str, str] = {}
    for one in candidates:
        model[one.sha256] = one.model or UNKNOWN
        whole[one.sha256] = (
            f"{model[one.sha256]} + {one.adapter}" if one.adapter else model[one.sha256]
        )
    played, within = games(votes, pairs, model)
    adapted, same = games(votes, pairs, whole) if whole != model else ([], 0)
    return (
        ratings(played, within=within, seed=seed, what="generators"),
        ratings(adapted, within=same, seed=seed, what="adapters"),
    )


@user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """The command: prints the tables, and writes JSON and HTML where they are asked for."""
    parser = Parser(
        prog="python -m data.agree",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--db", default=Config.db, help="the database (default: %(default)s)")
    parser.add_argument("--campaign", help="only this campaign (default: all of them)")
    parser.add_argument(
        "--profile",
        help="profile whose opinions people are compared with (default: those stored with the "
        "pairs, which people were shown)",
    )
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    parser.add_argument("--html", type=Path, help="also write one self-contained page")
    parser.add_argument(
        "--seed", type=int, default=Config.seed, help="of every bootstrap (default: %(default)s)"
    )
    run(Config(**vars(parser.parse_args(argv))))


def run(config: Config) -> Report:
    """Read, count, and write what is asked for.

    Raises:
        UserError: no database, no such campaign or profile, or a file that cannot be written.
    """
    with Store.open(config.db) as store:
        report = build(store, campaign=config.campaign, by=config.profile, seed=config.seed)
    say(agree_text.tables(report))
    for path, content in (
        (config.json, lambda: json.dumps(report.as_dict(), indent=1, sort_keys=True) + "\n"),
        (config.html, lambda: agree_page.page(report)),
    ):
        if path is not None:
            _write(path, content())
            say(f"{path}: written")
    return report


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); give another file"
        ) from error


if __name__ == "__main__":
    raise SystemExit(main())
