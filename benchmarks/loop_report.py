"""What `python -m benchmarks.closed_loop` measured, as tables and a figure.

Arms meet clip by clip: same prompt, same noise. Differences of the oracle's score up to 0.01 are
ties and count half; the 95 % interval draws whole prompts of all seeds, and says nothing of what
other seeds of training would do beyond the seeds that were run.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.curves import Band, figure
from data.agreement import Share, duel, win_rate
from data.console import table
from train.comparison.duels import BASE, TIE

ARMS = ("auto", "human", "posterior")
Row = dict[str, Any]
"""What was measured for one arm after one round of one seed."""
Who = tuple[str, int, int]
"""Arm, votes a round, and round."""


def against(rows: Sequence[Row], ours: Who, theirs: Who) -> Share:
    """How often one arm's clip beats another's at the same prompt of the same seed; ties half."""
    scores = [
        {row["seed"]: row["oracle"] for row in rows if who(row) == one} for one in (ours, theirs)
    ]
    met = [
        (f"{seed} {prompt}", value, scores[1][seed][prompt])
        for seed, values in scores[0].items()
        for prompt, value in values.items()
        if seed in scores[1]
    ]
    won = duel([(mine, other) for _, mine, other in met], tie=TIE)
    return win_rate([(where, x) for (where, _, _), x in zip(met, won, strict=True)])


def who(row: Row) -> Who:
    """Arm with its order of asking unless that is random, votes a round, and round."""
    order = row.get("order", "random")
    arm = row["arm"] if order == "random" else f"{row['arm']}, {order} first"
    return arm, row["a_round"], row["round"]


def show_train(rows: Sequence[Row]) -> str:
    """One line per arm, votes and round, over the seeds; then arms against one another."""
    arms = sorted({who(row) for row in rows if row["arm"] != BASE})
    lines = []
    for one in arms:
        mine = [row for row in rows if who(row) == one]
        scores = [statistics.fmean(row["oracle"].values()) for row in mine]
        lines.append(
            (
                one[0], one[1], one[2], len(mine), f"{mean_of(mine, 'votes'):.0f}",
                f"{mean_of(mine, 'label_right'):.3f}", f"{statistics.fmean(scores):.3f}",
                told(against(rows, one, (BASE, 0, 0))),
            )
        )  # fmt: skip
    header = ("arm", "votes a round", "round", "seeds", "votes", "labels right", "oracle",
              "wins against the base")  # fmt: skip
    last = max(number for _, _, number in arms)
    met = [
        (f"{ours[0]} ({ours[1]})", f"{theirs[0]} ({theirs[1]})", told(against(rows, ours, theirs)))
        for ours, theirs in combinations([one for one in arms if one[2] == last], 2)
    ]
    return f"{table(header, lines)}\n\n{table(('after the last round', 'against', 'wins'), met)}"


def told(rate: Share) -> str:
    """A share with its interval, in percent."""
    share = "-" if rate.share is None else f"{rate.share:.1%}"
    return f"{share} [{rate.low:.1%}, {rate.high:.1%}]"


def mean_of(rows: Sequence[Row], what: str) -> float:
    """Mean of one figure over rows."""
    return statistics.fmean(row[what] for row in rows)


def draw(labels: Sequence[Row], trained: Sequence[Row], path: Path) -> None:
    """Right labels by votes, and what the loop's rounds did: by votes and by round.

    Bands: least and most of the seeds for labels, the 95 % interval for wins.
    """
    asked = [row for row in labels if row["order"] == "random"]
    lines = sorted({who(row)[:2] for row in trained if row["arm"] != BASE})
    panels = [
        (
            "labels that are right by the oracle",
            "votes",
            [right(asked, one) for one in (*ARMS, "calibrated")],
        ),
        (
            "clips that win against the base",
            "votes in all (points: rounds)",
            [wins(trained, line, "votes") for line in lines],
        ),
        ("right labels of a round", "round", [rounds(trained, line) for line in lines]),
        (
            "clips that win against the base",
            "round",
            [wins(trained, line, "round") for line in lines],
        ),
    ]
    path.write_text(figure(panels, vertical="share"))


def right(rows: Sequence[Row], source: str) -> Band:
    """Share of right labels of one source by votes: mean, least and most of the seeds."""
    votes = sorted({row["votes"] for row in rows})
    found = [
        [row["right"] for row in rows if (row["source"], row["votes"]) == (source, count)]
        for count in votes
    ]
    return Band(
        name=source, x=[float(count) for count in votes], low=[min(one) for one in found],
        middle=[statistics.fmean(one) for one in found], high=[max(one) for one in found],
    )  # fmt: skip


def rounds(rows: Sequence[Row], line: tuple[str, int]) -> Band:
    """Share of right labels by round of one arm: mean, least and most of the seeds."""
    mine = [row for row in rows if who(row)[:2] == line]
    numbers = sorted({row["round"] for row in mine})
    found = [[row["label_right"] for row in mine if row["round"] == one] for one in numbers]
    return Band(
        name=named(line), x=[float(one) for one in numbers], low=[min(one) for one in found],
        middle=[statistics.fmean(one) for one in found], high=[max(one) for one in found],
    )  # fmt: skip


def wins(rows: Sequence[Row], line: tuple[str, int], across: str) -> Band:
    """Win rate of an arm against the base after each round, by its votes in all or by round.

    It starts as the base, which wins half against itself.
    """
    each = {who(row): float(row[across]) for row in rows if who(row)[:2] == line}
    met = [
        (place, against(rows, one, (BASE, 0, 0)))
        for one, place in sorted(each.items(), key=lambda item: item[0][2])
    ]
    return Band(
        name=named(line), x=[0.0] + [place for place, _ in met],
        low=[0.5] + [rate.low for _, rate in met],
        middle=[0.5] + [rate.share or 0.0 for _, rate in met],
        high=[0.5] + [rate.high for _, rate in met],
    )  # fmt: skip


def named(line: tuple[str, int]) -> str:
    """An arm as the legend says it."""
    arm, votes = line
    return f"{arm}, {votes} votes a round" if votes else arm
