"""VideoCrafter2's denoiser: a UNet over frames that is told timestep, frame rate and prompt.

Chen et al. 2024, arXiv 2401.09047; the defaults are the published text-to-video model at 320 x 512
(four levels, 320 channels, attention at all levels but the deepest, heads of 64, OpenCLIP ViT-H
text of 1024), whose weights load by name (`train/nets/videocrafter_checkpoint.py`). With
`guidance_width` it is T2V-Turbo's student (Li et al. 2024, arXiv 2405.18750): the embedded guidance
scale is projected and added to the timestep's sinusoids before their layers.

It is a diffusers model, so that saving, precision, adapters and checkpointing are the library's
own; checkpointing recomputes one stage at a time. Left out: feature adapters (image control).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from train.nets.videocrafter_blocks import (
    GROUPS,
    Downsample,
    ResBlock,
    SpatialTransformer,
    Stage,
    TemporalTransformer,
    Told,
    Upsample,
)

_FIRST_HEADS = 8  # of the temporal attention before the first level, whatever the channels


class VideoCrafterUNet(ModelMixin, ConfigMixin, PeftAdapterMixin):
    """The denoiser, predicting epsilon.

    Args:
        in_channels: Of the latents.
        model_channels: Of the first level; a multiple of 32.
        channel_mult: Channels of each level, in model_channels; each level has half the height.
        num_res_blocks: Residual blocks of a level on the way down; one more on the way up.
        attention_levels: How many levels, from the first, have transformers.
        num_head_channels: Width of an attention head.
        context_dim: Width of the prompt's tokens.
        guidance_width: Of the guidance embedding (256 in T2V-Turbo); 0 has none.
    """

    _supports_gradient_checkpointing = True
    _gradient_checkpointing_func: Callable[..., Any]

    @register_to_config
    def __init__(
        self,
        in_channels: int = 4,
        model_channels: int = 320,
        channel_mult: Sequence[int] = (1, 2, 4, 4),
        num_res_blocks: int = 2,
        attention_levels: int = 3,
        num_head_channels: int = 64,
        context_dim: int = 1024,
        guidance_width: int = 0,
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        self._channels, self._repeats, self._levels = (
            model_channels,
            num_res_blocks,
            attention_levels,
        )
        self._head, self._context = num_head_channels, context_dim
        embedding = 4 * model_channels
        self.time_embed = _embedder(model_channels, embedding)
        self.fps_embedding = _embedder(model_channels, embedding)
        if guidance_width:
            self.time_cond_proj = nn.Linear(guidance_width, model_channels, bias=False)
        first = nn.Conv2d(in_channels, model_channels, 3, padding=1)
        self.input_blocks = nn.ModuleList([Stage([first])])
        self.init_attn = Stage(
            [TemporalTransformer(model_channels, _FIRST_HEADS, num_head_channels, pointwise=True)]
        )
        widths = [model_channels * times for times in channel_mult]
        skips = self._add_down(widths)
        deepest = widths[-1]
        self.middle_block = Stage(
            [
                ResBlock(deepest, deepest, embedding),
                *self._transformers(deepest),
                ResBlock(deepest, deepest, embedding),
            ]
        )
        self.output_blocks = nn.ModuleList()
        self._add_up(widths, skips)
        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, model_channels),
            nn.SiLU(),
            nn.Conv2d(model_channels, in_channels, 3, padding=1),
        )

    def _transformers(self, width: int) -> list[nn.Module]:
        return [
            SpatialTransformer(width, self._context, self._head),
            TemporalTransformer(width, width // self._head, self._head),
        ]

    def _blocks(self, given: int, width: int, level: int) -> list[nn.Module]:
        attends = level < self._levels
        block = ResBlock(given, width, 4 * self._channels)
        return [block, *(self._transformers(width) if attends else [])]

    def _add_down(self, widths: list[int]) -> list[int]:
        """Fills the way down; returns the channels of what is kept for the way up."""
        now, kept = widths[0], [widths[0]]
        for level, width in enumerate(widths):
            for _ in range(self._repeats):
                self.input_blocks.append(Stage(self._blocks(now, width, level)))
                now = width
                kept.append(width)
            if level + 1 < len(widths):
                self.input_blocks.append(Stage([Downsample(width)]))
                kept.append(width)
        return kept

    def _add_up(self, widths: list[int], skips: list[int]) -> None:
        now, last = widths[-1], self._repeats
        for level, width in reversed(list(enumerate(widths))):
            for i in range(last + 1):
                blocks = self._blocks(now + skips.pop(), width, level)
                if level and i == last:
                    blocks.append(Upsample(width))
                self.output_blocks.append(Stage(blocks))
                now = width

    def forward(
        self,
        sample: Float[Tensor, "b c t h w"],
        timestep: Float[Tensor, " b"],
        encoder_hidden_states: Float[Tensor, "b l d"],
        fps: Float[Tensor, " b"],
        guidance: Float[Tensor, "b g"] | None = None,
    ) -> Float[Tensor, "b c t h w"]:
        """The noise in `sample`.

        Args:
            sample: Noisy latents; height and width are multiples of 2 to the number of levels - 1.
            timestep: 0 to 999; 999 is (nearly) pure noise.
            encoder_hidden_states: The prompt's tokens.
            fps: Frames per second that the clip is to look like.
            guidance: Embedded guidance scale, for a network with `guidance_width`.
        """
        frames = sample.shape[2]
        told = Told(
            time=self._time(timestep, fps, guidance).repeat_interleave(frames, 0),
            text=encoder_hidden_states.repeat_interleave(frames, 0),
            frames=frames,
        )
        h = sample.transpose(1, 2).flatten(0, 1)
        h = self.init_attn(self.input_blocks[0](h, told), told)
        kept = [h]
        for stage in self.input_blocks[1:]:
            h = self._run(stage, h, told)
            kept.append(h)
        h = self._run(self.middle_block, h, told)
        for stage in self.output_blocks:
            h = self._run(stage, torch.cat([h, kept.pop()], dim=1), told)
        return self.out(h).unflatten(0, (-1, frames)).transpose(1, 2)

    def _time(
        self,
        timestep: Float[Tensor, " b"],
        fps: Float[Tensor, " b"],
        guidance: Float[Tensor, "b g"] | None,
    ) -> Float[Tensor, "b e"]:
        waves = self._sinusoids(timestep)
        if guidance is not None:
            waves = waves + self.time_cond_proj(guidance)
        return self.time_embed(waves) + self.fps_embedding(self._sinusoids(fps))

    def _sinusoids(self, value: Float[Tensor, " b"]) -> Float[Tensor, "b c"]:
        """Cosines first, in the network's precision."""
        return get_timestep_embedding(
            value, self._channels, flip_sin_to_cos=True, downscale_freq_shift=0
        ).to(self.dtype)

    def _run(self, stage: nn.Module, h: Tensor, told: Told) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(stage, h, told)
        return stage(h, told)


def _embedder(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, out), nn.SiLU(), nn.Linear(out, out))
