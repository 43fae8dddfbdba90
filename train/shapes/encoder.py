"""Trains and measures the text-video encoder of `shapes` (`scorers/shapes.py`).

    python -m train.shapes --out DIR --stage encoder          # trains
    python -m train.shapes.encoder [--folder DIR] [--n 200]    # prints the table of accuracies

Contrastive (Radford et al. 2021) in three ways at once: a clip against its caption and captions
that differ in one attribute; a clip against the captions of the batch that are not true of it; a
caption against its clip and spoilt copies (played backwards, standing still, faded, without
colour). Clips are blurred, made noisy, or passed through the autoencoder with noise on the latents,
so that generated clips are not foreign to it.

All combinations of attributes occur: a judge has nothing to hold out. The measure uses clips that
training never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from data import shapes as world
from data.console import say
from data.errors import user_errors
from scorers import shapes as judge
from train.options import option, parser
from train.shapes import text, vae
from train.shapes.config import Config

_FOREIGN = 4  # one clip in this many has been through the autoencoder


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What to measure."""

    folder: str = option(str(judge.FOLDER), "where the weights lie")
    n: int = option(200, "clips")


def scenes(n: int, seed: int) -> list[world.Scene]:
    """Scenes over all combinations of attributes; scene i depends on (seed, i) alone."""
    rngs = (np.random.default_rng([seed, 7, i]) for i in range(n))
    return [world.random_scene(rng, held_out=bool(rng.random() < 0.2)) for rng in rngs]


def material(config: Config, autoencoder: AutoencoderKLWan) -> tuple[list[world.Scene], np.ndarray]:
    """Training scenes and their clips, a part of them as the autoencoder gives them back."""
    what = scenes(config.encoder_clips, config.seed)
    clips = np.stack([world.render(scene, config.frames, config.size) for scene in what])
    latents = vae.encode_all(autoencoder, clips[::_FOREIGN], config.device)
    draw = torch.Generator().manual_seed(config.seed)
    scale = 0.15 * latents.std((0, 2, 3, 4), keepdim=True)
    latents = latents + scale * torch.randn(latents.shape, generator=draw)
    clips[::_FOREIGN] = vae.decode_all(autoencoder, latents, config.device)
    return what, clips


def spoil_pixels(
    clips: Float[Tensor, "b t c h w"], rng: np.random.Generator
) -> Float[Tensor, "b t c h w"]:
    """Blur of up to three 3-pixel means and noise of up to 0.06, drawn per batch."""
    for _ in range(int(rng.integers(4))):
        clips = F.avg_pool3d(
            clips.transpose(1, 2), (1, 3, 3), 1, (0, 1, 1), count_include_pad=False
        )
        clips = clips.transpose(1, 2)
    draw = torch.Generator().manual_seed(int(rng.integers(2**31)))
    noise = torch.randn(clips.shape, generator=draw).to(clips)
    return (clips + float(rng.random()) * 0.06 * noise).clamp(0, 1)


