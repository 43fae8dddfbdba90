"""Judges, one thing each: frames x prompt -> one raw number per dimension.

Every file `scorers/<name>.py` is a scorer, found by its name. Importing this package imports no
torch.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, cast

from data.errors import UserError

if TYPE_CHECKING:
    from types import ModuleType

    from scorers.protocol import Card, Reward, Scorer

_NOT_SCORERS = {"__main__", "protocol", "run"}


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


def load(name: str, *, device: Any = "cpu", dtype: Any = None, **options: Any) -> Scorer:
    """The scorer in `scorers/<name>.py`, ready to judge.

    Args:
        name: one of `names()`.
        device: where its weights live (torch device or its name).
        dtype: floating type of its weights; None is torch.float32.
        options: arguments of that scorer's own `load`.

    Raises:
        UserError: there is no such scorer, or its weights are not on disk.
    """
    import torch

    try:
        return _module(name).load(device=device, dtype=dtype or torch.float32, **options)
    except FileNotFoundError as error:
        raise UserError(f"scorer {name!r}: its weights are not here: {error}") from error


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
