"""A learning rate for each method of `benchmarks.efficiency`, from a small search that is the same.

Three rates: the method's own, three times that, and one more on the side of the better of the two
(nine times, or a third). The one with the highest reward on train prompts after all queries is
taken. What is chosen is judged elsewhere: on other training seeds, and on prompts not trained on.

Left out on purpose: finer steps, and any other setting (batch, beta, clip, updates). A rate at an
end of what was tried may have a better one beyond it; the table shows where that is so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data.console import table

OWN = {"vader": 1e-3, "dpo": 5e-4, "ddpo": 1e-3}
"""The commands' defaults. DDPO's paper has 3e-4."""
SEED = 1_000_003
"""Of training while a rate is looked for; no reported seed reaches it."""
FACTOR = 3.0


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One rate, and what came of it."""

    method: str
    lr: float
    train: float
    """Mean reward on train prompts: what the choice is made by."""
    unseen: float
    oracle: float


def search(method: str, tried: Callable[[float], dict[str, float]]) -> list[Tried]:
    """The three rates of a method, lowest first.

    Args:
        method: A name of `OWN`.
        tried: From a learning rate to the means of `Tried`, after all queries.
    """
    own = OWN[method]
    found = [Tried(method=method, lr=lr, **tried(lr)) for lr in (own, FACTOR * own)]
    third = FACTOR**2 * own if best(found) == found[1].lr else own / FACTOR
    return sorted([*found, Tried(method=method, lr=third, **tried(third))], key=lambda one: one.lr)


def best(found: Sequence[Tried]) -> float:
    """The rate with the highest reward on train prompts; the lower of equals."""
    return max(sorted(found, key=lambda one: one.lr), key=lambda one: one.train).lr


def show_search(found: Sequence[Tried]) -> str:
    """All rates that were tried, with a mark at each method's best."""
    rows = []
    for method in dict.fromkeys(one.method for one in found):
        own = [one for one in found if one.method == method]
        for one in own:
            edge = one.lr in (own[0].lr, own[-1].lr)
            mark = ("taken, at the end of what was tried" if edge else "taken") * (
                one.lr == best(own)
            )
            means = (f"{value:.3f}" for value in (one.train, one.unseen, one.oracle))
            rows.append((method, f"{one.lr:.2g}", *means, mark))
    return table(("method", "lr", "train", "unseen", "oracle, unseen", ""), rows)
