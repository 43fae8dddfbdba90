"""ViCLIP, a CLIP for clips (Wang et al. 2023, InternVid, arXiv 2307.06942).

CLIP ViT-L/14 whose image tower sees eight frames at once: each frame is cut into patches, a patch
gets the place in its frame and the number of its frame, and one class token looks at all patches of
all frames. The text tower is CLIP's, with 32 tokens.

Names of modules are those of the published checkpoint, so that it loads as it is. Left out on
purpose: what is used in training only (masking, dropout, temperature).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class Sizes:
    """Sizes of the network; the defaults are the published ones."""

    side: int = 224
    patch: int = 14
    frames: int = 8
    wide: int = 1024
    layers: int = 24
    heads: int = 16
    embed: int = 768
    text_wide: int = 768
    text_layers: int = 12
    text_heads: int = 12
    tokens: int = 32
    words: int = 49408


class QuickGELU(nn.Module):
    """OpenAI CLIP's activation."""

    def forward(self, x: Tensor) -> Tensor:
        """A sigmoid of 1.702 x, times x."""
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """A layer of either transformer."""

    def __init__(self, wide: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(wide, heads, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(wide), nn.LayerNorm(wide)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(wide, 4 * wide), gelu=QuickGELU(), c_proj=nn.Linear(4 * wide, wide)
            )
        )

    def forward(self, x: Float[Tensor, "b n d"], mask: Tensor | None) -> Float[Tensor, "b n d"]:
        """Attention, then the two layers, each added to its input."""
        seen = self.ln_1(x)
        x = x + self.attn(seen, seen, seen, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """Layers one after the other."""

    def __init__(self, wide: int, heads: int, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(wide, heads) for _ in range(layers))

    def forward(
        self, x: Float[Tensor, "b n d"], mask: Tensor | None = None
    ) -> Float[Tensor, "b n d"]:
        """All layers."""
        for block in self.resblocks:
            x = block(x, mask)
        return x


class Vision(nn.Module):
    """Frames to one embedding."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        wide, patch = sizes.wide, (1, sizes.patch, sizes.patch)
        self.conv1 = nn.Conv3d(3, wide, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(wide) * wide**-0.5)
        places = (sizes.side // sizes.patch) ** 2 + 1
        self.positional_embedding = nn.Parameter(torch.randn(places, wide) * wide**-0.5)
        self.temporal_positional_embedding = nn.Parameter(torch.zeros(1, sizes.frames, wide))
        self.ln_pre, self.ln_post = nn.LayerNorm(wide), nn.LayerNorm(wide)
        self.transformer = Transformer(wide, sizes.heads, sizes.layers)
        self.proj = nn.Parameter(torch.randn(wide, sizes.embed) * wide**-0.5)

    def forward(self, frames: Float[Tensor, "b t 3 s s"]) -> Float[Tensor, "b e"]:
        """The class token, projected; `t` is the number of frames that it was trained with."""
        x = self.conv1(frames.transpose(1, 2)).flatten(3).permute(0, 2, 3, 1)  # b t places d
        x = x + self.positional_embedding[1:] + self.temporal_positional_embedding[:, :, None]
        x = x.transpose(1, 2).flatten(1, 2)  # frames of one place side by side, as published
        begin = (self.class_embedding + self.positional_embedding[0]).expand(len(x), 1, -1)
        x = self.transformer(self.ln_pre(torch.cat([begin, x], 1)))
        return self.ln_post(x[:, 0]) @ self.proj


class Text(nn.Module):
    """Token numbers to one embedding."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        wide = sizes.text_wide
        self.token_embedding = nn.Embedding(sizes.words, wide)
        self.positional_embedding = nn.Parameter(torch.randn(sizes.tokens, wide) * 0.01)
        self.transformer = Transformer(wide, sizes.text_heads, sizes.text_layers)
        self.ln_final = nn.LayerNorm(wide)
        self.text_projection = nn.Parameter(torch.randn(wide, sizes.embed) * wide**-0.5)

    def forward(self, ids: Int[Tensor, "b n"]) -> Float[Tensor, "b e"]:
        """The token that ends the text (the largest number), projected."""
        x = self.token_embedding(ids) + self.positional_embedding
        mask = torch.full((ids.shape[1],) * 2, float("-inf"), device=x.device, dtype=x.dtype)
        x = self.ln_final(self.transformer(x, mask.triu(1)))
        return x[torch.arange(len(x)), ids.argmax(1)] @ self.text_projection


class ViClip(nn.Module):
    """Both towers."""

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes = sizes or Sizes()
        self.vision_encoder, self.text_encoder = Vision(sizes), Text(sizes)
        self.temp = nn.Parameter(torch.tensor(0.01))
