"""LTX-Video image-to-video: `LTXImageToVideoPipeline` (0.9), `LTXConditionPipeline` (0.9.5 on).

The first latent frame is the image's, its tokens are at timestep 0, and the pipelines leave it as
it is. As in `ti2v`, its prediction here is the velocity that leads to the image: the sampler ends
there, and policy and reference have the same error in it, so that it drops out of DPO's margin.

`LTXConditionPipeline` counts time differently: its levels fall linearly, then quadratically, and a
latent frame is where its first frame is (frame 1, 9, 17, ... after the image's frame 0), where the
older pipeline says 0, 8, 16. Both come from the pipeline's own code. It also adds fresh noise to
the image at every step (deviation 0.15 t^2 by default); here the image is shown clean, as with
`image_cond_noise_scale=0`, for both clips of a pair must be told the same.

Left out on purpose: conditions at other frames than the first, conditioning strength, and sampling
text-to-video from a folder of these classes (name `LTXPipeline` in its `model_index.json`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DiffusionPipeline, LTXConditionPipeline
from diffusers.pipelines.ltx.pipeline_ltx_condition import linear_quadratic_schedule
from jaxtyping import Float
from torch import Tensor

from train.models import ltx, ti2v
from train.models.generator import Autoencoder, Generator
from train.models.parts import evenly
from train.models.protocol import Conditions

PIPELINES = ("LTXImageToVideoPipeline", "LTXConditionPipeline")
FIRST_IMAGE = True


def load(source: str, *, name: str, device: torch.device | str, dtype: torch.dtype) -> Generator:
    """An LTX-Video model that begins with an image, from a folder or the hub."""
    pipeline: Any = DiffusionPipeline.from_pretrained(source, dtype=dtype)
    return build(pipeline.to(device), source=source, name=name)


def build(pipeline: Any, *, source: str, name: str) -> Generator:
    """The same of a pipeline at hand."""
    newer = isinstance(pipeline, LTXConditionPipeline)
    parts = ltx.parts(pipeline, source, name, _falling if newer else evenly)
    fps = parts["sample_defaults"].fps
    return Generator(
        call=_FromImage(ltx.Velocity(pipeline, fps), pipeline if newer else None, fps),
        image=lambda images: _known(parts["autoencoder"], images.pixels.to(pipeline.vae.device)),
        **parts,
    )


def _falling(steps: int) -> list[float]:
    return linear_quadratic_schedule(steps).tolist()


def _known(autoencoder: Autoencoder, images: Float[Tensor, "b 3 h w"]) -> Conditions:
    """Latents of the first images."""
    return Conditions({"known": autoencoder.encode(images[:, None])})


@dataclass(frozen=True)
class _FromImage:
    """The network's prediction where the first latent frame is given."""

    velocity: ltx.Velocity
    newer: Any
    """The pipeline, where it has positions of its own."""
    fps: float

    def __call__(self, network: Any, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        image = conditions.tensors["known"]
        shown = torch.cat([image.to(noisy.dtype), noisy[:, :, 1:]], dim=2)
        level = t.view(-1, 1, 1, 1, 1).repeat(1, 1, *noisy.shape[2:])
        level[:, :, 0] = 0
        places = {} if self.newer is None else {"video_coords": self._places(noisy)}
        clock = self.velocity.tokens(level)[..., 0]
        found = self.velocity.at(network, shown, clock, conditions, **places)
        return ti2v.led(found, noisy, t, image)

    def _places(self, noisy: Tensor) -> Float[Tensor, "b 3 tokens"]:
        """In seconds and pixels."""
        pipeline, vae = self.newer, self.newer.vae
        ids = pipeline._prepare_video_ids(
            len(noisy), *noisy.shape[2:], pipeline.transformer_spatial_patch_size,
            pipeline.transformer_temporal_patch_size, noisy.device,
        )  # fmt: skip
        scaled = pipeline._scale_video_ids(
            ids, vae.spatial_compression_ratio, vae.temporal_compression_ratio
        ).float()
        return torch.cat([scaled[:, :1] / self.fps, scaled[:, 1:]], dim=1)
