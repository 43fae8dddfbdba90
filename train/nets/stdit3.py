"""STDiT3, the denoiser of Open-Sora 1.2, with the module names of its published checkpoint.

Zheng et al. 2024, arXiv 2412.20404 (XL/2: 28 pairs of blocks, width 1152). Tokens are patches of
1 x 2 x 2 latent positions. Blocks alternate between attention over space and over time; each also
reads the text, and is modulated by noise level and frame rate. Positions in space are sines that
grow with the picture's size, positions in time turn queries and keys. The second half of the output
channels is a variance that rectified flow does not use.

Left out on purpose: masks of given frames, dropping paths and captions (training from scratch), and
sequence parallelism.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

_WAVES = 256  # channels of a number's sines
_LONGEST = 10_000.0


def waves(numbers: Float[Tensor, " b"], channels: int = _WAVES) -> Float[Tensor, "b c"]:
    """Cosines, then sines, of wavelengths up to 10000."""
    half = channels // 2
    steps = torch.arange(half, device=numbers.device) / half
    angles = numbers.float()[:, None] * torch.exp(-math.log(_LONGEST) * steps)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def places(height: int, width: int, channels: int, scale: float) -> Float[Tensor, "n c"]:
    """Sines and cosines of every patch's column, then of its row; row by row.

    Args:
        height: Patches.
        width: Patches.
        channels: A multiple of 4.
        scale: Side of a square picture of this area in pixels, by the side that was trained on.
    """
    half, base = channels // 2, round(math.sqrt(height * width))
    frequencies = 1 / _LONGEST ** (torch.arange(0, half, 2) / half)
    rows, columns = (torch.arange(n) / scale * (base / n) for n in (height, width))

    def encoded(positions: Tensor) -> Tensor:
        angles = positions.reshape(-1, 1) * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    grid = torch.meshgrid(rows, columns, indexing="ij")
    return torch.cat([encoded(grid[1]), encoded(grid[0])], dim=-1)


def turned(
    x: Float[Tensor, "b heads n d"], angles: Float[Tensor, "n half"]
) -> Float[Tensor, "b heads n d"]:
    """Neighbouring channels as points of a plane, each turned by its angle."""
    cos, sin = angles.cos().to(x), angles.sin().to(x)
    one, two = x[..., 0::2], x[..., 1::2]
    return torch.stack([one * cos - two * sin, two * cos + one * sin], dim=-1).flatten(-2)


class _Number(nn.Module):
    """A number as a vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(_WAVES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, numbers: Float[Tensor, " b"]) -> Float[Tensor, "b c"]:
        first: Any = self.mlp[0]
        return self.mlp(waves(numbers).to(first.weight.dtype))


