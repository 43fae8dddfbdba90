"""Writes trained parts of `shapes` as a folder that `DiffusionPipeline.from_pretrained` loads.

Weights are stored as float16 under the plain file names (a `variant="fp16"` would have to be named
on loading); load with `dtype=torch.float32`, else the text encoder stays in half precision.
`sampling.json` beside them says how to sample. Left out on purpose: optimizer state; that is in the
run's folder.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline
from torch import nn

from data import shapes as world
from train.shapes.config import MAX_TOKENS, Config
from train.shapes.denoiser import Parts

_Network = TypeVar("_Network", bound=nn.Module)
CARD = """---
library_name: diffusers
pipeline_tag: text-to-video
---
# shapes

A text-to-video model of a toy world: one coloured shape that moves over a plain background,
{frames} frames of {size} x {size} pixels. It is a stock `WanPipeline` with tiny trained weights,
for demos, tests and experiments; it knows nothing else. It is wrong often enough that comparing
several candidates is worth while.

Trained on procedurally drawn clips (`data/shapes/`) by

    python -m train.shapes --out runs/shapes

and measured by

    python -m train.shapes.evaluate

How to sample stands in `sampling.json`. Pass its `max_sequence_length` (the pipeline's own default
of 512 spoils the result) and its `num_frames`: where the VAE does not compress time, the pipeline
makes one frame more than asked.

    pipe = DiffusionPipeline.from_pretrained("train/builtin/shapes", dtype=torch.float32)
    call = dict(height={size}, width={size}, num_frames={ask}, num_inference_steps=25,
                guidance_scale={guidance}, max_sequence_length={tokens}, output_type="np")
    frames = pipe("a red circle moving left", **call).frames
"""


def pipeline(vae: AutoencoderKLWan, parts: Parts, config: Config) -> WanPipeline:
    """The parts as a pipeline, in evaluation mode."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=config.shift)
    tokenizer: Any = parts.tokenizer
    return WanPipeline(
        tokenizer=tokenizer, text_encoder=parts.encoder.eval(), vae=vae.eval(),
        transformer=parts.transformer.eval(), scheduler=scheduler,
    )  # fmt: skip


def sampling(config: Config) -> dict[str, float | int]:
    """How to call the pipeline; keys are its own argument names, and `frames` what comes out."""
    return {
        "frames": config.frames, "num_frames": config.frames - 1, "height": config.size,
        "width": config.size, "fps": world.FPS, "num_inference_steps": 25,
        "guidance_scale": config.guidance, "max_sequence_length": MAX_TOKENS,
    }  # fmt: skip


def _half(module: _Network) -> _Network:
    """A float16 copy; diffusers' own `to` would warn of parts that it keeps in float32."""
    copied = copy.deepcopy(module)
    nn.Module.to(copied, torch.float16)
    return copied


def export(vae: AutoencoderKLWan, parts: Parts, config: Config, folder: Path) -> None:
    """Saves a float16 copy of everything, how to sample it, and its card."""
    half = Parts(_half(parts.transformer), _half(parts.encoder), parts.tokenizer)
    pipeline(_half(vae), half, config).save_pretrained(folder)
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text())
        if isinstance(content, dict) and content.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(content, indent=2) + "\n")
    (folder / "sampling.json").write_text(json.dumps(sampling(config), indent=2) + "\n")
    card = CARD.format(
        frames=config.frames, size=config.size, ask=config.frames - 1,
        guidance=config.guidance, tokens=MAX_TOKENS,
    )  # fmt: skip
    (folder / "README.md").write_text(card)
