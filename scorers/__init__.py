"""Judges, one thing each: frames x prompt -> one raw number per dimension.

Every file `scorers/<name>.py` is a scorer, found by its name. Importing this package imports no
torch.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from data.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    import numpy as np
    from torch import Tensor

    from data.profile import Profile
    from scorers.inmemory import Opinion
    from scorers.protocol import Card, Reward, Scorer

_NOT_SCORERS = {
    "__main__", "checksums", "chunks", "crew", "download", "features", "fetching", "inmemory",
    "judging", "listing", "options", "pairwise", "pool", "protocol", "resize", "run", "shared",
    "tournament", "weights",
}  # fmt: skip


JUDGES = ("versus",)
"""Files that compare two clips (`scorers.pairwise`), which no scorer does; run by `--judge`."""
ALIASES: dict[str, tuple[str, dict[str, Any]]] = {
    "hpsv2": ("hps", {"version": "hpsv2"}),
    "hpsv2.1": ("hps", {"version": "hpsv2.1"}),
}
"""Further names of a scorer with some of its options chosen."""


def names() -> list[str]:
    """Every scorer, sorted."""
    found = {module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg}
    return sorted(found - _NOT_SCORERS - set(JUDGES))


def _module(name: str) -> ModuleType:
    if name not in (*names(), *JUDGES):
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
    _demand(name, options)
    if needs(name):
        options["weights_dir"] = weights_dir
    scorer = _module(name).load(device=device, dtype=dtype or torch.float32, **options)
    return scorer if dtype in {None, torch.float32} else _in_precision(scorer, name, dtype)


def typed(name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Options of a scorer as somebody wrote them, as `load` takes them.

    Raises:
        UserError: there is no such scorer or option, or a text is not of the option's type.
    """
    name, _ = ALIASES.get(name, (name, {}))
    _demand(name, texts)
    kinds = get_type_hints(_module(name).load)
    return {option: _typed(name, option, text, kinds[option]) for option, text in texts.items()}


def _typed(name: str, option: str, text: str, kind: Any) -> Any:
    if kind is str:
        return text
    try:
        return {"true": True, "false": False}[text] if kind is bool else kind(text)
    except (KeyError, ValueError):
        allowed = {bool: "true or false", int: "a whole number"}.get(kind, "a number")
        raise UserError(f"scorer {name!r}: {option} is {text!r}; it must be {allowed}") from None


def _demand(name: str, options: Iterable[str]) -> None:
    """Refuse an option that is not the scorer's own."""
    every = set(inspect.signature(_module(name).load).parameters)
    taken = every - {"device", "dtype", "weights_dir"}
    if unknown := sorted(set(options) - taken):
        own = f"its options are {', '.join(sorted(taken))}" if taken else "it has none"
        raise UserError(f"scorer {name!r} has no option {unknown[0]!r}; {own}")


def _in_precision(scorer: Scorer, name: str, dtype: Any) -> Scorer:
    """The scorer under a version of its own, where the type of its network makes a difference."""
    from scorers.protocol import InPrecision

    if name in JUDGES or not needs(name) or card(name).only_float32:
        return scorer
    return InPrecision(
        scorer=scorer, version=f"{scorer.version}-{str(dtype).removeprefix('torch.')}"
    )


def score(
    clip: str | Path | np.ndarray | Tensor,
    prompt: str = "",
    fps: float | None = None,
    *,
    profile: str | Profile = "lite",
    device: Any = "cpu",
    dtype: Any = None,
    weights_dir: str = "",
) -> Opinion:
    """What a profile says about one clip that is in no database.

    Args:
        clip: path of a video file or a folder of frames; or uint8 `t h w 3`; or a floating-point
            tensor `t 3 h w` in [0, 1]. The same frames give the same numbers in each form.
        prompt: what the clip should show; most profiles have a dimension that reads it.
        fps: frames per second; None takes the file's own.
        profile: name of a profile, or one of your own making.
        device: where the networks live.
        dtype: floating type of the networks; None is torch.float32.
        weights_dir: folder in which weights are looked for first.

    Raises:
        ClipError: the file cannot be read.
        UserError: no such profile.
        ValueError: frames of another type or shape, or no rate.
    """
    from scorers import inmemory

    return inmemory.score(
        clip, prompt, fps, profile=profile, device=device, dtype=dtype, weights_dir=weights_dir
    )


def load_reward(name: str, *, device: Any = "cpu", dtype: Any = None, **options: Any) -> Reward:
    """Like `load`, for a scorer that promises gradients.

    Raises:
        UserError: that scorer is not differentiable, so that nothing can be trained on it.
    """
    scorer = load(name, device=device, dtype=dtype, **options)
    if not scorer.differentiable:
        able = [other for other in names() if card(other).differentiable]
        raise UserError(
            f"scorer {name!r} gives no gradients, so it cannot be a reward that is followed by "
            f"them (python -m train.ddpo needs none); these can: {', '.join(able)}"
        )
    return cast("Reward", scorer)
