"""VideoCrafter2's published checkpoint, taken apart into modules that diffusers can save.

One file holds everything, as latent-diffusion code saves it: `model.diffusion_model.` is the UNet,
`first_stage_model.` Stable Diffusion's autoencoder, `cond_stage_model.model.` OpenCLIP ViT-H's text
tower. It comes as `model.ckpt` (a mapping, or one under `state_dict`) or as DeepSpeed writes it
(under `module`, each name after `_forward_module.`). Checkpoints of VideoDPO have the same names.
Names of the autoencoder and the text tower are translated by diffusers; the text tower is cut
before its last layer, whose output the published code leaves out too (as in Stable Diffusion 2).

Left out on purpose: image-to-video and VideoCrafter 1 checkpoints, and T2V-Turbo version 2 with
motion guidance, which are refused by what their names give away.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import (
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from data.errors import UserError
from train.nets.videocrafter import VideoCrafterUNet

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.model."
Module = TypeVar("Module", bound=nn.Module)
_DEEPSPEED = "_forward_module."
_FOREIGN = {
    "to_k_ip": "an image-to-video model",
    "relative_position": "VideoCrafter 1",
    "motion_cond_proj": "T2V-Turbo version 2 with motion guidance",
}


def read(path: Path) -> dict[str, Tensor]:
    """The checkpoint's tensors by name, on the CPU; nothing but tensors is unpickled.

    Raises:
        UserError: No such file, or no file of tensors.
    """
    found = _tensors(path)
    inner = found.get("module", found.get("state_dict", found)) if isinstance(found, dict) else {}
    return {name.removeprefix(_DEEPSPEED): value for name, value in inner.items()}


def matrices(path: Path) -> list[Tensor]:
    """A LoRA that is saved as a list without names.

    Raises:
        UserError: No such file, or another kind of file.
    """
    found = _tensors(path)
    if not isinstance(found, list):
        raise UserError(f"{path} is no list of matrices. Give T2V-Turbo version 1's unet_lora.pt.")
    return found


def _tensors(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"No file {path}. Download it from where it was published.") from error
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise UserError(f"{path} is no file of tensors ({error}). Download it anew.") from error


def unet(state: Mapping[str, Tensor], **sizes: Any) -> VideoCrafterUNet:
    """The denoiser, with every weight of the checkpoint in its place.

    Args:
        state: Of the whole checkpoint.
        sizes: Arguments of `VideoCrafterUNet` that are not the published ones.

    Raises:
        UserError: Not VideoCrafter2's denoiser.
    """
    own = _part(state, UNET)
    for mark, what in _FOREIGN.items():
        if any(mark in name for name in own):
            raise UserError(
                f"This checkpoint is of {what}, which is not served. Give VideoCrafter2's "
                "text-to-video model.ckpt."
            )
    with torch.device("meta"):
        network = VideoCrafterUNet(**sizes)
    if hasattr(network, "time_cond_proj"):  # T2V-Turbo's own, in no checkpoint: see turbo_lora
        empty = torch.zeros(network.time_cond_proj.weight.shape)
        own.setdefault("time_cond_proj.weight", empty)
    return _fill(network, own, "VideoCrafter2's denoiser")


def autoencoder(state: Mapping[str, Tensor], **sizes: Any) -> AutoencoderKL:
    """Stable Diffusion's image autoencoder. `sizes` are those of `AutoencoderKL` that differ."""
    given = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
        "latent_channels": 4,
        "sample_size": 512,
        "scaling_factor": 0.18215,
    } | sizes
    with torch.device("meta"):
        network = AutoencoderKL(**given)
    own = {VAE + name: value for name, value in _part(state, VAE).items()}
    return _fill(network, convert_ldm_vae_checkpoint(own, network.config), "the autoencoder")


def text_encoder(state: Mapping[str, Tensor], **sizes: Any) -> CLIPTextModel:
    """OpenCLIP's text tower without its last layer. `sizes` are those of the config that differ."""
    given = {
        "vocab_size": 49408,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "num_attention_heads": 16,
        "hidden_act": "gelu",
        "projection_dim": 1024,
    } | sizes
    network = CLIPTextModel(CLIPTextConfig(**given))
    last = f"{TEXT}transformer.resblocks.{given['num_hidden_layers']}."
    own = {name: value for name, value in state.items() if not name.startswith(last)}
    own.pop(f"{TEXT}text_projection", None)
    found = convert_open_clip_checkpoint(network, own, prefix=TEXT)
    bare = {name.removeprefix("text_model."): value for name, value in found.items()}
    return _fill(network, bare, "OpenCLIP's text tower")


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    found = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not found:
        raise UserError(
            f"This checkpoint has no weights under {prefix}. Give the whole model.ckpt of "
            "VideoCrafter2, not a part of it."
        )
    return found


def _fill(network: Module, state: Mapping[str, Tensor], what: str) -> Module:
    needed = {name: value.shape for name, value in network.state_dict().items()}
    given = {name: value.shape for name, value in state.items()}
    if needed != given:
        wrong = sorted(n for n in needed.keys() | given.keys() if needed.get(n) != given.get(n))
        raise UserError(
            f"The checkpoint's weights are not those of {what}: {len(wrong)} names differ or have "
            f"another shape, such as {wrong[0]}. Give VideoCrafter2's text-to-video model.ckpt."
        )
    network.load_state_dict(state, assign=True)
    return network
