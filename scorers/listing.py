"""`python -m scorers --list`: every scorer, what it needs, and whether that is on this machine."""

from __future__ import annotations

from pathlib import Path

import scorers
from data.console import table
from data.errors import UserError
from data.omniscore import PROFILES
from scorers import checksums, weights


def scorer_table() -> str:
    """Every scorer: dimensions, raw ranges, gradients, weights and their licence."""
    rows = []
    for name in (*scorers.names(), *scorers.JUDGES):
        card = scorers.card(name)
        for dimension, (low, high) in card.ranges.items():
            grad = "yes" if card.differentiable else "no"
            rows.append(
                (name, dimension, f"{low:g} to {high:g}", grad, card.weights, card.licence,
                 card.summary)
            )  # fmt: skip
    header = ("scorer", "dimension", "raw range", "gradients", "weights", "licence", "measures")
    return table(header, rows)


def weight_table(weights_dir: str | Path | None = None) -> str:
    """Every download: size, licence, address, checksum, and where it is on this machine."""
    places = weights.places(weights_dir)
    rows = []
    for name, row in weights.TABLE.items():
        found = next((str(p / name) for p in places if row.there(p / name)), "not here")
        address = row.address or "bring your own"
        rows.append((name, f"{row.megabytes:g}", row.licence, address, row.checksum, found))
    looked = ", ".join(str(place) for place in places)
    title = (
        f"Weights are looked for in {looked}. Checksum: what a file is compared with, published or "
        f"noted in {checksums.NOTES} when it was first fetched."
    )
    return f"{title}\n{table(('weights', 'MB', 'licence', 'from', 'checksum', 'where'), rows)}"


def wanted(name: str) -> list[str]:
    """Rows of weights behind a profile, a scorer, or a row itself; each once.

    Raises:
        UserError: none of the three is called so.
    """
    if name in PROFILES:
        judges = PROFILES[name].scorers
    elif name in scorers.names():
        judges = (name,)
    elif name in weights.TABLE:
        return [name]
    else:
        raise UserError(
            f"--fetch is {name!r}; it must be a profile ({', '.join(PROFILES)}), a scorer "
            f"({', '.join(scorers.names())}) or weights ({', '.join(weights.TABLE)})"
        )
    return list(dict.fromkeys(row for judge in judges for row in scorers.needs(judge)))
