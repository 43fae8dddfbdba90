"""Whole networks on disk, as a diffusers pipeline keeps its components: folder by name.

    folder/transformer/config.json
    folder/transformer/diffusion_pytorch_model.safetensors    (in shards where it is large)

`Class.from_pretrained(folder / "transformer")` of diffusers reads it, and `pipe.transformer = ...`
takes it. (`WanPipeline.from_pretrained(base, transformer=...)` does too; diffusers 0.42.1 drops the
argument where the class is left to `DiffusionPipeline`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from data.errors import UserError
from train.models import VideoModel

_PATTERN = "diffusion_pytorch_model{suffix}.safetensors"  # the name that diffusers looks for


def are_in(folder: Path, model: VideoModel) -> bool:
    """Whether the folder holds weights of the model's components, and no adapter."""
    return all(any((folder / part).glob("*.safetensors")) for part in model.components)


def save(model: VideoModel, states: Mapping[str, Mapping[str, Tensor]], folder: Path) -> Path:
    """Writes each component's weights and configuration; returns the first component's folder.

    Args:
        model: For the configurations.
        states: Weights by component, by the network's own names, on the CPU.
        folder: Made if needed.
    """
    for part, state in states.items():
        network: Any = model.components[part]
        (folder / part).mkdir(parents=True, exist_ok=True)
        if hasattr(network, "save_config"):  # a network of our own has none
            network.save_config(folder / part)
        save_torch_state_dict(dict(state), folder / part, filename_pattern=_PATTERN)
    return folder / next(iter(states))


def load(model: VideoModel, folder: Path) -> None:
    """Puts the weights that `save` wrote into the model.

    Raises:
        UserError: They are not this model's.
    """
    for part, network in model.components.items():
        try:
            state: dict[str, Tensor] = {}
            for file in sorted((folder / part).glob("*.safetensors")):
                state |= load_file(file)
            network.load_state_dict(state)
        except (RuntimeError, SafetensorError) as error:
            raise UserError(
                f"{folder / part} does not fit model {model.name}: {str(error).splitlines()[0]} "
                "Use it with the model that it was trained on."
            ) from error
