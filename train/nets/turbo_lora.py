"""T2V-Turbo's published LoRA: a list of matrices without names, matched to modules by order.

`unet_lora.pt` is what cloneofsimo's LoRA writes: up and down in turn for every linear, two- and
three-dimensional convolution of VideoCrafter2's UNet with the guidance projection, in the order in
which that UNet makes its modules, which is ours too. Rank 64, less where a side is smaller; the
update is up @ down with factor 1, over flattened kernels for convolutions. Shapes are checked
against every module; two modules of one shape in another order would pass unseen.

The guidance projection is in no checkpoint of version 1: its base weight was drawn at random when
the student was made, was never saved, and is drawn anew by the published inference code at each
start. Here the base is zero, and what was learned (the LoRA on it) is all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from peft import LoraConfig
from torch import Tensor, nn

from data.errors import UserError

_KINDS = (nn.Linear, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Update:
    """What one module gains: up @ down."""

    up: Float[Tensor, "out rank *ones"]
    down: Float[Tensor, "rank given *kernel"]


def named(weights: Sequence[Tensor], network: nn.Module) -> dict[str, Update]:
    """The list as updates by module name.

    Raises:
        UserError: Not as many, or not of the shapes, that `network` has modules for.
    """
    modules = [(name, each) for name, each in network.named_modules() if isinstance(each, _KINDS)]
    if len(weights) != 2 * len(modules):
        raise UserError(
            f"This LoRA has {len(weights)} matrices; T2V-Turbo's has two for each of the "
            f"{len(modules)} layers of this UNet. Give version 1's unet_lora.pt."
        )
    pairs = zip(weights[::2], weights[1::2], strict=True)
    found = {}
    for (name, module), (up, down) in zip(modules, pairs, strict=True):
        if _shape(up, down) != module.weight.shape:
            raise UserError(
                f"This LoRA changes {name} by {tuple(_shape(up, down))}, whose weight is "
                f"{tuple(module.weight.shape)}. Give version 1's unet_lora.pt."
            )
        found[name] = Update(up.detach(), down.detach())
    return found


def _shape(up: Tensor, down: Tensor) -> torch.Size:
    return torch.Size((up.shape[0], *down.shape[1:]))


@torch.no_grad()
def merge(updates: Mapping[str, Update], network: nn.Module) -> None:
    """Adds every update to its module's weight."""
    for name, update in updates.items():
        weight = network.get_submodule(name).get_parameter("weight")
        weight += (update.up.flatten(1) @ update.down.flatten(1)).view_as(weight)


def adapter(updates: Mapping[str, Update]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The same updates apart: an adapter's weights by peft's names, and its configuration.

    Peft scales by alpha / rank: both are the rank here, which is the commonest one and for the
    others an exception by name.
    """
    ranks = {name: len(update.down) for name, update in updates.items()}
    most = max(ranks.values())
    lower = {name: rank for name, rank in ranks.items() if rank != most}
    config = LoraConfig(
        r=most,
        lora_alpha=most,
        target_modules=sorted(updates),
        rank_pattern=dict(lower),
        alpha_pattern=dict(lower),
    )
    state = {
        f"{name}.lora_{letter}.weight": value.contiguous()
        for name, update in updates.items()
        for letter, value in (("A", update.down), ("B", update.up))
    }
    return state, config.to_dict() | {"target_modules": sorted(updates)}
