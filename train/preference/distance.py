"""How far a policy is from its reference: in its weights, and in what it predicts.

A loss that falls does not say whether anything moved visibly, nor whether too much did. The change
of the weights is ||W - W_ref|| / ||W_ref|| over all matrices that are trained; of a LoRA without
making W - W_ref, which is scale B A: ||B A||^2 = sum((B^T B) * (A A^T)).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from train.full import FullPolicy
from train.losses import clip_error
from train.policy import Policy
from train.preference.batches import PairBatch
from train.preference.evaluate import pair_errors
from train.run.sharded import whole

_ACTIVE, _REFERENCE = "default", "reference"


def weight_change(policy: Policy) -> float:
    """||W - W_ref|| / ||W_ref|| over what is trained, >= 0."""
    if isinstance(policy, FullPolicy):
        return policy.weight_change()
    return adapter_change(policy.model.network)


def adapter_change(network: nn.Module) -> float:
    """||W - W_ref|| / ||W_ref|| over the matrices that carry a LoRA, >= 0."""
    changes, sizes = zip(*_squares(network), strict=True)
    return math.sqrt(sum(changes) / sum(sizes))


def _squares(network: nn.Module) -> Iterator[tuple[float, float]]:
    """Squared norms of the change and of the weight, per matrix."""
    for module in network.modules():
        if isinstance(module, LoraLayer):
            down, up = _factors(module)
            change = ((up.T @ up) * (down @ down.T)).sum().item()
            base: Any = module.get_base_layer()
            weight = whole(base.weight.detach())
            yield max(change, 0.0), weight.float().square().sum().item()


def _factors(layer: LoraLayer) -> tuple[Float[Tensor, "r i"], Float[Tensor, "o r"]]:
    """The factors of the policy's update less the reference's, as one product, in float64."""
    downs, ups = [], []
    for name, sign in ((_ACTIVE, 1.0), (_REFERENCE, -1.0)):
        if name in layer.lora_A:
            downs.append(_flat(layer.lora_A[name]))
            ups.append(sign * layer.scaling[name] * _flat(layer.lora_B[name]))
    return torch.cat(downs), torch.cat(ups, 1)


def _flat(factor: Any) -> Float[Tensor, "o i"]:
    return whole(factor.weight.detach()).double().flatten(1)


@torch.no_grad()
def prediction_distance(policy: Policy, batch: PairBatch) -> float:
    """Mean squared difference of the policy's and the reference's predictions on a batch, >= 0."""
    ours = pair_errors(policy.model, batch, keep=True).predictions
    with policy.reference():
        base = pair_errors(policy.model, batch, keep=True).predictions
    assert ours is not None
    assert base is not None
    return clip_error(ours, base).mean().item()
