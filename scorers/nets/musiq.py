"""MUSIQ, the multi-scale image quality transformer (Ke et al. 2021, arXiv 2108.05997).

A picture is cut into 32 px patches at three scales: longer side 224 px, 384 px, and as it is. A
small residual stem makes each patch a token; a token gets the place of its patch on a 10 x 10 grid
and the number of its scale; a transformer reads all tokens of all scales, and the class token gives
one number, 0 to 100 for weights trained on SPAQ.

Names of modules are those of the published PyTorch checkpoints, so that they load as they are. What
is padded and masked in the published code is left out here, which is the same: a masked token is
never looked at. The standard deviation of the standardised convolutions counts n - 1, as in those
checkpoints' own code; the original JAX code counts n. Its file is `scorers/nets/musiq_jax.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class Sizes:
    """Sizes of the network; the defaults are the published ones."""

    hidden: int = 384
    mlp: int = 1152
    heads: int = 6
    layers: int = 14
    grid: int = 10
    patch: int = 32
    stem: int = 64
    groups: int = 32
    scales: tuple[int, ...] = (224, 384)
    """Longer sides, px; the picture itself comes after them."""


def same(x: Float[Tensor, "n c h w"], kernel: int, stride: int) -> Float[Tensor, "n c i j"]:
    """Zeros around, so that a kernel gives ceil(side / stride) values; the odd one goes behind."""
    needed = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:]]
    down, right = needed
    return F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))


class StandardisedConv(nn.Conv2d):
    """A convolution whose weights have mean 0 and deviation 1 per output channel."""

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """As `nn.Conv2d`, with `same` padding."""
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        kernel, stride = self.kernel_size[0], self.stride[0]
        return F.conv2d(same(input, kernel, stride), weight, stride=stride)


class Bottleneck(nn.Module):
    """A residual unit of the stem, with a projection beside it."""

    def __init__(self, wide: int, groups: int) -> None:
        super().__init__()
        out = 4 * wide
        self.conv1 = StandardisedConv(wide, wide, 1, bias=False)
        self.gn1 = nn.GroupNorm(groups, wide, eps=1e-4)
        self.conv2 = StandardisedConv(wide, wide, 3, bias=False)
        self.gn2 = nn.GroupNorm(groups, wide, eps=1e-4)
        self.conv3 = StandardisedConv(wide, out, 1, bias=False)
        self.gn3 = nn.GroupNorm(groups, out, eps=1e-4)
        self.conv_proj = StandardisedConv(wide, out, 1, bias=False)
        self.gn_proj = nn.GroupNorm(groups, out, eps=1e-4)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        """Three convolutions, and the input beside them."""
        inner = F.relu(self.gn1(self.conv1(x)))
        inner = F.relu(self.gn2(self.conv2(inner)))
        return F.relu(self.gn3(self.conv3(inner)) + self.gn_proj(self.conv_proj(x)))


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(hidden, hidden) for _ in range(4))

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Every token looks at every token."""
        parts = [
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        ]
        return self.out(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two layers with a GELU between."""

    def __init__(self, hidden: int, wide: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(hidden, wide), nn.Linear(wide, hidden)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Token by token."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """A layer of the transformer."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(sizes.hidden, eps=1e-6)
        self.attention = Attention(sizes.hidden, sizes.heads)
        self.norm2 = nn.LayerNorm(sizes.hidden, eps=1e-6)
        self.mlp = Mlp(sizes.hidden, sizes.mlp)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Attention, then the two layers, each added to its input."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Encoder(nn.Module):
    """Tokens with their places and scales to the class token."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.posembed_input, self.scaleembed_input = nn.Module(), nn.Module()
        places = torch.randn(1, sizes.grid**2, sizes.hidden) * 0.02
        scales = torch.randn(len(sizes.scales) + 1, sizes.hidden) * 0.02
        self.posembed_input.position_emb = nn.Parameter(places)
        self.scaleembed_input.scale_emb = nn.Parameter(scales)
        self.cls = nn.Parameter(torch.zeros(1, 1, sizes.hidden))
        self.encoder_norm = nn.LayerNorm(sizes.hidden, eps=1e-6)
        self.transformer = nn.ModuleDict(
            {f"encoderblock_{number}": Block(sizes) for number in range(sizes.layers)}
        )

    def forward(
        self, tokens: Float[Tensor, "b n d"], places: Int[Tensor, " n"], scales: Int[Tensor, " n"]
    ) -> Float[Tensor, "b d"]:
        """The class token after the last norm."""
        where = self.posembed_input.get_parameter("position_emb")[0, places]
        x = tokens + where + self.scaleembed_input.get_parameter("scale_emb")[scales]
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1)
        for block in self.transformer.values():
            x = block(x)
        return self.encoder_norm(x)[:, 0]


class Musiq(nn.Module):
    """Pictures to quality."""

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes = sizes or Sizes()
        self.conv_root = StandardisedConv(3, sizes.stem, 7, 2, bias=False)
        self.gn_root = nn.GroupNorm(sizes.groups, sizes.stem, eps=1e-6)
        self.block1 = Bottleneck(sizes.stem, sizes.groups)
        self.embedding = nn.Linear(4 * sizes.stem * (sizes.patch // 4) ** 2, sizes.hidden)
        self.transformer_encoder = Encoder(sizes)
        self.head = nn.Linear(sizes.hidden, 1)

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
        """Quality of pictures in [0, 1], all of one size; 0 to 100 with weights of SPAQ."""
        centred = (pictures - 0.5) * 2
        scaled = [_longer(centred, side) for side in self.sizes.scales] + [centred]
        read = [self._tokens(one, number) for number, one in enumerate(scaled)]
        tokens, places, scales = (torch.cat(parts, -2 if at == 0 else 0)
                                  for at, parts in enumerate(zip(*read, strict=True)))  # fmt: skip
        return self.head(self.transformer_encoder(tokens, places, scales))[:, 0]

    def _tokens(
        self, pictures: Float[Tensor, "b 3 h w"], scale: int
    ) -> tuple[Float[Tensor, "b n d"], Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Tokens of one scale, and where each patch lies on the grid."""
        patch = self.sizes.patch
        high, wide = (-(-side // patch) for side in pictures.shape[2:])
        cut = F.unfold(same(pictures, patch, patch), patch, stride=patch).transpose(1, 2)
        x = cut.reshape(-1, 3, patch, patch)
        x = F.relu(self.gn_root(self.conv_root(x)))
        x = self.block1(F.max_pool2d(same(x, 3, 2), 3, 2))
        flat = x.permute(0, 2, 3, 1).reshape(*cut.shape[:2], -1)  # height, width, channel: as TF
        places = hashed(high, wide, self.sizes.grid).to(pictures.device)
        return self.embedding(flat), places, torch.full_like(places, scale)


def hashed(high: int, wide: int, grid: int) -> Int[Tensor, " n"]:
    """For each of `high` x `wide` patches its cell of the `grid` x `grid` table of places."""
    down, right = (torch.arange(count) * grid // count for count in (high, wide))
    return (down[:, None] * grid + right).flatten()


def _longer(pictures: Float[Tensor, "b 3 h w"], side: int) -> Float[Tensor, "b 3 i j"]:
    """Longer side to `side` px, bicubic, no antialias."""
    scale = side / max(pictures.shape[2:])
    size = [round(length * scale) for length in pictures.shape[2:]]
    return F.interpolate(pictures, size, mode="bicubic", align_corners=False)
