"""Networks from a folder of `scorers/weights.py`: frozen, in evaluation mode, never downloaded."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from scorers import weights

Network = TypeVar("Network", bound=nn.Module)
_DAMAGE = (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError)
_JUNK = (*_DAMAGE, LookupError, AttributeError, TypeError, AssertionError, struct.error)
"""What PyTorch raises at bytes that only happen to look like one of its files."""


def frozen(network: Network, device: Any, dtype: torch.dtype) -> Network:
    """On its device, without gradients of its own; those of the frames pass through it."""
    return network.to(device, dtype).eval().requires_grad_(requires_grad=False)


_ALIVE: WeakValueDictionary[tuple[Any, ...], nn.Module] = WeakValueDictionary()


def pooled(
    kind: type[Network], path: Path, device: Any, dtype: torch.dtype, make: Callable[[], Network]
) -> Network:
    """The one network of this kind from this path: whoever asks for it meanwhile gets the same."""
    key = (kind, path.resolve(), str(device), dtype)
    there = _ALIVE.get(key)
    if not isinstance(there, kind):
        there = _ALIVE[key] = frozen(make(), device, dtype)
    return there


def pretrained(kind: Callable[..., Network], folder: Path, **changes: Any) -> Network:
    """A transformers model of this kind from its folder.

    Raises:
        MissingWeightsError: the files are damaged, or belong to another model.
    """
    try:
        return kind(folder, local_files_only=True, dtype=torch.float32, **changes)
    except _DAMAGE as problem:
        raise weights.damaged(folder, problem) from problem


def tensors(path: Path) -> dict[str, Any]:
    """A PyTorch file that holds tensors only; nothing in it is executed.

    Raises:
        MissingWeightsError: the file is damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except _JUNK as problem:
        raise weights.damaged(path, problem) from problem


def fill(network: Network, state: dict[str, Tensor], path: Path) -> Network:
    """Put a checkpoint into its network; every name has to be in both.

    Raises:
        MissingWeightsError: names or shapes differ.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as problem:
        raise weights.damaged(path, problem) from problem
    return network
