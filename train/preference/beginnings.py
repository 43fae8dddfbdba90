"""What an image-to-video model is told in training: the image that both clips of a pair began with.

A clip that was sampled here remembers its image (`train.sampling.first_image`). A pair whose clips
began with different ones is refused: the adapter would learn to prefer an image. Clips from
elsewhere remember none. Those of one prompt then share the first frame of the clip with the
smallest hash, which no label can have chosen; their first frames must be alike, for image-to-video
returns its image nearly unchanged. What is compared is a thumbnail, which the cache keeps beside
the clip's latents.

Left out on purpose: several images of one prompt among clips that remember none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from data import clips as media
from data.errors import UserError
from data.records import Candidate, Preference, Prompt
from train.models.protocol import Album, Conditions, FirstFrames, SampleSettings, VideoModel
from train.preference.cache import Kept, told
from train.sampling import first_image
from train.sampling.sizes import covered

_ALIKE = 0.08
"""Mean absolute difference in [0, 1] of two first frames made small: a VAE's round trip is about
0.01, two unrelated photographs about 0.2."""
_THUMB = 16  # pixels


def name(clip: Candidate) -> str:
    """Of what the model is told of a clip: its prompt and its image."""
    return f"{clip.prompt}/{first_image.remembered(clip)}"


def same_in_every_pair(labels: Iterable[Preference], known: Mapping[str, Candidate]) -> None:
    """Refuses pairs whose clips were sampled from different images.

    Raises:
        UserError: there is one; names its clips.
    """
    for label in labels:
        chosen, rejected = known[label.chosen], known[label.rejected]
        if first_image.remembered(chosen) != first_image.remembered(rejected):
            raise UserError(
                f"Pair {label.pair[:12]}: clip {chosen.path} begins with image "
                f"{_shown(chosen)} and clip {rejected.path} with {_shown(rejected)}. A pair is "
                "trained on only where both clips were made from one image: leave it out."
            )


def _shown(clip: Candidate) -> str:
    return str(clip.settings.get(first_image.PATH, "(none remembered)"))


def album(
    clips: Iterable[Candidate], prompts: Mapping[str, Prompt], settings: SampleSettings
) -> Album:
    """Images of prompts, each of the clip of that prompt with the smallest hash.

    Args:
        clips: At least one of each prompt that is looked up.
        prompts: By id.
        settings: Size of the images, and number of frames of the clips to be made.
    """
    of = {prompts[one.prompt].text: one for one in sorted(clips, key=_hash, reverse=True)}

    def look_up(texts: Sequence[str]) -> FirstFrames:
        return FirstFrames(
            torch.stack([image(of[text], settings) for text in texts]), settings.frames
        )

    return look_up


def _hash(clip: Candidate) -> str:
    return clip.sha256


def image(clip: Candidate, settings: SampleSettings) -> Float[Tensor, "3 h w"]:
    """The image in [0, 1] that a clip remembers, or its first frame, at the settings' size.

    Raises:
        UserError: it remembers one that is gone or changed.
    """
    size = settings.height, settings.width
    if first_image.remembered(clip):
        return first_image.fitted(first_image.of_clip(clip), *size)
    pixels, _ = media.read(clip)
    first = torch.from_numpy(pixels[:1]).permute(0, 3, 1, 2)
    return covered(first, *size)[0] / 255


def thumbnails(frames: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 16 16"]:
    """Frames made small, to tell whether clips begin alike."""
    return F.interpolate(frames, (_THUMB, _THUMB), mode="area")


class Beginnings:
    """Which clips bring an image: the first of each name, read in the order of their hashes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Candidate, Tensor]] = {}

    def new(self, clip: Candidate, thumbnail: Float[Tensor, "3 16 16"]) -> bool:
        """Whether a clip is the first of its `name`.

        Args:
            clip: The clip.
            thumbnail: Of its first frame.

        Raises:
            UserError: it remembers no image and does not begin like its prompt's others.
        """
        before, first = self._known.setdefault(name(clip), (clip, thumbnail))
        difference = float((thumbnail - first).abs().mean())
        if difference > _ALIKE and not first_image.remembered(clip):
            raise UserError(
                f"Clips {before.path} and {clip.path} are of one prompt but begin differently "
                f"(mean difference {difference:.2f} of 1; alike is up to {_ALIKE}), and do not say "
                "from which image they were made. Take them in with the columns "
                f"{first_image.PATH} and {first_image.DIGEST}, or leave them out."
            )
        return before is clip


class Shown:
    """What an image-to-video model is told: gathered while clips are read by their hashes."""

    def __init__(
        self,
        model: VideoModel,
        prompts: Mapping[str, Prompt],
        settings: SampleSettings,
        kept: Kept | None,
    ) -> None:
        """Prompts are by id; `kept` is where conditions of earlier runs are."""
        self._model, self._prompts, self._settings, self._kept = model, prompts, settings, kept
        self._begins = Beginnings()
        self.conditions: dict[str, Conditions] = {}
        """By `name`."""
        self.names: dict[str, str] = {}
        """By clip hash."""
        self.images: dict[str, str] = {}
        """`first_image.content` by `name`."""

    def take(self, clip: Candidate, thumbnail: Float[Tensor, "3 16 16"]) -> None:
        """A clip, and its first frame made small."""
        mine = self.names[clip.sha256] = name(clip)
        if self._begins.new(clip, thumbnail):
            pixels = image(clip, self._settings)
            first = FirstFrames(pixels[None], self._settings.frames)
            text = self._prompts[clip.prompt].text
            self.images[mine] = first_image.content(pixels)
            self.conditions[mine] = told(self._model, text, self._kept, first)
