"""Deciding about the work: settings of campaigns, whose votes count, what is asked again.

What the command `annotate.campaign` does and the lead's pages may do: each function adds decisions
to the store and says in lines what holds now. Nothing is edited or deleted. The store may be the
owner's, or any other opened one.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import polars as pl

from annotate.campaigns import Campaign, amended, decided, read, stored
from data.calibration import PREFIX as CALIBRATED
from data.calibration import profile_named
from data.console import table
from data.decisions import asked_again, counted, excluded, newest
from data.errors import UserError
from data.provenance import now_ms
from data.records import Decision, Pair, Vote
from data.store import Store
from data.store.places import spoken
from data.votes import live_votes


def settle(store: Store, name: str, changes: Mapping[str, Any], *, by: str) -> list[str]:
    """Change fields of a campaign, or begin one; the others stay as they are.

    Raises:
        UserError: a value that cannot be asked; nothing was decided.
    """
    decisions = _decisions(store)
    campaign = read(name, {**newest(decisions, "campaign").get(name, {}), **changes})
    if campaign.profile.startswith(CALIBRATED):
        profile_named(campaign.profile, decisions)  # refuses one that was never fitted
    store.add([decided(campaign, by=by, now_ms=now_ms())])
    return _described(store, campaign)


def describe(store: Store, name: str) -> list[str]:
    """What holds for a campaign, and what it asks for that is not there.

    Raises:
        UserError: no such campaign, or what was decided about it cannot be asked.
    """
    campaign = _campaign(store, name)
    try:
        read(name, newest(_decisions(store), "campaign").get(name, {}))
    except UserError as error:
        raise UserError(
            f"Campaign {name!r} is paused, because it cannot be asked as it was decided: {error}. "
            f"Decide that anew: python -m annotate.campaign {_at(store)} set "
            f"{shlex.quote(name)} ..."
        ) from error
    return _described(store, campaign)


def pause(store: Store, name: str, *, paused: bool, by: str) -> list[str]:
    """Hand out no more pairs of a campaign, or go on."""
    settle(store, _campaign(store, name).name, {"paused": paused}, by=by)
    return [f"campaign {name} is {'paused' if paused else 'open'}"]


def overview(store: Store) -> list[str]:
    """Every campaign as one line of a table."""
    of = {pair.id: pair.campaign for pair in _pairs(store) if pair.trains}
    sizes = Counter(of.values())
    answered = Counter(of[pair] for pair in {vote.pair for vote in _standing(store)} if pair in of)
    rows = [
        (name, sizes[name], answered[name], one.redundancy, one.most or "-", one.blind,
         "paused" if one.paused else "open")
        for name, one in sorted(_campaigns(store).items())
    ]  # fmt: skip
    header = ("campaign", "pairs", "answered", "redundancy", "most", "blind", "state")
    return [table(header, rows)]


def requeue(
    store: Store, name: str, *, pair: str = "", who: str = "", split: bool = False, by: str
) -> list[str]:
    """Ask one person more for pairs that have been answered.

    Args:
        store: where they are.
        name: their campaign.
        pair: this pair alone.
        who: all pairs that this annotator has answered.
        split: all pairs with different answers.
        by: who decides.

    Raises:
        UserError: no such campaign or pair, or nobody of that name has votes that count.
    """
    campaign, decisions = _campaign(store, name), _decisions(store)
    mine = {one.id for one in _pairs(store) if one.campaign == name and one.trains}
    answers: dict[str, list[Vote]] = defaultdict(list)
    for vote in _standing(store):
        if vote.pair in mine:
            answers[vote.pair].append(vote)
    if pair and pair not in mine:
        raise UserError(f"Campaign {name!r} has no pair {pair!r}; `data.export` lists them")
    chosen = [pair] if pair else _by(who, answers) if who else _split(answers) if split else []
    again = asked_again(decisions)
    new = [
        amended(decisions, "pair", one, {"again": more}, by=by, now_ms=now_ms())
        for one in chosen
        if (more := len(answers[one]) + 1 - campaign.redundancy) > again.get(one, 0)
    ]
    store.add(new)
    return [f"{len(new)} pairs of campaign {name} are asked of one person more"]


def count(store: Store, who: str, *, counts: bool, by: str) -> list[str]:
    """Take all votes of a person out of slots, labels and statistics, or bring them back."""
    votes = _about(store, who, {"counts": counts}, by=by)
    return [f"the {votes} votes of {who} {'count' if counts else 'do not count any more'}"]


def allow(store: Store, who: str, *, tries: int, by: str) -> list[str]:
    """Let a person try the practice round so many times more than the campaign says."""
    if tries < 0:
        raise UserError(f"tries is {tries}; it must be 0 or more")
    _about(store, who, {"tries": tries}, by=by)
    return [f"{who} may try practice {tries} times more than a campaign says"]


def _about(store: Store, who: str, changes: Mapping[str, Any], *, by: str) -> int:
    """Decide about a person; how many votes they have."""
    decisions = _decisions(store)
    votes = Counter(vote.annotator for vote in cast("list[Vote]", store.all("votes")))
    if who not in votes and who not in excluded(decisions):
        there = ", ".join(sorted(votes)) or "nobody"
        raise UserError(f"{who!r} has not voted; these have: {there}")
    store.add([amended(decisions, "person", who, changes, by=by, now_ms=now_ms())])
    return votes[who]


def _by(who: str, answers: Mapping[str, Sequence[Vote]]) -> list[str]:
    found = [pair for pair, votes in answers.items() if who in {vote.annotator for vote in votes}]
    if not found:
        raise UserError(f"{who!r} has no votes that count in this campaign")
    return found


def _split(answers: Mapping[str, Sequence[Vote]]) -> list[str]:
    return [pair for pair, votes in answers.items() if len({vote.preferred for vote in votes}) > 1]


def _decisions(store: Store) -> list[Decision]:
    return cast("list[Decision]", store.all("decisions"))


def _pairs(store: Store) -> list[Pair]:
    return cast("list[Pair]", store.all("pairs"))


def _standing(store: Store) -> Iterable[Vote]:
    """Votes that stand and count, without skips."""
    votes = counted(cast("list[Vote]", store.all("votes")), _decisions(store))
    return (vote for vote in live_votes(votes) if vote.outcome != "skip")


def _campaigns(store: Store) -> dict[str, Campaign]:
    """Every campaign that was decided about, or has pairs."""
    names = store.frame("pairs", ("campaign",))["campaign"].unique()
    return {**{name: Campaign(name=name) for name in names}, **stored(_decisions(store))}


def _campaign(store: Store, name: str) -> Campaign:
    campaigns = _campaigns(store)
    if name not in campaigns:
        there = ", ".join(sorted(campaigns)) or "none"
        raise UserError(f"There is no campaign {name!r}; there are: {there}")
    return campaigns[name]


def _described(store: Store, campaign: Campaign) -> list[str]:
    lines = [f"campaign {campaign.name}"]
    for name, value in dataclasses.asdict(campaign).items():
        if name not in ("name", "guideline", "examples"):
            shown = ", ".join(value) if isinstance(value, tuple) else value
            lines.append(f"  {name} {'-' if shown in (None, '') else shown}")
    lines.append(f"  guideline {len(campaign.guideline)} characters")
    lines.append(f"  examples {len(campaign.examples)}")
    return lines + _shortages(store, campaign)


def _shortages(store: Store, campaign: Campaign) -> list[str]:
    """What the settings ask for and the database has not."""
    pairs = store.frame("pairs", ("campaign", "strategy"))
    mine = pairs.filter(pl.col("campaign") == campaign.name)["strategy"]
    uses = Counter(strategy.partition(":")[0] for strategy in mine)
    make = f"python -m data.gold {_at(store)} --campaign {shlex.quote(campaign.name)}"
    lines: list[str] = []
    if campaign.gold and not uses["gold"]:
        lines.append(f"! no gold pairs are there, so none are asked; make some: {make} --use gold")
    if campaign.practice > uses["practice"]:
        rounds = f"rounds have {uses['practice']} pairs" if uses["practice"] else "nobody practises"
        lines.append(
            f"! {campaign.practice} practice pairs are needed and {uses['practice']} are there, so "
            f"{rounds}; make them: {make} --use practice -n {campaign.practice}"
        )
    return lines


def _at(store: Store) -> str:
    return f"--db {shlex.quote(spoken(store.path))}"