def wrong_clips(
    clips: Float[Tensor, "b t c h w"], rng: np.random.Generator
) -> Float[Tensor, "b t c h w"]:
    """For each clip a copy that its caption does not describe."""
    out = []
    for clip, kind in zip(clips, rng.integers(4, size=len(clips)), strict=True):
        ground = clip[:, :, :1, :1]
        fade = torch.linspace(float(rng.random()) * 0.5, 0, len(clip)).to(clip)[:, None, None, None]
        spoilt = (
            clip.flip(0),
            clip[len(clip) // 2].expand_as(clip),
            ground + (clip - ground) * fade,
            clip.mean(1, keepdim=True).expand_as(clip),
        )
        out.append(spoilt[kind])
    return torch.stack(out)


def changed(scene: world.Scene, name: str, word: str) -> world.Scene:
    """The scene in words with one attribute replaced (its place no longer matters)."""
    return world.Scene(**{**vars(scene), name: word})


def wrong_captions(scene: world.Scene, rng: np.random.Generator) -> list[str]:
    """The full caption with one attribute changed, one for each attribute."""
    out = []
    for name in world.ATTRIBUTES:
        others = [w for w in world.CHOICES[name] if w != getattr(scene, name)]
        out.append(world.caption(changed(scene, name, str(rng.choice(others)))))
    return out


def loss_of(
    encoder: judge.TextVideoEncoder, clips: Float[Tensor, "b t c h w"], what: list[world.Scene],
    rng: np.random.Generator,
) -> Float[Tensor, ""]:  # fmt: skip
    """The three contrasts, equally weighted."""
    n, scale = len(what), encoder.scale.exp().clamp(max=50)
    short = [world.random_caption(scene, rng) for scene in what]
    hard = [c for scene in what for c in [world.caption(scene), *wrong_captions(scene, rng)]]
    both = spoil_pixels(torch.cat([clips, wrong_clips(clips, rng)]), rng)
    seen, texts = encoder.clips(both), encoder.texts(short + hard)
    said, hard_said = texts[:n], texts[n:].view(n, -1, texts.shape[1])
    target = torch.arange(n, device=seen.device)
    one_changed = scale * torch.einsum("be,bke->bk", seen[:n], hard_said)
    logits = scale * seen @ said.T
    true = torch.tensor([[_fits(caption, scene) for caption in short] for scene in what])
    also = true.to(seen.device) & ~torch.eye(n, dtype=torch.bool, device=seen.device)
    batch = logits[:n].masked_fill(also, -torch.inf)
    by_caption = torch.cat([batch, logits[n:].diagonal()[None]]).T
    return (
        F.cross_entropy(one_changed, torch.zeros_like(target))
        + F.cross_entropy(batch, target)
        + F.cross_entropy(by_caption, target)
    )


def _fits(caption: str, scene: world.Scene) -> bool:
    return all(getattr(scene, name) == word for name, word in world.parse(caption).items())


def fresh(config: Config) -> judge.TextVideoEncoder:
    """An untrained encoder, drawn from the seed."""
    words = ("<pad>", "<unk>", *text.words())
    with torch.random.fork_rng():
        torch.manual_seed(config.seed + 2)
        return judge.TextVideoEncoder(
            judge.Shape(words=words, frames=config.frames, size=config.size)
        ).to(config.device)


def train(
    encoder: judge.TextVideoEncoder, what: list[world.Scene], clips: np.ndarray, config: Config
) -> None:
    """Trains in place with AdamW and one cosine cycle."""
    rng = np.random.default_rng([config.seed, 8])
    weights = list(encoder.parameters())
    optimizer = torch.optim.AdamW(weights, lr=config.encoder_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.encoder_rate, total_steps=config.encoder_steps, pct_start=0.1,
        cycle_momentum=False,
    )  # fmt: skip
    with tqdm(range(config.encoder_steps), desc="encoder", mininterval=5) as bar:
        for _ in bar:
            pick = rng.integers(len(what), size=config.encoder_batch)
            batch = torch.from_numpy(clips[pick]).to(config.device).permute(0, 1, 4, 2, 3) / 255
            loss = loss_of(encoder, batch, [what[i] for i in pick], rng)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)


@torch.no_grad()
def accuracy(
    scorer: judge.ShapesScorer, what: list[world.Scene], clips: Float[Tensor, "b t c h w"]
) -> dict[str, float]:
    """Share of clips for which the true caption wins against every value of one attribute."""
    row = {}
    for name in world.ATTRIBUTES:
        right = []
        for scene, clip in zip(what, clips, strict=True):
            words = sorted(world.CHOICES[name], key=lambda w: w != getattr(scene, name))
            texts = [world.caption(changed(scene, name, word)) for word in words]
            value = scorer.encoder.clips(clip[None]) @ scorer.encoder.texts(texts).T
            right.append(int(value.argmax()) == 0)
        row[name] = float(np.mean(right))
    return row


@user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """The command line of this module: prints accuracies on clips that training never saw."""
    options = parser(Measure, "python -m train.shapes.encoder", __doc__ or "")
    config = Measure(**vars(options.parse_args(argv)))
    scorer, what = judge.load(folder=Path(config.folder)), scenes(config.n, seed=10_000)
    plain = np.stack([world.render(scene) for scene in what])
    clips = torch.from_numpy(plain).permute(0, 1, 4, 2, 3) / 255
    rng = np.random.default_rng(3)
    spoilt = torch.cat([spoil_pixels(some, rng) for some in clips.split(10)])
    say(f"{'clips':<12}" + "".join(f"{name:>12}" for name in world.ATTRIBUTES))
    for title, some in (("plain", clips), ("spoilt", spoilt)):
        row = accuracy(scorer, what, some)
        say(f"{title:<12}" + "".join(f"{row[name]:12.3f}" for name in world.ATTRIBUTES))


if __name__ == "__main__":
    raise SystemExit(main())
