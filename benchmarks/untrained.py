"""The networks of profile `vbench` at their published sizes, with random weights.

They cost what the published ones cost; what they say means nothing. `layers` makes the transformers
shallow, for a machine without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import open_clip
import torch
from torchvision.models.optical_flow import raft_large
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, ViTConfig, ViTModel

from scorers import clip, dino, laion, musiq, viclip
from scorers.aesthetic import Head
from scorers.nets import musiq as musiq_net
from scorers.nets import viclip as viclip_net
from scorers.nets.stored import frozen
from scorers.protocol import Scorer
from scorers.raft import Raft

LARGE: dict[str, int] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "patch_size": 14,
    "projection_dim": 768,
}
"""CLIP ViT-L/14; the library's own defaults are those of B/32."""


def scorers_of(names: tuple[str, ...], device: str, dtype: torch.dtype, layers: int) -> Any:
    """Those of `names` that have a network here, by name; `layers` 0 is as published."""

    def made(make: Callable[[], Any]) -> Any:
        return frozen(make(), device, dtype)

    def depth(full: int) -> int:
        return layers or full

    def tower(**sizes: int) -> CLIPVisionModelWithProjection:
        sizes["num_hidden_layers"] = depth(sizes.get("num_hidden_layers", 12))
        return made(lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes)))

    def vit() -> ViTModel:
        return ViTModel(ViTConfig(num_hidden_layers=depth(12)), add_pooling_layer=False)

    def clip_of_video() -> viclip_net.ViClip:
        return viclip_net.ViClip(viclip_net.Sizes(layers=depth(24), text_layers=depth(12)))

    def quality() -> musiq_net.Musiq:
        return musiq_net.Musiq(musiq_net.Sizes(layers=depth(14)))

    words = open_clip.SimpleTokenizer(context_length=viclip_net.Sizes().tokens)
    head = Head(torch.randn(768) / 28, 0.0, "vbench", 0.1)
    every: dict[str, Callable[[], Scorer]] = {
        "dino": lambda: dino.scorer(made(vit)),
        "clip": lambda: clip.scorer(tower()),
        "laion": lambda: laion.scorer(tower(**LARGE), head),
        "musiq": lambda: musiq.scorer(made(quality)),
        "viclip": lambda: viclip.ViClip(made(clip_of_video), words),
        "raft": lambda: Raft(frozen(raft_large(weights=None), device, torch.float32)),
    }
    torch.manual_seed(0)
    return {name: make() for name, make in every.items() if name in names}
