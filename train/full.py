"""Full fine-tuning: every weight of the network is trained, and the reference is a frozen copy.

VideoDPO trains VideoCrafter2 so. Two copies of the network are held, and AdamW's two moments beside
the one that is trained: four times the weights, in float32. A LoRA holds one.

Left out on purpose: weights in bfloat16 (an update of 6e-6 is below their precision and is lost),
and a reference that FSDP2 shards (each process holds a whole one).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from data.errors import UserError
from train import components
from train.models import VideoModel
from train.policy import Policy
from train.run.sharded import spread, whole


@dataclass(frozen=True)
class FullPolicy(Policy):
    """A model whose network is trained itself. From `start`."""

    frozen: nn.Module = field(default_factory=nn.Module)
    """The reference, in the same place and precision."""

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Every weight, in a fixed order."""
        return list(self.model.network.parameters())

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Within: the model is the frozen copy, without gradient."""
        trained = self.model.network
        self.model.network = self.frozen
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.network = trained

    def state(self) -> dict[str, Tensor]:
        """The weights by component and name, on the CPU."""
        return {
            f"{part}.{name}": value
            for part, state in self._states().items()
            for name, value in state.items()
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Puts back what `state` returned."""
        for part, network in self.model.components.items():
            own = {
                k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")
            }
            network.load_state_dict(spread(own, self.parameters[0]))

    def save(self, folder: Path) -> Path:
        """Writes the components for diffusers (`train.components`); returns the first's folder."""
        return components.save(self.model, self._states(), folder)

    def weight_change(self) -> float:
        """||W - W_ref|| / ||W_ref|| over all weights, >= 0."""
        change = size = 0.0
        for weight, base in zip(self.parameters, self.frozen.parameters(), strict=True):
            own = whole(weight.detach()).float()
            change += (own - base.float()).square().sum().item()
            size += base.float().square().sum().item()
        return math.sqrt(change / size)

    def _states(self) -> dict[str, dict[str, Tensor]]:
        return {
            part: {
                name: whole(value.detach()).cpu().clone()  # a part's end is padded in memory
                for name, value in network.state_dict().items()
            }
            for part, network in self.model.components.items()
        }


def start(model: VideoModel, earlier: Path | None = None) -> FullPolicy:
    """The model as a policy, its weights trainable, with a copy of them as the reference.

    Args:
        model: A model without an adapter.
        earlier: Folder of an earlier full run's `adapter` to go on from; its weights are then
            the reference too.

    Raises:
        UserError: The weights are not in float32, or the folder is none.
    """
    if model.dtype != torch.float32:
        raise UserError("--train full needs --dtype float32: smaller updates are lost in bfloat16")
    if earlier is not None:
        if not components.are_in(earlier, model):
            raise UserError(
                f"--from-adapter {earlier} holds no weights of {', '.join(model.components)}: with "
                "--train full, give the folder `adapter` of a full run"
            )
        components.load(model, earlier)
    frozen = copy.deepcopy(model.network)
    model.network.requires_grad_()
    return FullPolicy(model, frozen=frozen)
