"""The published configurations of the families, at real widths and sizes, without their weights.

Networks and autoencoders stand on the meta device, where every shape is computed and nothing else;
of the networks two layers of each kind are built. HunyuanVideo 1.5 is not among them: what its
network computes depends on the values of its masks.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import diffusers
import pytest
import torch
from diffusers import CogVideoXDDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor
from torch.fx.experimental import _config

from train.models import Conditions, cogvideox, hunyuan, ltx, mochi, wan
from train.models.generator import Generator
from train.policy import attach

diffusion: Any = diffusers
config: Any = _config


class Published(NamedTuple):
    """What the meta pipeline is built of, and what the network is told of two prompts."""

    build: Callable[..., Generator]
    kind: str
    network: Any
    vae: Any
    scheduler: Any
    latents: tuple[int, ...]
    """Of the published size, as the model's paper or repository counts them."""
    told: dict[str, tuple[int, ...]]


FLOW = FlowMatchEulerDiscreteScheduler(shift=3.0)
CASES = {
    "wan": Published(
        wan.build, "WanPipeline",
        lambda: diffusion.WanTransformer3DModel(
            num_attention_heads=12, attention_head_dim=128, ffn_dim=8960, num_layers=2
        ),
        lambda: diffusion.AutoencoderKLWan(),
        FLOW, (16, 21, 60, 104), {"text": (512, 4096)},
    ),
    "ltx": Published(
        ltx.build, "LTXPipeline",
        lambda: diffusion.LTXVideoTransformer3DModel(num_layers=2),
        lambda: diffusion.AutoencoderKLLTXVideo(),
        FLOW, (128, 21, 16, 22), {"text": (128, 4096), "mask": (128,)},
    ),
    "cogvideox-2b": Published(
        cogvideox.build, "CogVideoXPipeline",
        lambda: diffusion.CogVideoXTransformer3DModel(num_layers=2),
        lambda: diffusion.AutoencoderKLCogVideoX(),
        CogVideoXDDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True),
        (16, 13, 60, 90), {"text": (226, 4096)},
    ),
    "cogvideox-1.5": Published(
        cogvideox.build, "CogVideoXPipeline",
        lambda: diffusion.CogVideoXTransformer3DModel(
            num_attention_heads=48, num_layers=2, patch_size_t=2, patch_bias=False,
            use_rotary_positional_embeddings=True, sample_width=300, sample_height=300,
        ),
        lambda: diffusion.AutoencoderKLCogVideoX(),
        CogVideoXDDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True),
        (16, 22, 96, 170), {"text": (226, 4096)},
    ),
    "mochi": Published(
        mochi.build, "MochiPipeline",
        lambda: diffusion.MochiTransformer3DModel(num_layers=2),
        lambda: diffusion.AutoencoderKLMochi(),
        FLOW, (12, 15, 60, 106), {"text": (256, 4096), "mask": (256,)},
    ),
    "hunyuan": Published(
        hunyuan.build, "HunyuanVideoPipeline",
        lambda: diffusion.HunyuanVideoTransformer3DModel(num_layers=2, num_single_layers=2),
        lambda: diffusion.AutoencoderKLHunyuanVideo(),
        FLOW, (16, 33, 90, 160), {"text": (256, 4096), "mask": (256,), "pooled": (768,)},
    ),
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Published, Generator]:
    published = CASES[request.param]
    with torch.device("meta"):
        modules = {"transformer": published.network(), "vae": published.vae()}
    kind = getattr(diffusion, published.kind)
    texts = {
        name: None for name in kind._get_signature_keys(kind)[0] if "enc" in name or "tok" in name
    }
    pipeline = kind(**modules, **texts, scheduler=published.scheduler)
    return published, published.build(pipeline, source="nowhere", name=request.param)


def test_the_published_size_goes_through(
    case: tuple[Published, Generator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Size rule, latents, packing, positions and the adapter's modules, as published."""
    published, model = case
    # Mochi asks for the autocast of its device, and which tokens its mask lets through
    monkeypatch.setattr(torch, "autocast", lambda *_: nullcontext())
    settings = model.sample_defaults
    model.check(settings)
    assert model.latent_shape(settings) == published.latents
    attach(model, rank=4, alpha=4, seed=0)
    told = {name: meta(2, *shape) for name, shape in published.told.items()}
    with config.patch(meta_nonzero_assume_all_nonzero=True):
        predicted = model.predict(meta(2, *published.latents), meta(2), Conditions(told))
    assert predicted.shape == (2, *published.latents)
    predicted.sum().backward()
    trained = [w for w in model.network.parameters() if w.requires_grad]
    assert trained
    assert all(weight.grad is not None for weight in trained)


def test_the_autoencoder_agrees_on_the_size(case: tuple[Published, Generator]) -> None:
    """Every number of frames that the rule lets pass comes back."""
    _, model = case
    chunk = getattr(model.autoencoder, "chunk", 4)
    clip = meta(1, chunk + 1, 3, 64, 96)
    latents = model.encode(clip)
    assert model.decode(latents).shape == clip.shape


def meta(*shape: int) -> Tensor:
    return torch.zeros(shape, device="meta")
