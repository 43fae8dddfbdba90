"""The autoencoder over time of Open-Sora 1.2, with the module names of its published checkpoint.

It turns the latents of an image autoencoder, frame by frame, into a quarter as many. Convolutions
are causal: they see no later frame, and zeros before the first. Architecture of MAGVIT-v2 (Yu et
al. 2024) with strided convolutions in place of spatial ones, as Open-Sora's.

Left out on purpose: drawing from the posterior; its mean is what `encode` returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class _Conv(nn.Module):
    """A convolution that is padded in front in time, and on both sides in space."""

    def __init__(self, given: int, out: int, side: int, *, stride: int = 1, bias: bool = True):
        super().__init__()
        self._padding = (*[side // 2] * 4, side - stride, 0)
        self.conv = nn.Conv3d(given, out, side, stride=(stride, 1, 1), bias=bias)

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b o t2 h w"]:
        return self.conv(F.pad(x, self._padding))


class _Res(nn.Module):
    def __init__(self, given: int, out: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, given), nn.GroupNorm(groups, out)
        self.conv1 = _Conv(given, out, 3, bias=False)
        self.conv2 = _Conv(out, out, 3, bias=False)
        if given != out:
            self.conv3 = _Conv(given, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        beside = self.conv3(x) if hasattr(self, "conv3") else x
        x = self.conv1(F.silu(self.norm1(x)))
        return self.conv2(F.silu(self.norm2(x))) + beside


def _run(given: int, out: int, number: int, groups: int) -> nn.ModuleList:
    widths = [given, *[out] * number]
    return nn.ModuleList(_Res(one, two, groups) for one, two in pairwise(widths))


class _Encoder(nn.Module):
    def __init__(
        self, channels: int, widths: list[int], halve: list[bool], blocks: int, groups: int
    ):
        super().__init__()
        self.conv_in = _Conv(channels, widths[0], 3, bias=False)
        given = [widths[0], *widths[:-1]]
        self.block_res_blocks = nn.ModuleList(
            _run(one, two, blocks, groups) for one, two in zip(given, widths, strict=True)
        )
        self.conv_blocks = nn.ModuleList(
            _Conv(width, width, 3, stride=2) if down else nn.Identity()
            for width, down in zip(widths, halve, strict=False)  # none after the last
        )
        self.res_blocks = _run(widths[-1], widths[-1], blocks, groups)
        self.norm1 = nn.GroupNorm(groups, widths[-1])
        self.conv2 = _Conv(widths[-1], 2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for run, shrink in zip(self.block_res_blocks, [*self.conv_blocks, None], strict=True):
            x = _through(run, x)
            x = x if shrink is None else shrink(x)
        return self.conv2(F.silu(self.norm1(_through(self.res_blocks, x))))


class _Decoder(nn.Module):
    def __init__(
        self, channels: int, widths: list[int], halve: list[bool], blocks: int, groups: int
    ):
        super().__init__()
        self.conv1 = _Conv(channels, widths[-1], 3)
        self.res_blocks = _run(widths[-1], widths[-1], blocks, groups)
        given = [*widths[1:], widths[-1]]
        self.block_res_blocks = nn.ModuleList(
            _run(one, two, blocks, groups) for one, two in zip(given, widths, strict=True)
        )
        self.conv_blocks = nn.ModuleList(
            _Conv(width, 2 * width, 3) if up else nn.Identity()
            for width, up in zip(widths[1:], halve, strict=True)
        )
        self.norm1 = nn.GroupNorm(groups, widths[0])
        self.conv_out = _Conv(widths[0], channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = _through(self.res_blocks, self.conv1(x))
        for run, grow in zip(
            self.block_res_blocks[::-1], [*self.conv_blocks[::-1], None], strict=True
        ):
            x = _through(cast("nn.ModuleList", run), x)
            x = _grown(grow, x) if isinstance(grow, _Conv) else x
        return self.conv_out(F.silu(self.norm1(x)))


def _through(run: Any, x: Tensor) -> Tensor:
    for block in run:
        x = block(x)
    return x


def _grown(grow: _Conv, x: Tensor) -> Tensor:
    """Twice as many frames: neighbouring channels become neighbours in time."""
    both = grow(x).unflatten(1, (-1, 2))  # b c 2 t h w
    return both.permute(0, 1, 3, 2, 4, 5).flatten(2, 3)


class TemporalVae(ModelMixin, ConfigMixin):
    """Latents in time. Defaults are those of the published checkpoint.

    Args:
        channels: Of the latents, outside and inside.
        filters: Of the first level.
        multipliers: Of `filters`, per level.
        halve: Whether the number of frames is halved after each level but the last.
        blocks: Residual blocks per level.
        groups: Of the norms.
        shift: What inner latents are centred on, per channel.
        scale: What inner latents are divided by, per channel.
    """

    @register_to_config
    def __init__(
        self,
        channels: int = 4,
        filters: int = 128,
        multipliers: Sequence[int] = (1, 2, 2, 4),
        halve: Sequence[bool] = (False, True, True),
        blocks: int = 4,
        groups: int = 32,
        shift: Sequence[float] = (-0.10, 0.34, 0.27, 0.98),  # noqa: ARG002  in the config
        scale: Sequence[float] = (3.85, 2.32, 2.33, 3.06),  # noqa: ARG002  in the config
    ) -> None:
        super().__init__()
        shape = [filters * times for times in multipliers], list(halve), blocks, groups
        self.encoder, self.decoder = _Encoder(channels, *shape), _Decoder(channels, *shape)
        self.quant_conv = _Conv(2 * channels, 2 * channels, 1)
        self.post_quant_conv = _Conv(channels, channels, 1)
        self.time = 2 ** sum(halve)
        """Frames per latent frame."""

    def encode(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c f h w"]:
        """The posterior's mean; zeros stand in front of what does not fill a latent frame."""
        missing = -x.shape[2] % self.time
        moments = self.quant_conv(self.encoder(F.pad(x, (0, 0, 0, 0, missing, 0))))
        return moments.chunk(2, dim=1)[0]

    def decode(self, z: Float[Tensor, "b c f h w"], frames: int) -> Float[Tensor, "b c t h w"]:
        """The last `frames` of what the latents hold."""
        return self.decoder(self.post_quant_conv(z))[:, :, -frames % self.time :]
