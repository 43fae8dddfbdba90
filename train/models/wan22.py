"""Wan 2.2 A14B: two experts of Wan's architecture, one for high noise and one for low noise.

A noise level at or above the pipeline's `boundary_ratio` belongs to `transformer`, one below it to
`transformer_2`. Each carries its own adapter, which only the levels of its own range train: a batch
goes through the network row by row to the expert of its level. The adapter is two files that
diffusers loads with

    pipe.load_lora_weights(folder, weight_name="pytorch_lora_weights.safetensors")
    pipe.load_lora_weights(folder, weight_name="transformer_2.pytorch_lora_weights.safetensors",
                           load_into_transformer_2=True)

Published guidance of text-to-video is 4 for high and 3 for low noise; another scale is lowered in
the same proportion of what lies above 1.

Left out on purpose: an adapter on one expert alone. TI2V-5B is in `ti2v`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from train.models import wan
from train.models.generator import Call, Generator
from train.models.lora import Config, PipelineLora, State
from train.models.parts import flow, settings
from train.models.protocol import Conditions, SampleSettings

EXPERTS = ("transformer", "transformer_2")
"""For high and for low noise."""
_PUBLISHED = SampleSettings(frames=81, height=720, width=1280, fps=16.0, steps=40, guidance=4.0)
_LOW = 2 / 3
"""(3 - 1) / (4 - 1): what lies above 1 of the low expert's guidance by that of the high one's."""


class ExpertLora:
    """An adapter file per expert, each written and read by the pipeline."""

    def __init__(self, pipeline: Any) -> None:
        """Takes a Wan pipeline with two transformers."""
        self._pipeline = pipeline

    def save(
        self, folder: Path, file: str, states: Mapping[str, State], configs: Mapping[str, Config]
    ) -> list[Path]:
        """See `LoraFiles`."""
        for part, name in _files(file).items():
            self._pipeline.save_lora_weights(
                folder,
                weight_name=name,
                transformer_lora_layers=dict(states[part]),
                transformer_lora_adapter_metadata=configs[part],
            )
        return [folder / name for name in _files(file).values()]

    def usage(self, folder: Path, file: str) -> list[str]:
        """See `LoraFiles`."""
        first, second = _files(file).values()
        return [
            f'pipe.load_lora_weights("{folder}", weight_name="{first}")',
            f'pipe.load_lora_weights("{folder}", weight_name="{second}", '
            "load_into_transformer_2=True)",
        ]

    def load(self, folder: Path, file: str, name: str) -> None:
        """See `LoraFiles`."""
        for part, own in _files(file).items():
            self._pipeline.load_lora_weights(
                str(folder),
                weight_name=own,
                adapter_name=name,
                load_into_transformer_2=part == EXPERTS[1],
            )


def _files(file: str) -> dict[str, str]:
    return {EXPERTS[0]: file, EXPERTS[1]: f"{EXPERTS[1]}.{file}"}


def routed(call: Call, boundary: float) -> Call:
    """Rows of a batch to the expert of their noise level; `boundary` is the least high level."""

    def by_level(network: Any, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        high = t >= boundary
        rows = [high.nonzero().flatten(), (~high).nonzero().flatten()]
        made = [
            call(network[expert], noisy[some], t[some], conditions[some])
            for expert, some in zip(EXPERTS, rows, strict=True)
            if len(some)
        ]
        return torch.cat(made)[torch.cat(rows).argsort()]

    return by_level


def denoisers(pipeline: Any, call: Call) -> dict[str, Any]:
    """The arguments of `Generator` that differ between one transformer and two experts."""
    boundary = pipeline.config.boundary_ratio
    if boundary is None:
        parts = {"transformer": pipeline.transformer}
        return {"components": parts, "lora": PipelineLora(pipeline), "call": call}
    return {
        "components": {expert: getattr(pipeline, expert) for expert in EXPERTS},
        "lora": ExpertLora(pipeline),
        "call": routed(call, boundary),
    }


def build(pipeline: Any, *, source: str, name: str) -> Generator:
    """Wan 2.2 text-to-video with two experts, of a loaded pipeline."""
    boundary = pipeline.config.boundary_ratio
    defaults, tokens = settings(source, _PUBLISHED, wan.TOKENS)

    def guide(scale: float, t: Tensor, latents: Tensor) -> Tensor:  # noqa: ARG001  all frames alike
        return torch.where(t >= boundary, scale, 1 + (scale - 1) * _LOW)

    return Generator(
        source=source,
        name=name,
        pipeline=pipeline,
        sample_defaults=defaults,
        parametrisation=flow(pipeline.scheduler),
        autoencoder=wan.WanAutoencoder(
            vae=pipeline.vae, patch=pipeline.transformer.config.patch_size
        ),
        text=lambda prompts: wan.text(pipeline, prompts, tokens),
        guide=guide,
        **denoisers(pipeline, wan.velocity),
    )
