"""From labels to tensors: clips and prompts encoded once, pairs as two named fields.

Latents are cached in memory by the clip's content hash and conditions by the prompt's id, so that a
clip in three pairs is encoded once, and epochs cost no encoding; `train.preference.cache` keeps
both for later runs. A clip that does not have the model's size is either refused by name (`exact`)
or made to fit (`resize`): centre crop to the model's aspect, area average to its size, and frames
taken at even distances from first to last. Both clips of a pair are treated alike. An
image-to-video model is told the image that both clips were sampled from
(`train.preference.beginnings`), once per prompt and image.

Left out on purpose: random crops and windows, and any substitute for a clip that cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from data import clips as media
from data.errors import UserError
from data.records import Candidate, Preference, Prompt
from train import bank
from train.models import Conditions, SampleSettings, VideoModel
from train.preference import beginnings
from train.preference.cache import Entry, Kept, told
from train.sampling.sizes import covered

Fit = Literal["exact", "resize"]
_ENCODED_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Noise and noise level of one clip per pair."""

    noise: Float[Tensor, " b *latent"]
    u: Float[Tensor, " b"]

    def to(self, device: torch.device) -> Draws:
        """The same on another device."""
        return Draws(noise=self.noise.to(device), u=self.u.to(device))


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
    images: tuple[str, ...] = ()
    """Of image-to-video, what each pair begins with: `first_image.content`."""
    own: Draws | None = None
    """Of the rejected clips, where they do not share those of the chosen (`--as-released`)."""

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.pairs)


@dataclass(frozen=True, kw_only=True)
class Material:
    """Everything that training needs of the clips and prompts, on the CPU."""

    latents: Mapping[str, Float[Tensor, " *latent"]]
    """By clip hash."""
    conditions: Mapping[str, Conditions]
    """Of batch 1, by prompt id, or by `beginnings.name` for image-to-video."""
    names: Mapping[str, str] = field(default_factory=dict)
    """`beginnings.name` by clip hash; empty for text-to-video."""
    images: Mapping[str, str] = field(default_factory=dict)
    """`first_image.content` by `beginnings.name`; empty for text-to-video."""

    def batch(
        self,
        labels: Sequence[Preference],
        draws: Sequence[int],
        *,
        bank_seed: int | str,
        u: Sequence[float] | None = None,
        device: torch.device,
        released: bool = False,
    ) -> PairBatch:
        """The pairs of `labels`, each with the noise and noise level of its own draw.

        Args:
            labels: One per pair.
            draws: Counter k per pair: the same (bank seed, pair, k) gives the same noise for ever.
            bank_seed: Of the bank of draws.
            u: Uniform draws to use in place of the bank's.
            device: Where the tensors go.
            released: Each clip of a pair draws for itself, as in VideoDPO's released code.
        """
        chosen = torch.stack([self.latents[label.chosen] for label in labels])
        names = [(label.pair, label.pair) for label in labels]
        if released:
            names = [(f"{one.pair}/{one.chosen}", f"{one.pair}/{one.rejected}") for one in labels]
        drawn = [
            _drawn(bank_seed, [both[role] for both in names], draws, chosen.shape[1:]).to(device)
            for role in ((0, 1) if released else (0,))
        ]
        shown = [self.names.get(label.chosen, label.prompt) for label in labels]
        return PairBatch(
            chosen=chosen.to(device),
            rejected=torch.stack([self.latents[label.rejected] for label in labels]).to(device),
            noise=drawn[0].noise,
            u=torch.tensor(u, device=device) if u else drawn[0].u,
            conditions=Conditions.join([self.conditions[name] for name in shown]).to(device),
            weight=torch.tensor([label.weight for label in labels], device=device),
            probability=torch.tensor([label.probability for label in labels], device=device),
            pairs=tuple(label.pair for label in labels),
            images=tuple(self.images[name] for name in shown) if self.images else (),
            own=drawn[1] if released else None,
        )


def _drawn(
    bank_seed: int | str, names: Sequence[str], draws: Sequence[int], shape: Sequence[int]
) -> Draws:
    keys = list(zip(names, draws, strict=True))
    return Draws(
        noise=torch.stack([bank.noise(bank_seed, name, k, tuple(shape)) for name, k in keys]),
        u=torch.tensor([bank.uniform(bank_seed, name, k) for name, k in keys]),
    )


def prepare(
    model: VideoModel,
    clips: Mapping[str, Candidate],
    prompts: Mapping[str, Prompt],
    settings: SampleSettings,
    labels: Iterable[Preference] = (),
    kept: Kept | None = None,
) -> Material:
    """Encodes every clip and embeds every prompt, once.

    Args:
        model: That is trained.
        clips: By hash.
        prompts: By id.
        settings: Size and number of frames of training.
        labels: Pairs to be trained on; for image-to-video, both clips of each must begin with one
            image.
        kept: Where latents and conditions of earlier runs are, and these are kept.

    Raises:
        UserError: A clip is missing or broken, or a pair has two images; names it.
    """
    shown = beginnings.Shown(model, prompts, settings, kept)
    if model.image_conditioned:
        beginnings.same_in_every_pair(labels, clips)
    latents: dict[str, Tensor] = {}
    with tqdm(total=len(clips), desc="encode", unit="clip", disable=None) as bar:
        for some in _chunks(sorted(clips), _ENCODED_AT_ONCE):
            held = kept.clips(some) if kept else None
            if held is None:
                held = _encoded(model, [clips[sha] for sha in some], settings)
                if kept:
                    kept.keep_clips(held)
            for sha, entry in held.items():
                latents[sha] = entry["latents"]
                if model.image_conditioned:
                    shown.take(clips[sha], entry["thumbnail"])
            bar.update(len(some))
    if model.image_conditioned:
        return Material(
            latents=latents, conditions=shown.conditions, names=shown.names, images=shown.images
        )
    conditions = {key: told(model, prompts[key].text, kept) for key in sorted(prompts)}
    return Material(latents=latents, conditions=conditions)


def joined(parts: Iterable[Material]) -> Material:
    """What several processes prepared of their own clips, as one.

    Args:
        parts: In the order of the clips' hashes: the image of a name is that of its first clip.
    """
    latents, conditions = dict[str, Tensor](), dict[str, Conditions]()
    names, images = dict[str, str](), dict[str, str]()
    for part in parts:
        latents |= part.latents
        names |= part.names
        conditions = {**part.conditions, **conditions}
        images = {**part.images, **images}
    return Material(latents=latents, conditions=conditions, names=names, images=images)


def _encoded(
    model: VideoModel, clips: Sequence[Candidate], settings: SampleSettings
) -> dict[str, Entry]:
    """Latents of clips by their hashes, and how they begin where the model is told that."""
    frames = torch.stack([fitted(_frames(clip), settings) for clip in clips]) / 255
    columns = {"latents": model.encode(frames).cpu()}
    if model.image_conditioned:
        columns["thumbnail"] = beginnings.thumbnails(frames[:, 0])
    return {
        clip.sha256: {name: column[row] for name, column in columns.items()}
        for row, clip in enumerate(clips)
    }


def fitted(
    frames: UInt8[Tensor, "t c h w"], settings: SampleSettings
) -> Float[Tensor, "frames c height width"]:
    """Frames in [0, 255], of the model's size and number; a clip that fits is unchanged."""
    pick = torch.linspace(0, len(frames) - 1, settings.frames).round().long()
    return covered(frames[pick], settings.height, settings.width)


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
