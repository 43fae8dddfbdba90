"""Loaded scorers within a budget of memory: each backbone once, the least recently used freed.

Scorers that read the same backbone hold the very same network (`scorers/nets/stored.py::pooled`),
so a group of scorers costs what its different weights cost. `Pool.groups` packs scorers into groups
that fit the budget, those that share a backbone side by side; a run judges all its clips with one
group after the other, so that a tight budget costs a decode per group and no number changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import scorers
from scorers import weights
from scorers.weights import MissingWeightsError

if TYPE_CHECKING:
    from scorers.protocol import Scorer


@dataclass(kw_only=True)
class Pool:
    """Scorers on one device in one floating type."""

    device: Any = "cpu"
    dtype: Any = None
    """None is torch.float32."""
    weights_dir: str = ""
    memory: float = 0.0
    """GB of weights that may be loaded at once; 0: all."""
    _kept: OrderedDict[str, Scorer] = field(default_factory=OrderedDict, init=False)

    def size(self, names: Iterable[str]) -> float:
        """GB of the different weights behind these scorers."""
        rows = {row for name in names for row in scorers.needs(name)}
        width = self.dtype.itemsize if self.dtype is not None else 4
        return sum(weights.TABLE[row].in_memory for row in rows) / 1000 * width / 4

    def groups(self, names: Sequence[str]) -> list[list[str]]:
        """All of `names`, in groups that fit; each goes where it adds least."""
        found: list[list[str]] = []
        for name in names:
            fits = [group for group in found if self._holds([*group, name])]
            best = min(fits, key=lambda group: self.size([*group, name]) - self.size(group),
                       default=None)  # fmt: skip
            if best is None:
                found.append([name])
            else:
                best.append(name)
        return found

    def take(self, names: Collection[str]) -> tuple[dict[str, Scorer], dict[str, str]]:
        """The scorers of a group by name, and why the others of it cannot be loaded."""
        judges: dict[str, Scorer] = {}
        absent: dict[str, str] = {}
        for name in names:
            try:
                judges[name] = self._scorer(name, names)
            except MissingWeightsError as problem:
                absent[name] = str(problem)
        return judges, absent

    def _holds(self, names: Iterable[str]) -> bool:
        return not self.memory or self.size(names) <= self.memory

    def _scorer(self, name: str, group: Collection[str]) -> Scorer:
        if name not in self._kept:
            self._make_room(name, group)
            self._kept[name] = scorers.load(
                name, device=self.device, dtype=self.dtype, weights_dir=self.weights_dir
            )
        self._kept.move_to_end(name)
        return self._kept[name]

    def _make_room(self, name: str, group: Collection[str]) -> None:
        """Free the least recently used until `name` fits; what its group needs stays."""
        if not self._holds([name]):
            raise MissingWeightsError(
                f"it needs {self.size([name]):.2g} GB of weights, and --memory is {self.memory:g}; "
                "give more, or 0 for no limit"
            )
        for old in list(self._kept):
            if self._holds([*self._kept, name]):
                return
            if old not in group:
                del self._kept[old]
