"""The parts of VideoCrafter2's UNet: residual blocks with temporal convolutions, and transformers.

VideoCrafter2 (Chen et al. 2024, arXiv 2401.09047) is the latent-diffusion UNet of Rombach et al.
2022 with two temporal parts: four convolutions over three frames at the end of each residual block,
from ModelScope (Wang et al. 2023, arXiv 2308.06571), and self-attention over a pixel's frames after
each spatial transformer. Temporal attention has no positions of its own: order is known only by
the convolutions.

Names of modules, and the order in which they are made, are those of the published checkpoint
(`temopral_conv` is spelt as there): weights load as they are, and a published list of LoRA weights
that has no names is matched by order (`train/nets/turbo_lora.py`). Frames are folded into the
batch, n = b t, a clip's frames side by side.

Left out on purpose: what the published configuration does not use (causal and relative temporal
attention, image cross-attention, scale-shift normalisation), the zero initialisation (weights are
loaded), and dropout, whose place in the numbering is kept: a policy must equal its reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

GROUPS = 32
"""Of every group normalisation: channel counts are multiples of it."""


@dataclass(frozen=True)
class Told:
    """What a stage is told beside its input."""

    time: Float[Tensor, "n e"]
    """Embedding of timestep and frame rate, per frame."""
    text: Float[Tensor, "n l d"]
    """The prompt's tokens, per frame."""
    frames: int
    """Frames of a clip."""


class TemporalConvolutions(nn.Module):
    """Four convolutions over three frames, added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), _over_frames(width))
        self.conv2, self.conv3, self.conv4 = (
            nn.Sequential(
                nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Identity(), _over_frames(width)
            )
            for _ in range(3)
        )

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:
        """Frames see their neighbours; four layers reach four frames to each side."""
        return x + self.conv4(self.conv3(self.conv2(self.conv1(x))))


def _over_frames(width: int) -> nn.Conv3d:
    return nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0))


class ResBlock(nn.Module):
    """Two spatial convolutions with the time embedding between, then those over frames."""

    def __init__(self, width: int, out: int, embedding: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, out), nn.SiLU(), nn.Identity(), nn.Conv2d(out, out, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if width == out else nn.Conv2d(width, out, 1)
        self.temopral_conv = TemporalConvolutions(out)

    def forward(self, x: Float[Tensor, "n c h w"], told: Told) -> Float[Tensor, "n d h w"]:
        """The published order: skip first, then the temporal convolutions on the sum."""
        h = self.in_layers(x) + self.emb_layers(told.time)[:, :, None, None]
        h = self.skip_connection(x) + self.out_layers(h)
        clips = h.unflatten(0, (-1, told.frames)).transpose(1, 2)
        return self.temopral_conv(clips).transpose(1, 2).flatten(0, 1)


class Attention(nn.Module):
    """Multi-head attention to the text, or without one to the tokens themselves."""

    def __init__(self, width: int, context: int, heads: int, head: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, heads * head, bias=False)
        self.to_k = nn.Linear(context, heads * head, bias=False)
        self.to_v = nn.Linear(context, heads * head, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * head, width), nn.Identity())

    def forward(
        self, x: Float[Tensor, "n q c"], context: Float[Tensor, "n k d"] | None = None
    ) -> Float[Tensor, "n q c"]:
        """Softmax attention, scaled by the root of a head's width."""
        seen = x if context is None else context
        parts = [
            layer(given).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, given in ((self.to_q, x), (self.to_k, seen), (self.to_v, seen))
        ]
        return self.to_out(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


class GatedGelu(nn.Module):
    """Half of a projection, gated by the other half's GELU (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * out)

    def forward(self, x: Float[Tensor, "n q c"]) -> Float[Tensor, "n q d"]:
        """The first half is the value, the second the gate."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """Four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            GatedGelu(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Float[Tensor, "n q c"]) -> Float[Tensor, "n q c"]:
        """Token by token."""
        return self.net(x)


class TransformerBlock(nn.Module):
    """Attention to itself, attention to the text (or again to itself), and the feed-forward."""

    def __init__(self, width: int, context: int, heads: int, head: int) -> None:
        super().__init__()
        self.attn1 = Attention(width, width, heads, head)
        self.ff = FeedForward(width)
        self.attn2 = Attention(width, context, heads, head)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(
        self, x: Float[Tensor, "n q c"], context: Float[Tensor, "n k d"] | None = None
    ) -> Float[Tensor, "n q c"]:
        """Each added to its input."""
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Attention over the pixels of a frame, and to the prompt."""

    def __init__(self, width: int, context: int, head: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width, eps=1e-6)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList(
            [TransformerBlock(width, context, width // head, head)]
        )
        self.proj_out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "n c h w"], told: Told) -> Float[Tensor, "n c h w"]:
        """Added to its input."""
        tokens = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for block in self.transformer_blocks:
            tokens = block(tokens, told.text)
        return x + self.proj_out(tokens).transpose(1, 2).unflatten(2, x.shape[2:])


class TemporalTransformer(nn.Module):
    """Attention of each pixel over its frames; its second attention is to itself too.

    Args:
        width: Channels.
        heads: Of the attention.
        head: Width of a head; the inner width is heads x head.
        pointwise: Projects by 1-wide convolutions, as the checkpoint's first one does.
    """

    def __init__(self, width: int, heads: int, head: int, *, pointwise: bool = False) -> None:
        super().__init__()
        inner = heads * head
        self.pointwise = pointwise
        self.norm = nn.GroupNorm(GROUPS, width, eps=1e-6)
        self.proj_in = nn.Conv1d(width, inner, 1) if pointwise else nn.Linear(width, inner)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(inner, inner, heads, head)])
        self.proj_out = nn.Conv1d(inner, width, 1) if pointwise else nn.Linear(inner, width)

    def forward(self, x: Float[Tensor, "n c h w"], told: Told) -> Float[Tensor, "n c h w"]:
        """Normalised over all frames of a clip together; added to its input."""
        clips = x.unflatten(0, (-1, told.frames))
        normed = self.norm(clips.transpose(1, 2))
        tokens = normed.permute(0, 3, 4, 2, 1).flatten(0, 2)
        tokens = self._project(self.proj_in, tokens)
        for block in self.transformer_blocks:
            tokens = block(tokens)
        tokens = self._project(self.proj_out, tokens)
        b, t, _, h, w = clips.shape
        return x + tokens.view(b, h, w, t, -1).permute(0, 3, 4, 1, 2).flatten(0, 1)

    def _project(self, layer: nn.Module, tokens: Float[Tensor, "n t c"]) -> Float[Tensor, "n t d"]:
        if self.pointwise:
            return layer(tokens.transpose(1, 2)).transpose(1, 2)
        return layer(tokens)


class Downsample(nn.Module):
    """Half the height and width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c y x"]:
        """By a strided convolution."""
        return self.op(x)


class Upsample(nn.Module):
    """Twice the height and width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c y x"]:
        """The nearest pixel, then a convolution."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Stage(nn.ModuleList):
    """Blocks one after the other; those that need more than their input are told it."""

    def forward(self, x: Float[Tensor, "n c h w"], told: Told) -> Float[Tensor, "n d y x"]:
        """Down- and upsampling and the first convolution need no telling."""
        for block in self:
            tells = isinstance(block, ResBlock | SpatialTransformer | TemporalTransformer)
            x = block(x, told) if tells else block(x)
        return x
