"""The first image of image-to-video: its pixels, and how a clip remembers it.

Sampling keeps a copy of every image in `prefs.clips/images`, under the hash of its bytes, and a
candidate remembers it in its settings (`image`, `image_sha256`).

Left out on purpose: last images, and sending the copies to clips that live at a URL (they stay on
the machine that sampled).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from data import clips
from data.errors import UserError
from data.records import Candidate
from train.models.protocol import Album, FirstFrames, SampleSettings, VideoModel
from train.sampling.sizes import covered

PATH, DIGEST = "image", "image_sha256"
"""Names in `Candidate.settings`."""


def kept(db: str, image: str | Path) -> dict[str, str]:
    """What a candidate remembers of its image; a copy of the file lies beside the database.

    Raises:
        UserError: no such file, or it is no picture.
    """
    path = Path(image)
    pixels(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    copy = clips.clip_folder(db) / "images" / f"{sha256}{path.suffix.lower()}"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        partial = copy.with_name(f".{copy.name}.partial")
        shutil.copyfile(path, partial)
        partial.replace(copy)
    return {PATH: str(copy), DIGEST: sha256}


def memories(db: str, model: VideoModel, images: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What the clips of each prompt remember of their image; nothing for text-to-video.

    Args:
        db: The database whose clips they are.
        model: That they are sampled from.
        images: File by prompt; empty where none is named.

    Raises:
        UserError: An image-to-video model without images, or another one with them.
    """
    wants = demanded(model.name, images, wanted=model.image_conditioned)
    return copied(db, images) if wants else {}


def demanded(model: str, images: Mapping[str, str], *, wanted: bool) -> bool:
    """Whether a model wants images, once it has one for every prompt, or for none.

    Args:
        model: Its name.
        images: File by prompt; empty where none is named.
        wanted: Whether the model makes clips from a first image.

    Raises:
        UserError: It wants images and a prompt has none, or it takes none and there is one.
    """
    without = [text for text, image in images.items() if not image]
    if wanted and without:
        raise UserError(
            f"Model {model} makes clips from a first image, and {len(without)} prompts have "
            f"none (first: {without[0]!r}). Give --image FILE for all, or --prompts FILE.csv with "
            "the columns `prompt` and `image`."
        )
    if not wanted and len(without) < len(images):
        raise UserError(
            f"Model {model} takes no first image; leave out --image and the column `image`."
        )
    return wanted


def copied(db: str, images: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What clips of each prompt remember of its image, of which copies lie beside the database."""
    copies = {image: kept(db, image) for image in set(images.values())}
    return {text: copies[image] for text, image in images.items()}


def first_frames(made: Sequence[Mapping[str, Any]], settings: SampleSettings) -> FirstFrames:
    """The images of clips that are to be made, from what they will remember."""
    size = settings.height, settings.width
    read = [fitted(Path(memory[PATH]), *size) for memory in made]
    return FirstFrames(torch.stack(read), settings.frames)


def album(memories: Mapping[str, Mapping[str, Any]], settings: SampleSettings) -> Album:
    """Images of prompts from what clips of each are to remember."""
    return lambda texts: first_frames([memories[text] for text in texts], settings)


def pixels(path: Path) -> UInt8[Tensor, "3 h w"]:
    """A picture as RGB in [0, 255], turned as its camera says.

    Raises:
        UserError: no such file, or it is no picture.
    """
    try:
        with Image.open(path) as file:
            picture = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(
            f"image {path} cannot be read ({type(error).__name__}); give a PNG, JPEG or WebP file"
        ) from error
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)


def fitted(path: Path, height: int, width: int) -> Float[Tensor, "3 height width"]:
    """The picture in [0, 1] at a clip's size in pixels, cropped in the centre."""
    return covered(pixels(path)[None], height, width)[0] / 255


def content(image: Float[Tensor, "3 h w"]) -> str:
    """SHA-256 of an image's pixels and size: the same for the same picture from any file."""
    bytes_ = image.contiguous().cpu().numpy().tobytes()
    return hashlib.sha256(f"{tuple(image.shape)}".encode() + bytes_).hexdigest()


def remembered(clip: Candidate) -> str:
    """Hash of the image that a clip was sampled from; empty where it remembers none."""
    return str(clip.settings.get(DIGEST, ""))


def of_clip(clip: Candidate) -> Path:
    """The copy of the image that a clip remembers.

    Raises:
        UserError: it is gone or changed.
    """
    path = Path(str(clip.settings[PATH]))
    if not path.is_file():
        raise UserError(
            f"Clip {clip.path} begins with image {path}, which is gone. Put it back, or sample the "
            "clip anew with: python -m train.sample"
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != remembered(clip):
        raise UserError(f"Image {path} has changed since clip {clip.path} was sampled from it.")
    return path
