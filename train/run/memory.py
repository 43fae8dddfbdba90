"""Ways to train in less memory, each a change to a loaded model.

- `recompute`: non-reentrant activation checkpointing by block (Chen et al. 2016).
- `store_float8`: frozen weights kept in float8 and computed with in the model's precision
  (diffusers' layerwise casting); the LoRA stays float32. Half the weights' memory, no speed.
- `offload_groups`: blocks of frozen weights wait in the CPU's memory (diffusers' group offload).
- `parked`: text encoders and autoencoder wait there while nothing needs them.
- `optimizer`: AdamW with 8-bit states (Dettmers et al. 2021), by bitsandbytes where installed.
- `compile_blocks`: one compiled graph per kind of block; memory and speed.

Left out on purpose: quantised training, offloaded activations, and 8-bit states of torchao, which
would be a second library for the same thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
from diffusers.hooks import HookRegistry
from diffusers.hooks.layerwise_casting import _PEFT_AUTOCAST_DISABLE_HOOK
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch.utils.checkpoint import checkpoint

from data.errors import UserError
from train.models import VideoModel

Checkpointing = Literal["none", "half", "blocks", "all"]
FLOAT8 = torch.float8_e4m3fn


def recompute(model: VideoModel, how: Checkpointing) -> None:
    """Activations of every block, or of every second one (`half`), are made again on the way back.

    `all` is every block too; that clips go back one by one is the objective's part (`alone`).

    Raises:
        UserError: The network does not offer it.
    """
    if how == "none":
        return
    for network in model.components.values():
        if not getattr(network, "_supports_gradient_checkpointing", False):
            raise UserError(
                f"--checkpointing {how}: {type(network).__name__} cannot compute its activations "
                "again. Use --checkpointing none with a smaller --micro, or fewer --frames."
            )
        run = every_second() if how == "half" else recomputed
        cast(Any, network).enable_gradient_checkpointing(run)


def recomputed(block: Callable[..., Any], *arguments: Any) -> Any:
    """A block whose activations are not kept."""
    return checkpoint(block, *arguments, use_reentrant=False, preserve_rng_state=False)


def every_second() -> Callable[..., Any]:
    """As `recomputed`, but for the second, fourth, ... of the blocks only."""
    place: dict[int, int] = {}

    def run(block: Callable[..., Any], *arguments: Any) -> Any:
        if place.setdefault(id(block), len(place)) % 2:
            return recomputed(block, *arguments)
        return block(*arguments)

    return run


def store_float8(model: VideoModel) -> None:
    """Keeps the frozen weights in float8; norms and embeddings stay as diffusers decides.

    Args:
        model: With its adapters, which stay as they are.

    Raises:
        UserError: The network is not one of diffusers.
    """
    for network in model.components.values():
        if not hasattr(network, "enable_layerwise_casting"):
            raise UserError(
                f"--storage float8: {type(network).__name__} is not a network of diffusers. Use "
                "--storage dtype."
            )
        cast(Any, network).enable_layerwise_casting(
            storage_dtype=FLOAT8, compute_dtype=model.dtype, skip_modules_pattern=("lora_",)
        )
        for module in network.modules():  # diffusers thinks that adapters are in float8 too
            if isinstance(module, BaseTunerLayer):
                registry = HookRegistry.check_if_exists_or_initialize(cast(nn.Module, module))
                registry.remove_hook(_PEFT_AUTOCAST_DISABLE_HOOK, recurse=False)


def offload_groups(model: VideoModel, *, device: torch.device | None = None) -> None:
    """Blocks of the network wait in the CPU's memory, and come when they are due.

    Args:
        model: That the device has room for once, while it is loaded.
        device: Where they come to; None for the model's.

    Raises:
        UserError: The network is not one of diffusers, or nothing is saved by it.
    """
    place = device or model.device
    if device is None and place.type == "cpu":
        raise UserError("--offload groups keeps weights in the CPU's memory; on --device cpu they "
                        "are there already. Leave it out.")  # fmt: skip
    for network in model.components.values():
        if not hasattr(network, "enable_group_offload"):
            raise UserError(f"--offload groups: {type(network).__name__} is not of diffusers.")
        cast(Any, network).enable_group_offload(
            onload_device=place, offload_type="block_level", num_blocks_per_group=1,
            use_stream=place.type == "cuda",
        )  # fmt: skip


def match(fresh: VideoModel, model: VideoModel) -> None:
    """Rounds a freshly loaded copy as the weights of `model` are, so that they can be compared."""
    named = model.network.named_parameters()
    rounded = {name.replace(".base_layer", "") for name, one in named if one.dtype == FLOAT8}
    for name, weight in fresh.network.named_parameters():
        if name in rounded:
            weight.data = weight.data.to(FLOAT8).to(weight.dtype)


@contextmanager
def parked(model: VideoModel, *, on: bool = True) -> Iterator[None]:
    """Within: everything but the denoiser is in the CPU's memory."""
    ours = {id(module) for module in model.components.values()}
    others = [
        module
        for module in model.pipeline.components.values()
        if isinstance(module, nn.Module) and id(module) not in ours
    ]
    moves = on and model.device.type != "cpu"
    for module in others if moves else ():
        module.to("cpu")
    try:
        yield
    finally:
        for module in others if moves else ():
            module.to(model.device)


def compile_blocks(model: VideoModel, backend: str = "inductor") -> None:
    """Compiles the repeated blocks; call it once the adapter is attached.

    Args:
        model: Of diffusers.
        backend: Of torch.compile.

    Raises:
        UserError: The network does not name its repeated blocks.
    """
    for network in model.components.values():
        if not getattr(network, "_repeated_blocks", None):
            raise UserError(
                f"--compile: {type(network).__name__} does not say which of its blocks repeat. "
                "Leave it out."
            )
        cast(Any, network).compile_repeated_blocks(backend=backend)


def optimizer(
    kind: Literal["adamw", "adamw8bit"],
    parameters: Sequence[nn.Parameter],
    lr: float,
    decay: float = 0.01,
) -> torch.optim.Optimizer:
    """AdamW with torch's defaults; `adamw8bit` keeps its states in 8 bits, also on a CPU.

    Weights of less than 4096 numbers keep states in 32 bits (bitsandbytes' own rule).

    Args:
        kind: Which.
        parameters: That are trained.
        lr: Learning rate.
        decay: Of the weights.

    Raises:
        UserError: bitsandbytes is not installed.
    """
    if kind == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=decay)
    try:
        from bitsandbytes.optim import AdamW8bit  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(
            "--optimizer adamw8bit needs bitsandbytes, which is not installed: pip install "
            "bitsandbytes. Or use --optimizer adamw: for a LoRA the states are small."
        ) from error
    return AdamW8bit(parameters, lr=lr, weight_decay=decay)
