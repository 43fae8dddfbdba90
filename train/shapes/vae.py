"""The autoencoder of `shapes`: a frame-wise Wan VAE, at heart one map of 4x4 patches to latents.

Every convolution uses only its tap for the current frame (the taps for past frames are zero and
stay so), so that training on single frames is exact for clips. Residual and attention branches
start at zero: at first the network is its skeleton, which learns within seconds; the branches then
sharpen the edges. Pixels of the object, and most of all of its edge, weigh more than background.

Left out on purpose: temporal compression (it cost most of the sharpness at this budget),
adversarial and perceptual losses. `AutoencoderKLWan.decode` clamps to [-1, 1], which kills
gradients where it saturates: training calls the decoder itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    WanAttentionBlock,
    WanCausalConv3d,
    WanResidualBlock,
    patchify,
    unpatchify,
)
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from train.shapes.config import Config

PATCH = 4


def build(config: Config) -> AutoencoderKLWan:
    """A fresh VAE (seed the global state around it: diffusers draws its weights there)."""
    vae = AutoencoderKLWan(
        base_dim=config.vae_width, z_dim=config.latent_channels, dim_mult=[1], num_res_blocks=0,
        attn_scales=[], temperal_downsample=[], in_channels=3 * PATCH**2, out_channels=3 * PATCH**2,
        patch_size=PATCH, scale_factor_temporal=1, scale_factor_spatial=PATCH,
        latents_mean=[0.0] * config.latent_channels, latents_std=[1.0] * config.latent_channels,
    )  # fmt: skip
    with torch.no_grad():
        for module in vae.modules():
            if isinstance(module, WanCausalConv3d) and module.weight.shape[2] == 3:
                module.weight[:, :, :2] = 0
            if isinstance(module, WanResidualBlock):
                nn.init.zeros_(module.conv2.weight)
            if isinstance(module, WanAttentionBlock):
                nn.init.zeros_(module.proj.weight)
    return vae


@contextmanager
def framewise(vae: AutoencoderKLWan) -> Iterator[None]:
    """Within: each convolution is the 2D one of its last tap, which costs a third."""
    convolutions = [m for m in vae.modules() if isinstance(m, WanCausalConv3d)]
    for convolution in convolutions:
        convolution.forward = MethodType(_last_tap, convolution)
    try:
        yield
    finally:
        for convolution in convolutions:
            del convolution.forward


def _last_tap(self: WanCausalConv3d, x: Tensor, *_: Tensor) -> Tensor:
    b, t, h, w = x.shape[0], *x.shape[2:]
    pad = self.weight.shape[-1] // 2
    flat = x.transpose(1, 2).flatten(0, 1)
    out = F.conv2d(flat, self.weight[:, :, -1], self.bias, padding=pad)
    return out.view(b, t, -1, h, w).transpose(1, 2)


def posterior(vae: AutoencoderKLWan, frames: Float[Tensor, "b 3 t h w"]) -> tuple[Tensor, Tensor]:
    """Mean and log variance of the latents of frames in [-1, 1], each `b c t h/4 w/4`."""
    mean, logvar = vae.quant_conv(vae.encoder(patchify(frames, PATCH))).chunk(2, dim=1)
    return mean, logvar.clamp(-30, 20)


def decode(vae: AutoencoderKLWan, z: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b 3 t H W"]:
    """Frames in about [-1, 1], not clamped, from latents in the VAE's own scale."""
    return unpatchify(vae.decoder(vae.post_quant_conv(z)), PATCH)


def importance(frames: Float[Tensor, "b 3 1 h w"]) -> Float[Tensor, "b 1 1 h w"]:
    """Weight of each pixel: 1 for background, more for the object, most along its edge."""
    flat = frames[:, :, 0]
    inside = (flat - flat[:, :, :1, :1]).abs().amax(1, keepdim=True) > 0.3
    edge = F.max_pool2d(flat, 3, 1, 1) + F.max_pool2d(-flat, 3, 1, 1)
    return (1.0 + 2 * inside + 4 * (edge.amax(1, keepdim=True) > 0.3)).unsqueeze(2)


def _loss(out: Tensor, frames: Tensor) -> Tensor:
    weight, error = importance(frames), out - frames
    return (weight * (error**2 + 0.3 * error.abs())).mean()


def _batch(pixels: np.ndarray, rng: np.random.Generator, config: Config) -> Tensor:
    n, t = pixels.shape[:2]
    pick = pixels[rng.integers(n, size=config.vae_batch), rng.integers(t, size=config.vae_batch)]
    return torch.from_numpy(pick).to(config.device).permute(0, 3, 1, 2)[:, :, None] / 127.5 - 1


def train(vae: AutoencoderKLWan, pixels: np.ndarray, config: Config) -> None:
    """Trains in place on uint8 clips `n t h w c`."""
    rng = np.random.default_rng([config.seed, 1])
    noise = torch.Generator(config.device).manual_seed(config.seed + 1)
    weights = list(vae.parameters())
    optimizer = torch.optim.AdamW(weights, config.vae_rate, betas=(0.9, 0.98), weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.vae_rate, config.vae_steps, pct_start=0.05, cycle_momentum=False
    )
    with framewise(vae), tqdm(total=config.vae_steps, desc="vae", mininterval=5) as bar:
        for _ in range(config.vae_steps):
            frames = _batch(pixels, rng, config)
            mean, logvar = posterior(vae, frames)
            draw = torch.randn(mean.shape, generator=noise, device=mean.device)
            loss = _loss(decode(vae, mean + (0.5 * logvar).exp() * draw), frames)
            divergence = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
            (loss + 1e-4 * divergence).backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            bar.update()
            bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)


@torch.no_grad()
def encode_all(
    vae: AutoencoderKLWan, pixels: np.ndarray, device: str
) -> Float[Tensor, "n c t h w"]:
    """Posterior means of uint8 clips `n t h w c`, in the VAE's own scale, on the CPU."""
    parts = []
    with framewise(vae):
        for some in tqdm(np.array_split(pixels, max(1, len(pixels) // 16)), desc="encode"):
            frames = torch.from_numpy(some).to(device).permute(0, 4, 1, 2, 3) / 127.5 - 1
            parts.append(posterior(vae, frames)[0].cpu())
    return torch.cat(parts)


@torch.no_grad()
def decode_all(
    vae: AutoencoderKLWan, latents: Float[Tensor, "n c t h w"], device: str
) -> np.ndarray:
    """Clips uint8 `n t h w c` of latents in the VAE's own scale."""
    parts = []
    with framewise(vae):
        for some in latents.split(16):
            out = decode(vae, some.to(device)).clamp(-1, 1)
            parts.append(((out + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 4, 1).cpu())
    return torch.cat(parts).numpy()
