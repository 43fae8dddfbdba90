"""Judges, one thing each: frames x prompt -> one raw number per dimension.

Every file `scorers/<name>.py` is a scorer, found by its name. Importing this package imports no
torch.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any, cast

from data.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from scorers.protocol import Card, Reward, Scorer

_NOT_SCORERS = {
    "__main__", "chunks", "features", "judging", "listing", "protocol", "resize", "run", "weights",
}  # fmt: skip


ALIASES: dict[str, tuple[str, dict[str, Any]]] = {
    "hpsv2": ("hps", {"version": "hpsv2"}),
    "hpsv2.1": ("hps", {"version": "hpsv2.1"}),
}
"""Further names of a scorer with some of its options chosen."""


def names() -> list[str]:
    """Every scorer, sorted."""
    found = {module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg}
    return sorted(found - _NOT_SCORERS)


def _module(name: str) -> ModuleType:
    if name not in names():
        raise UserError(f"no scorer is called {name!r}; there are {', '.join(names())}")
    return importlib.import_module(f"scorers.{name}")


def card(name: str) -> Card:
    """What a scorer measures and needs, without loading its weights."""
    return _module(name).CARD


def needs(name: str) -> tuple[str, ...]:
    """Rows of `scorers.weights.TABLE` that a scorer reads by default; none for most."""
    return getattr(_module(name), "WEIGHTS", ())


def load(
    name: str,
    *,
    device: Any = "cpu",
    dtype: Any = None,
    weights_dir: str | Path | None = None,
    **options: Any,
) -> Scorer:
    """The scorer in `scorers/<name>.py`, ready to judge.

    Args:
        name: one of `names()` or of `ALIASES`.
        device: where its weights live (torch device or its name).
        dtype: floating type of its weights; None is torch.float32.
        weights_dir: folder in which weights are looked for first (`scorers/weights.py`).
        options: arguments of that scorer's own `load`.

    Raises:
        UserError: there is no such scorer, or it has no such option.
        MissingWeightsError: its weights are not on this machine, or are damaged.
    """
    import torch

    name, chosen = ALIASES.get(name, (name, {}))
    options = {**chosen, **options}
    if needs(name):
        options["weights_dir"] = weights_dir
    make = _module(name).load
    taken = set(inspect.signature(make).parameters) - {"device", "dtype", "weights_dir"}
    if unknown := sorted(set(options) - taken - {"weights_dir"}):
        own = f"its options are {', '.join(sorted(taken))}" if taken else "it has none"
        raise UserError(f"scorer {name!r} has no option {unknown[0]!r}; {own}")
    return make(device=device, dtype=dtype or torch.float32, **options)


def load_reward(name: str, *, device: Any = "cpu", dtype: Any = None, **options: Any) -> Reward:
    """Like `load`, for a scorer that promises gradients.

    Raises:
        UserError: that scorer is not differentiable, so that nothing can be trained on it.
    """
    scorer = load(name, device=device, dtype=dtype, **options)
    if not scorer.differentiable:
        able = [other for other in names() if card(other).differentiable]
        raise UserError(
            f"scorer {name!r} gives no gradients, so it cannot be a reward; "
            f"these can: {', '.join(able)}"
        )
    return cast("Reward", scorer)
