"""States of what FSDP2 or DeepSpeed has spread over processes, kept in the file of the first.

FSDP2's state is whole in the file: it can be resumed with another number of processes, or with one.
DeepSpeed's ZeRO-2 has each process step a part of the weights, laid end to end; the file has the
optimizer's state of every part, and only as many processes can go on from it. All processes must
call these together. A network that is not sharded keeps torch's own format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map_only

from data.console import say

_PARTS = "parts"


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
    """The optimizer's whole state; empty in all processes but the first where it is spread."""
    if _is_deepspeed(optimizer):
        return _parts(_own(_own(optimizer)).state_dict())
    if not is_sharded(network):
        return optimizer.state_dict()
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_optimizer_state_dict(network, _own(optimizer), options=options)


def restore_optimizer(network: nn.Module, optimizer: Any, state: dict[str, Any]) -> None:
    """Puts back what `optimizer_state` returned in the first process, the weights already back.

    DeepSpeed's starts anew from a state of another number of processes or without DeepSpeed, and
    so does any other from DeepSpeed's.
    """
    parts = state.get(_PARTS, [])
    if _is_deepspeed(optimizer):
        zero: Any = _own(optimizer)
        zero.refresh_fp32_params()  # it steps a copy of the weights
        if len(parts) == dist.get_world_size():
            zero.optimizer.load_state_dict(parts[dist.get_rank()])
            return
    if parts or not state or _is_deepspeed(optimizer):
        say("The optimizer starts anew: its state is of other processes or another way to share")
    elif is_sharded(network):
        options = StateDictOptions(full_state_dict=True)
        set_optimizer_state_dict(network, _own(optimizer), state, options=options)
    else:
        optimizer.load_state_dict(state)


def _parts(own: dict[str, Any]) -> dict[str, Any]:
    """The states of all processes, for the first; empty for the others."""
    here = tree_map_only(Tensor, lambda tensor: tensor.cpu(), own)
    parts = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(here, parts)
    return {_PARTS: parts} if parts else {}


def _is_deepspeed(optimizer: Any) -> bool:
    return type(optimizer).__name__ == "DeepSpeedOptimizerWrapper"


def _own(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer inside accelerate's, or inside DeepSpeed's."""
    return getattr(optimizer, "optimizer", optimizer)
