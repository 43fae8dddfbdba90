"""States of a network whose weights FSDP2 has spread over processes, as if they were in one.

A state is whole in the file: it can be resumed with another number of processes, or with one. All
processes must call these together. A network that is not sharded keeps torch's own format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor, distribute_tensor

from data.console import say

_DEEPSPEED = "DeepSpeedOptimizerWrapper"


def is_sharded(network: nn.Module) -> bool:
    """Whether FSDP2 holds the network's weights."""
    return any(isinstance(weight, DTensor) for weight in network.parameters())


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor of which this process may hold a part."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def spread(state: Mapping[str, Tensor], like: Tensor) -> dict[str, Tensor]:
    """Whole tensors as parts, where `like` is one; by name."""
    if not isinstance(like, DTensor):
        return dict(state)
    mesh, places = like.device_mesh, like.placements
    return {
        name: distribute_tensor(value.to(like.device), mesh, places)
        for name, value in state.items()
    }


def optimizer_state(network: nn.Module, optimizer: Any) -> dict[str, Any]:
    """The optimizer's whole state; empty in all processes but the first where it is sharded.

    DeepSpeed keeps its state in parts of its own, which are not saved: it is empty there too.
    """
    if type(optimizer).__name__ == _DEEPSPEED:
        return {}
    if not is_sharded(network):
        return optimizer.state_dict()
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_optimizer_state_dict(network, _own(optimizer), options=options)


def restore_optimizer(network: nn.Module, optimizer: Any, state: dict[str, Any]) -> None:
    """Puts back what `optimizer_state` returned in the first process."""
    if not state or type(optimizer).__name__ == _DEEPSPEED:
        say("DeepSpeed's optimizer starts anew: its state is not kept")
        return
    if not is_sharded(network):
        optimizer.load_state_dict(state)
        return
    options = StateDictOptions(full_state_dict=True)
    set_optimizer_state_dict(network, _own(optimizer), state, options=options)


def _own(optimizer: Any) -> torch.optim.Optimizer:
    """The torch optimizer inside accelerate's."""
    return getattr(optimizer, "optimizer", optimizer)
