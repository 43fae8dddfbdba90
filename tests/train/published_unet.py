"""A made-up `model.ckpt` of tiny size under the published names, from the parts of a tiny pipeline.

The names are those that the published code gives its modules; each table maps diffusers' and
transformers' names to them, the other way round from what the converter does.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

_VAE = (
    (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{1 - int(m[1])}.block.{m[2]}"),
    (r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{1 - int(m[1])}.upsample"),
    (r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
)
_TEXT = (
    (r"encoder\.layers\.(\d)\.self_attn\.out_proj", r"transformer.resblocks.\1.attn.out_proj"),
    (r"encoder\.layers\.(\d)\.layer_norm(\d)", r"transformer.resblocks.\1.ln_\2"),
    (r"encoder\.layers\.(\d)\.mlp\.fc1", r"transformer.resblocks.\1.mlp.c_fc"),
    (r"encoder\.layers\.(\d)\.mlp\.fc2", r"transformer.resblocks.\1.mlp.c_proj"),
    (r"embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"embeddings\.token_embedding", "token_embedding"),
    (r"final_layer_norm", "ln_final"),
)


def checkpoint(pipeline: Any) -> dict[str, Tensor]:
    """Every part of a tiny VideoCrafter2, and what else a published file holds."""
    unet = {f"model.diffusion_model.{k}": v for k, v in pipeline.unet.state_dict().items()}
    return {
        "betas": torch.zeros(1000), "scale_arr": torch.zeros(1400),
        **unet, **_vae(pipeline.vae.state_dict()), **_text(pipeline.text_encoder.state_dict()),
    }  # fmt: skip


def _renamed(name: str, table: Any) -> str:
    for pattern, new in table:
        name = re.sub(pattern, new, name)
    return name


def _vae(state: dict[str, Tensor]) -> dict[str, Tensor]:
    named = {f"first_stage_model.{_renamed(k, _VAE)}": v for k, v in state.items()}
    return {  # attention is by 1 x 1 convolutions there
        k: v[:, :, None, None] if "attn_1" in k and v.ndim == 2 else v for k, v in named.items()
    }


def _text(state: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix, made = "cond_stage_model.model.", {}
    for name, value in state.items():
        if not re.search(r"[qkv]_proj", name):
            made[prefix + _renamed(name, _TEXT)] = value
    for layer in range(2):
        for kind in ("weight", "bias"):
            parts = [state[f"encoder.layers.{layer}.self_attn.{p}_proj.{kind}"] for p in "qkv"]
            joined = f"{prefix}transformer.resblocks.{layer}.attn.in_proj_{kind}"
            made[joined] = torch.cat(parts)
    last = f"{prefix}transformer.resblocks.1."
    made |= {k.replace(".1.", ".2."): v for k, v in made.items() if k.startswith(last)}
    width = len(made[f"{prefix}ln_final.weight"])
    return made | {
        f"{prefix}text_projection": torch.eye(width),
        f"{prefix}logit_scale": torch.ones(()),
    }
