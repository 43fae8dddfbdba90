"""The policy is the frozen model with a LoRA on it; the reference is that model with the LoRA off.

One copy of the weights serves both, and before the first step they are equal to the last bit,
since a LoRA starts as zero. A policy that goes on from an earlier adapter has that adapter as its
reference: a frozen copy of it, as training a second round demands.

A model of several experts carries one adapter on each: they are one policy, trained, saved and
switched together.

`save` writes what `pipe.load_lora_weights` of diffusers reads where the family has such a loader
(`train.models.lora`), with the LoRA's alpha in the file's metadata: without it alpha is lost and
the reloaded adapter has another scale. `compare_with_fresh` loads the files into a newly loaded
model and compares predictions: an adapter is done when it works there.

Full fine-tuning is in `train.full`. Left out on purpose: dropout (it would make the policy differ
from the reference).
"""

from __future__ import annotations

import json
import logging
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from torch import Tensor, nn

from data.errors import UserError
from train import bank, components, models
from train.models import Conditions, VideoModel, lora
from train.models.protocol import FirstFrames
from train.run import memory
from train.run.sharded import spread, whole

WEIGHTS = "pytorch_lora_weights.safetensors"
"""Name of the adapter's file in its folder: the one that diffusers looks for."""
_ACTIVE, _REFERENCE = "default", "reference"
_PROBES = (0.1, 0.5, 0.9)  # uniform draws whose noise levels the reloaded adapter is compared at


@dataclass(frozen=True)
class Policy:
    """A model whose network carries a trainable adapter. From `attach` or `continue_from`."""

    model: VideoModel
    has_reference_adapter: bool = False

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The adapter's weights in a fixed order, float32: all that is trained."""
        return [
            weight
            for network in self.model.components.values()
            for name, weight in network.named_parameters()
            if f".{_ACTIVE}." in name
        ]

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Within: the model is the reference, without gradient."""
        try:
            for layer in self._layers():
                if self.has_reference_adapter:
                    layer.set_adapter(_REFERENCE)
                else:
                    layer.enable_adapters(enabled=False)
            with torch.no_grad():
                yield
        finally:
            for layer in self._layers():
                layer.enable_adapters(enabled=True)
                layer.set_adapter(_ACTIVE)  # also gives the weights their gradients back

    def state(self) -> dict[str, Tensor]:
        """The adapter's weights by component and peft's names, on the CPU."""
        return {
            f"{part}.{name}": value
            for part, network in self.model.components.items()
            for name, value in _state(network).items()
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Puts back what `state` returned."""
        for part, network in self.model.components.items():
            own = {
                k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")
            }
            own = spread(own, self.parameters[0])
            set_peft_model_state_dict(network, own, adapter_name=_ACTIVE)

    def save(self, folder: Path) -> Path:
        """Writes the adapter where `model.lora` puts it; returns its (first) file.

        The same weights give the same bytes.
        """
        networks = self.model.components
        files = self.model.lora.save(
            folder,
            WEIGHTS,
            {part: _state(network) for part, network in networks.items()},
            {part: _config(network) for part, network in networks.items()},
        )
        for file in files:
            _order_header(file)
        return files[0]

    def _layers(self) -> list[BaseTunerLayer]:
        modules = self.model.network.modules()
        return [module for module in modules if isinstance(module, BaseTunerLayer)]


def _state(network: nn.Module) -> dict[str, Tensor]:
    state = get_peft_model_state_dict(network, adapter_name=_ACTIVE)
    return {name: whole(value.detach()).cpu().contiguous() for name, value in sorted(state.items())}


def _config(network: Any) -> dict[str, Any]:
    config = network.peft_config[_ACTIVE].to_dict()
    config["target_modules"] = sorted(config["target_modules"])  # a set: its order varies
    return config


