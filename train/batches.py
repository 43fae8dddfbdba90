"""From labels to tensors: clips and prompts encoded once, pairs as two named fields.

Latents are cached in memory by the clip's content hash and conditions by the prompt's id, so that
a clip in three pairs is encoded once, and epochs cost no encoding. A clip that does not have the
model's size is either refused by name (`exact`) or made to fit (`resize`): centre crop to the
model's aspect, area average to its size, and frames taken at even distances from first to last.
Both clips of a pair are treated alike.

Left out on purpose: a cache on disk, random crops and windows, and any substitute for a clip that
cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from data import clips as media
from data.errors import UserError
from data.records import Candidate, Preference, Prompt
from train import bank
from train.models import Conditions, SampleSettings, VideoModel

Fit = Literal["exact", "resize"]
_ENCODED_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    """`b` pairs: two clips each, one noise level and one noise for both."""

    chosen: Float[Tensor, " b *latent"]
    rejected: Float[Tensor, " b *latent"]
    noise: Float[Tensor, " b *latent"]
    u: Float[Tensor, " b"]
    """Uniform draws in [0, 1) that the model turns into noise levels."""
    conditions: Conditions
    weight: Float[Tensor, " b"]
    probability: Float[Tensor, " b"]
    pairs: tuple[str, ...]
    """Ids, for messages."""

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.pairs)


@dataclass(frozen=True, kw_only=True)
class Material:
    """Everything that training needs of the clips and prompts, on the CPU."""

    latents: Mapping[str, Float[Tensor, " *latent"]]
    """By clip hash."""
    conditions: Mapping[str, Conditions]
    """Of batch 1, by prompt id."""

    def batch(
        self,
        labels: Sequence[Preference],
        draws: Sequence[int],
        *,
        bank_seed: int | str,
        u: Sequence[float] | None = None,
        device: torch.device,
    ) -> PairBatch:
        """The pairs of `labels`, each with the noise and noise level of its own draw.

        Args:
            labels: One per pair.
            draws: Counter k per pair: the same (bank seed, pair, k) gives the same noise for ever.
            bank_seed: Of the bank of draws.
            u: Uniform draws to use in place of the bank's.
            device: Where the tensors go.
        """
        chosen = torch.stack([self.latents[label.chosen] for label in labels])
        shape, keys = tuple(chosen.shape[1:]), list(zip(labels, draws, strict=True))
        told = [self.conditions[label.prompt] for label in labels]
        levels = u or [bank.uniform(bank_seed, label.pair, k) for label, k in keys]
        noise = torch.stack([bank.noise(bank_seed, label.pair, k, shape) for label, k in keys])
        return PairBatch(
            chosen=chosen.to(device),
            rejected=torch.stack([self.latents[label.rejected] for label in labels]).to(device),
            noise=noise.to(device),
            u=torch.tensor(levels, device=device),
            conditions=Conditions.join(told).to(device),
            weight=torch.tensor([label.weight for label in labels], device=device),
            probability=torch.tensor([label.probability for label in labels], device=device),
            pairs=tuple(label.pair for label in labels),
        )


def prepare(
    model: VideoModel,
    clips: Mapping[str, Candidate],
    prompts: Mapping[str, Prompt],
    settings: SampleSettings,
) -> Material:
    """Encodes every clip and embeds every prompt, once.

    Raises:
        UserError: A clip is missing or broken; names it.
    """
    latents: dict[str, Tensor] = {}
    with tqdm(total=len(clips), desc="encode", unit="clip", disable=None) as bar:
        for some in _chunks(sorted(clips), _ENCODED_AT_ONCE):
            frames = torch.stack([fitted(_frames(clips[sha]), settings) for sha in some])
            latents |= zip(some, model.encode(frames / 255).cpu(), strict=True)
            bar.update(len(some))
    conditions = {key: model.embed([prompts[key].text]).to("cpu") for key in sorted(prompts)}
    return Material(latents=latents, conditions=conditions)


def fitted(
    frames: UInt8[Tensor, "t c h w"], settings: SampleSettings
) -> Float[Tensor, "frames c height width"]:
    """Frames in [0, 255], of the model's size and number; a clip that fits is unchanged."""
    t, _, h, w = frames.shape
    pick = torch.linspace(0, t - 1, settings.frames).round().long()
    high = min(h, round(w * settings.height / settings.width))
    wide = min(w, round(h * settings.width / settings.height))
    top, left = (h - high) // 2, (w - wide) // 2
    cropped = frames[pick, :, top : top + high, left : left + wide].float()
    return F.interpolate(cropped, (settings.height, settings.width), mode="area")


def resized(clips: Iterable[Candidate], settings: SampleSettings) -> int:
    """How many of the clips do not have the model's size and number of frames."""
    return sum(_size(clip) != _wanted(settings) for clip in clips)


def admit(clips: Iterable[Candidate], settings: SampleSettings, fit: Fit, model: str) -> None:
    """Refuses clips that cannot be trained on, before anything is started.

    Raises:
        UserError: A clip is gone or does not fit; names it.
    """
    for clip in clips:
        _admit(clip, settings, fit, model)


def _admit(clip: Candidate, settings: SampleSettings, fit: Fit, model: str) -> None:
    if not clip.path:
        raise UserError(
            f"Clip {clip.sha256[:12]} is not there: only votes on it were taken in. Train on "
            "another database, or take its votes in again from where the clips lie: "
            "python -m data.ingest --votes"
        )
    have, want = _size(clip), _wanted(settings)
    if not media.present(clip):
        raise UserError(
            f"Clip {clip.path} is gone. Put it back, or add it from its new place with: "
            "python -m data.ingest"
        )
    what = "Clip {} has {} frames of {}x{} pixels; ".format(clip.path, *have)
    if fit == "exact" and have != want:
        raise UserError(
            what
            + "model {} trains on {} frames of {}x{}. ".format(model, *want)
            + "Choose the clips' size with --frames --width --height, or let them be cropped and "
            "resized with --fit resize."
        )
    if have[0] < want[0]:
        raise UserError(
            what
            + f"training needs at least {want[0]} frames. Choose fewer with --frames, or leave "
            "this clip out."
        )


def _size(clip: Candidate) -> tuple[int, int, int]:
    return clip.frames, clip.width, clip.height


def _wanted(settings: SampleSettings) -> tuple[int, int, int]:
    return settings.frames, settings.width, settings.height


def _frames(clip: Candidate) -> UInt8[Tensor, "t c h w"]:
    pixels, _ = media.read(clip)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _chunks(items: Sequence[str], size: int) -> list[Sequence[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
