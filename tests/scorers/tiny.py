"""The scorers with weights as small networks with seeded random weights: wiring, not opinions.

Each is the real architecture at a tiny size; a number that it gives means nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import open_clip
import torch
from torch import nn
from torchvision.models.optical_flow import raft_large
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    ViTConfig,
    ViTModel,
    VJEPA2Config,
    VJEPA2Model,
    YolosConfig,
    YolosForObjectDetection,
)

from scorers import aesthetic, amt, clip, clipscore, dino, hps, laion, pickscore
from scorers import musiq as musiq_scorer
from scorers import yolos as yolos_scorer
from scorers.action import Action
from scorers.aesthetic import Head
from scorers.nets.musiq import Musiq as MusiqNetwork
from scorers.nets.musiq import Sizes as MusiqSizes
from scorers.nets.stored import frozen
from scorers.nets.viclip import Sizes as ViClipSizes
from scorers.nets.viclip import ViClip as ViClipNetwork
from scorers.protocol import Scorer
from scorers.raft import Raft
from scorers.viclip import ViClip
from scorers.vjepa import VJepa
from tests.scorers import qwen

LAYERS: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                          "intermediate_size": 64}  # fmt: skip
LABELS = {0: "circle", 1: "square", 2: "red circle"}
NAMED: dict[str, Any] = {"id2label": LABELS, "label2id": {name: at for at, name in LABELS.items()}}


def seeded(make: Callable[[], nn.Module], spread: float = 0.1) -> Any:
    """A network whose weights are drawn wide enough that inputs make a difference."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make()
        for value in network.parameters():
            if value.ndim > 1:
                nn.init.normal_(value, std=spread)
    return frozen(network, "cpu", torch.float32)


def vit() -> ViTModel:
    config = ViTConfig(**LAYERS, image_size=48, patch_size=16, layer_norm_eps=1e-6)
    return seeded(lambda: ViTModel(config, add_pooling_layer=False))


def tower() -> CLIPVisionModelWithProjection:
    config = CLIPVisionConfig(**LAYERS, image_size=32, patch_size=16, projection_dim=24)
    return seeded(lambda: CLIPVisionModelWithProjection(config))


TEXT: dict[str, Any] = {**LAYERS, "vocab_size": 49408, "max_position_embeddings": 77,
                        "eos_token_id": 49407, "projection_dim": 24}  # fmt: skip


def text_tower() -> CLIPTextModelWithProjection:
    config = CLIPTextConfig(**TEXT)
    return seeded(lambda: CLIPTextModelWithProjection(config))


def clip_model() -> CLIPModel:
    vision = {**LAYERS, "image_size": 32, "patch_size": 16, "projection_dim": 24}
    config = CLIPConfig(vision_config=vision, text_config=TEXT, projection_dim=24)
    return seeded(lambda: CLIPModel(config))


def open_clip_model() -> nn.Module:
    vision = open_clip.CLIPVisionCfg(
        image_size=32, layers=2, width=32, head_width=16, patch_size=16
    )
    text = open_clip.CLIPTextCfg(context_length=77, vocab_size=49408, width=32, heads=2, layers=2)
    return seeded(lambda: open_clip.CLIP(embed_dim=24, vision_cfg=vision, text_cfg=text))


def musiq() -> MusiqNetwork:
    sizes = MusiqSizes(hidden=24, mlp=48, heads=2, layers=2, stem=8, groups=4, scales=(64, 96))
    return seeded(lambda: MusiqNetwork(sizes))


def viclip() -> ViClipNetwork:
    sizes = ViClipSizes(side=28, wide=32, layers=2, heads=2, embed=24, text_wide=32,
                        text_layers=2, text_heads=2)  # fmt: skip
    return seeded(lambda: ViClipNetwork(sizes))


def raft() -> nn.Module:
    return seeded(lambda: raft_large(weights=None), spread=0.02)


def video_mae() -> VideoMAEForVideoClassification:
    config = VideoMAEConfig(**LAYERS, image_size=32, patch_size=16, num_frames=4, **NAMED)
    return seeded(lambda: VideoMAEForVideoClassification(config))


def yolos() -> YolosForObjectDetection:
    config = YolosConfig(**LAYERS, image_size=[32, 32], patch_size=16, num_detection_tokens=5,
                         use_mid_position_embeddings=False, **NAMED)  # fmt: skip
    return seeded(lambda: YolosForObjectDetection(config))


def jepa() -> VJEPA2Model:
    config = VJEPA2Config(
        patch_size=16, crop_size=64, frames_per_clip=4, tubelet_size=2, hidden_size=48,
        num_attention_heads=2, num_hidden_layers=2, mlp_ratio=2.0, pred_hidden_size=48,
        pred_num_attention_heads=2, pred_num_hidden_layers=2, pred_num_mask_tokens=2,
    )  # fmt: skip
    return seeded(lambda: VJEPA2Model(config))


class Average(nn.Module):
    """Half of each frame: the plainest interpolator."""

    def forward(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        return (before + after) / 2


def head(scale: float = 1.0) -> Head:
    draw = torch.Generator().manual_seed(1)
    return Head(torch.randn(24, generator=draw), 0.1, "official" if scale == 1 else "vbench", scale)


def words() -> Any:
    return open_clip.get_tokenizer("ViT-H-14")


TINY: dict[str, Callable[[], Scorer]] = {
    "action": lambda: Action(video_mae()),
    "aesthetic": lambda: aesthetic.scorer(tower(), head()),
    "amt": lambda: amt.scorer(torch.jit.script(Average()), "cpu"),
    "clip": lambda: clip.scorer(tower()),
    "clipscore": lambda: clipscore.scorer(tower(), text_tower(), words(), "official"),
    "dino": lambda: dino.scorer(vit(), side=48),
    "hps": lambda: hps.scorer(open_clip_model(), words(), "hpsv2.1", "letterbox"),
    "laion": lambda: laion.scorer(tower(), head(0.1)),
    "musiq": lambda: musiq_scorer.scorer(musiq()),
    "pickscore": lambda: pickscore.scorer(clip_model(), words(), "official"),
    "raft": lambda: Raft(raft(), updates=1),
    "videoreward": qwen.video_reward,
    "viclip": lambda: ViClip(viclip(), open_clip.SimpleTokenizer(context_length=32)),
    "vjepa": lambda: VJepa(jepa(), frames=4),
    "yolos": lambda: yolos_scorer.scorer(yolos(), "circle", "smooth", height=48),
}
"""Every scorer that needs weights, at a tiny size with random ones."""