def attach(
    model: VideoModel, *, rank: int, alpha: float, seed: int, targets: tuple[str, ...] = ()
) -> Policy:
    """Puts a fresh LoRA on the model's network; the model is then no longer the bare one.

    Source: Hu et al. 2021, LoRA. B starts as zero, A as peft draws it, from `seed` alone.

    Args:
        model: A model without an adapter.
        rank: Of the update, at least 1.
        alpha: The update is scaled by alpha / rank.
        seed: Of A's initial draw; the global generator is left as it was.
        targets: Module names; empty takes the model's `lora_targets`.
    """
    config = LoraConfig(
        r=rank,
        lora_alpha=cast(int, alpha),  # peft scales by any number, its annotation says int
        target_modules=list(targets or model.lora_targets),
        lora_dropout=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(bank.counter("adapter", seed) >> 1)
        for network in model.components.values():
            lora.attach(network, config, _ACTIVE)
    return _ready(Policy(model))


def continue_from(model: VideoModel, adapter: Path) -> Policy:
    """Loads an adapter twice: as the policy's start and, frozen, as its reference.

    Raises:
        UserError: Not an adapter, or not one of this model.
    """
    _load(model, adapter, _REFERENCE)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # intended
        _load(model, adapter, _ACTIVE)
    return _ready(Policy(model, has_reference_adapter=True))


def _ready(policy: Policy) -> Policy:
    with policy.reference():
        pass  # leaving it makes the policy's adapter the active one
    for weight in policy.parameters:
        weight.data = weight.data.float()
        weight.requires_grad_()
    return policy


def load(model: VideoModel, adapter: Path) -> None:
    """Loads an adapter to sample with: one frozen copy.

    Raises:
        UserError: Not an adapter, or not one of this model.
    """
    _load(model, adapter, _ACTIVE)
    model.network.requires_grad_(requires_grad=False)


def _order_header(file: Path) -> None:
    """Sort the file's metadata: safetensors writes its entries in another order each time."""
    raw = file.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format's alignment of the tensors that follow
    partial = file.with_suffix(".part")
    partial.write_bytes(len(text).to_bytes(8, "little") + text + raw[start:])
    partial.replace(file)


def _load(model: VideoModel, adapter: Path, name: str) -> None:
    if components.are_in(adapter, model):  # a full fine-tune's folder
        components.load(model, adapter)
        return
    folder = adapter.parent if adapter.is_file() else adapter
    file = adapter if adapter.is_file() else adapter / WEIGHTS
    if not file.is_file():
        raise UserError(
            f"No adapter at {adapter}: there is no {WEIGHTS}. Give the folder `adapter` of a run, "
            "or a LoRA's .safetensors file."
        )
    try:
        with _unsaid():
            model.lora.load(folder, file.name, name)
        for part, network in model.components.items():
            if name not in getattr(network, "peft_config", {}):
                raise ValueError(f"none of its weights is of the {part}")
            if any(weight.is_meta for weight in network.parameters()):
                raise ValueError(f"weights of the {part} are missing in it")
    except (ValueError, RuntimeError, KeyError, OSError, SafetensorError) as error:
        raise UserError(
            f"Adapter {adapter} does not fit model {model.name}: "
            f"{textwrap.shorten(str(error).strip('. '), 300)}. Use it with the model that it was "
            "trained on."
        ) from error


@contextmanager
def _unsaid() -> Iterator[None]:
    """Within: diffusers does not say over many lines what is raised, and said in one."""
    log = logging.getLogger("diffusers.loaders")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


@dataclass(frozen=True, kw_only=True)
class Reloaded:
    """How a saved adapter behaves in a freshly loaded model."""

    difference: float
    """Largest absolute difference of predictions to the policy in memory."""
    drift: float
    """Largest absolute difference of predictions to the model without the adapter."""


def compare_with_fresh(policy: Policy, folder: Path, prompt: str) -> Reloaded:
    """Loads `folder` into a fresh copy of the model, compares predictions at three noise levels."""
    model = policy.model
    fresh = models.load(model.source, device=model.device, dtype=model.dtype)
    memory.match(fresh, model)
    before = _probe(fresh, prompt)
    _load(fresh, folder, _ACTIVE)
    after, ours = _probe(fresh, prompt), _probe(model, prompt)
    return Reloaded(
        difference=(after - ours).abs().max().item(), drift=(after - before).abs().max().item()
    )


@torch.no_grad()
def _probe(model: VideoModel, prompt: str) -> Tensor:
    shape = (len(_PROBES), *model.latent_shape(model.sample_defaults))
    noisy = bank.noise("probe", "reload", 0, shape).to(model.device)
    t = model.timesteps(torch.tensor(_PROBES, device=model.device))
    return model.predict(noisy, t, _told(model, prompt).repeat(len(_PROBES)))


def _told(model: VideoModel, prompt: str) -> Conditions:
    if not model.image_conditioned:
        return model.embed([prompt])
    settings = model.sample_defaults
    grey = torch.full((1, 3, settings.height, settings.width), 0.5, device=model.device)
    return model.embed([prompt], FirstFrames(grey, settings.frames))