class _Mlp(nn.Module):
    def __init__(self, given: int, hidden: int, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(given, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class _Captions(nn.Module):
    def __init__(self, channels: int, width: int, tokens: int) -> None:
        super().__init__()
        self.y_proj = _Mlp(channels, width, width)
        self.register_buffer("y_embedding", torch.randn(tokens, channels) / channels**0.5)

    def forward(self, text: Float[Tensor, "b n d"]) -> Float[Tensor, "b n c"]:
        return self.y_proj(text)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.q_norm = nn.RMSNorm(width // heads, eps=1e-6)
        self.k_norm = nn.RMSNorm(width // heads, eps=1e-6)

    def forward(self, x: Float[Tensor, "b n c"], angles: Tensor | None) -> Float[Tensor, "b n c"]:
        q, k, v = self.qkv(x).unflatten(-1, (3, self._heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        if angles is not None:
            q, k = turned(q, angles), turned(k, angles)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).flatten(2))


class _CrossAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.q_linear, self.kv_linear = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "b n c"], text: Float[Tensor, "b m c"], mask: Bool[Tensor, "b m"]
    ) -> Float[Tensor, "b n c"]:
        q = self.q_linear(x).unflatten(-1, (self._heads, -1)).transpose(1, 2)
        k, v = self.kv_linear(text).unflatten(-1, (2, self._heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
        return self.proj(out.transpose(1, 2).flatten(2))


class _Block(nn.Module):
    """Attention over space, or with `temporal` over time; the text; a perceptron."""

    def __init__(self, width: int, heads: int, hidden: int, *, temporal: bool) -> None:
        super().__init__()
        self._temporal = temporal
        self.norm1 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.attn = _Attention(width, heads)
        self.cross_attn = _CrossAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.mlp = _Mlp(width, hidden, width)
        self.scale_shift_table = nn.Parameter(torch.randn(6, width) / width**0.5)

    def forward(
        self,
        x: Float[Tensor, "b t s c"],
        text: Float[Tensor, "b m c"],
        mask: Bool[Tensor, "b m"],
        level: Float[Tensor, "b 6 c"],
        angles: Float[Tensor, "t half"],
    ) -> Float[Tensor, "b t s c"]:
        parts = (self.scale_shift_table + level)[:, :, None, None].unbind(1)
        shift, scale, gate, late_shift, late_scale, late_gate = parts
        x = x + gate * self._attended(self.norm1(x) * (1 + scale) + shift, angles)
        x = x + self.cross_attn(x.flatten(1, 2), text, mask).view_as(x)
        return x + late_gate * self.mlp(self.norm2(x) * (1 + late_scale) + late_shift)

    def _attended(self, x: Float[Tensor, "b t s c"], angles: Tensor) -> Float[Tensor, "b t s c"]:
        if not self._temporal:
            return self.attn(x.flatten(0, 1), None).view_as(x)
        lines = x.transpose(1, 2)
        found = self.attn(lines.flatten(0, 1), angles)
        return found.unflatten(0, lines.shape[:2]).transpose(1, 2)


class _Final(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm_final = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.linear = nn.Linear(width, out)
        self.scale_shift_table = nn.Parameter(torch.randn(2, width) / width**0.5)

    def forward(self, x: Tensor, level: Float[Tensor, "b c"]) -> Tensor:
        shift, scale = (self.scale_shift_table + level[:, None])[:, :, None, None].unbind(1)
        return self.linear(self.norm_final(x) * (1 + scale) + shift)


class _Patches(nn.Module):
    def __init__(self, channels: int, width: int, patch: Sequence[int]) -> None:
        super().__init__()
        side: Any = tuple(patch)
        self.proj = nn.Conv3d(channels, width, side, stride=side)


class _Turns(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("freqs", _LONGEST ** -(torch.arange(0, channels, 2) / channels))


class STDiT3(ModelMixin, ConfigMixin, PeftAdapterMixin):
    """The denoiser. Defaults are the published XL/2.

    Args:
        hidden_size: Channels of a token.
        depth: Pairs of a spatial and a temporal block.
        num_heads: Of every attention.
        in_channels: Of the latents.
        patch_size: Latent frames, rows and columns of a token.
        mlp_ratio: Hidden channels of the perceptrons by `hidden_size`.
        caption_channels: Of the text encoder.
        model_max_length: Text tokens.
        input_sq_size: Pixels per side of a picture whose positions are not scaled.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        hidden_size: int = 1152,
        depth: int = 28,
        num_heads: int = 16,
        in_channels: int = 4,
        patch_size: Sequence[int] = (1, 2, 2),
        mlp_ratio: float = 4.0,
        caption_channels: int = 4096,
        model_max_length: int = 300,
        input_sq_size: int = 512,  # noqa: ARG002  in the config
    ) -> None:
        super().__init__()
        width, hidden = hidden_size, int(hidden_size * mlp_ratio)
        self.rope = _Turns(width // num_heads)
        self.x_embedder = _Patches(in_channels, width, patch_size)
        self.t_embedder, self.fps_embedder = _Number(width), _Number(width)
        self.t_block = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.y_embedder = _Captions(caption_channels, width, model_max_length)
        self.spatial_blocks, self.temporal_blocks = (
            nn.ModuleList(_Block(width, num_heads, hidden, temporal=over) for _ in range(depth))
            for over in (False, True)
        )
        self.final_layer = _Final(width, math.prod(patch_size) * 2 * in_channels)
        self.gradient_checkpointing = False

    def forward(
        self,
        x: Float[Tensor, "b z f y x"],
        timestep: Float[Tensor, " b"],
        text: Float[Tensor, "b n d"],
        mask: Bool[Tensor, "b n"],
        fps: Float[Tensor, " b"],
        pixels: tuple[int, int],
    ) -> Float[Tensor, "b z2 f y x"]:
        """Velocity towards the clip, and the unused variance.

        Args:
            x: Noisy latents whose sides fill patches.
            timestep: In [0, 1000]; 1000 is pure noise.
            text: Of the text encoder.
            mask: Which tokens count.
            fps: Frames per second of the clip.
            pixels: Height and width of the clip.
        """
        config: Any = self.config
        tokens = self.x_embedder.proj(x)
        frames, rows, columns = tokens.shape[2:]
        scale = math.sqrt(pixels[0] * pixels[1]) / config.input_sq_size
        place = places(rows, columns, config.hidden_size, scale).to(tokens)
        tokens = tokens.permute(0, 2, 3, 4, 1).flatten(2, 3) + place
        level = self.t_embedder(timestep) + self.fps_embedder(fps)
        given = (self.y_embedder(text), mask, self.t_block(level).unflatten(1, (6, -1)))
        freqs: Any = self.rope.freqs
        angles = torch.arange(frames, device=x.device)[:, None] * freqs.float()
        for pair in zip(self.spatial_blocks, self.temporal_blocks, strict=True):
            for block in pair:
                tokens = self._run(block, tokens, *given, angles)
        return self._unpatched(self.final_layer(tokens, level), rows, columns)

    def _run(self, block: nn.Module, *given: Tensor) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            again: Any = self._gradient_checkpointing_func
            return again(block, *given)
        return block(*given)

    def _unpatched(self, tokens: Float[Tensor, "b t s o"], rows: int, columns: int) -> Tensor:
        config: Any = self.config
        time, height, width = config.patch_size
        parts = tokens.unflatten(2, (rows, columns)).unflatten(-1, (time, height, width, -1))
        moved = parts.permute(0, 7, 1, 4, 2, 5, 3, 6)  # b c, then each place beside its patch
        return moved.flatten(6, 7).flatten(4, 5).flatten(2, 3)
