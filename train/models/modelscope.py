"""ModelScope text-to-video (diffusers `TextToVideoSDPipeline`, `UNet3DConditionModel`).

Wang et al. 2023, arXiv 2308.06571: damo-vilab/text-to-video-ms-1.7b and what was made of it, such
as Zeroscope. The network predicts epsilon; the prompt is OpenCLIP's. The pipeline is deprecated in
diffusers and still there.

`UNet3DConditionModel` cannot be given an adapter by diffusers: it has no `add_adapter`, and
`pipe.load_lora_weights` fails on it. So the LoRA is peft's alone: `NetworkLora` writes one
safetensors file in peft's names with the LoRA's configuration in its metadata, and reads it. Nor
does it offer gradient checkpointing; here its down, middle and up blocks can be recomputed one by
one (`enable_gradient_checkpointing` works), the first convolution and first transformer cannot.

Left out on purpose: image-to-image, the text encoder's LoRA (VADER attaches one that gets no
gradient).
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from diffusers import TextToVideoSDPipeline, UNet3DConditionModel
from torch import Tensor, nn

from train.models.generator import Generator
from train.models.lora import NetworkLora
from train.models.parts import settings
from train.models.protocol import Conditions, SampleSettings
from train.models.unet import FrameVae, clip_text, ddim

PIPELINES = ("TextToVideoSDPipeline",)
_PUBLISHED = SampleSettings(frames=16, height=256, width=256, fps=8.0, steps=50, guidance=9.0)
_TOKENS = 77


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """ModelScope's model from a folder that the pipeline was saved to, or from the hub."""
    pipeline: Any = TextToVideoSDPipeline.from_pretrained(source, dtype=dtype).to(device)
    make_checkpointable(pipeline.unet)
    components = {"unet": pipeline.unet}
    return Generator(
        source=source,
        name=name,
        pipeline=pipeline,
        components=components,
        lora=NetworkLora(components),
        sample_defaults=settings(source, _PUBLISHED, _TOKENS)[0],
        parametrisation=ddim(pipeline.scheduler),
        autoencoder=FrameVae(vae=pipeline.vae, multiple=8),
        text=clip_text(pipeline),
        call=_call,
    )


def _call(network: Any, noisy: Tensor, t: Tensor, told: Conditions) -> Tensor:
    text = told.tensors["text"].to(noisy.dtype)
    return network(noisy, t, encoder_hidden_states=text, return_dict=False)[0]


class _Recomputed(nn.Module):
    """Goes before a block's class: its forward is recomputed once diffusers is told so."""

    gradient_checkpointing: bool
    plain: Callable[..., Any]
    _gradient_checkpointing_func: Callable[..., Any]

    def forward(self, *given: Any, **named: Any) -> Any:
        if not (self.gradient_checkpointing and torch.is_grad_enabled()):
            return self.plain(*given, **named)
        bound = signature(self.plain).bind(*given, **named)
        bound.apply_defaults()  # a gap would end `args`; whoever recomputes takes them by place
        return self._gradient_checkpointing_func(self.plain, *bound.args)


def make_checkpointable(network: UNet3DConditionModel) -> None:
    """Lets `network.enable_gradient_checkpointing()` work, block by block."""
    network._supports_gradient_checkpointing = True
    blocks: list[Any] = [*network.down_blocks, network.mid_block, *network.up_blocks]
    for block in blocks:
        kind = type(block)
        block.plain = block.forward  # one object per block, which is what it is known by
        block.__class__ = type(kind.__name__, (_Recomputed, kind), {})
        block.gradient_checkpointing = False
