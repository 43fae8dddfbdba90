"""What need not be computed twice, on disk beside the database: latents, text, reference errors.

`prefs.cache/` holds one file per clip's latents and per prompt's conditions, under a digest of
what they were made of: the clip's content hash or the prompt's text (for image-to-video, with the
first image's pixels and the clip's frames), the size, the precision, and the model's autoencoder
and text encoders (name, revision, configuration, some of every weight). A changed model, size,
image or clip therefore never meets an old entry. Conditions are kept without the zeros that pad
them. A file begins with the SHA-256 of the rest: a damaged one is dropped and made again. Beyond
its limit the cache loses what was used longest ago, never what this run uses. Where it cannot be
written, the run goes on without.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from data.console import say
from data.records import digest
from train.sampling.first_image import content
from train.sampling.origin import revision

if TYPE_CHECKING:
    from train.models import Conditions, SampleSettings, VideoModel
    from train.models.protocol import FirstFrames

_VERSION = 1
"""Of what entries mean: raise it when `encode`, `embed` or `batches.fitted` give other results."""
_SUFFIX, _SEAL = ".tensors", 32
_DEAD = 86_400  # seconds after which a file that nobody finished is dropped
_PEEK = 16  # values of each weight that a model's identity reads


def folder_of(db: str | Path) -> Path:
    """`prefs.duckdb` -> `prefs.cache`; it need not exist yet."""
    return Path(db).with_suffix(".cache")


Entry = Mapping[str, Tensor]
"""Named tensors."""


class Shelf:
    """Named tensors in files, each sealed by its digest."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Opens it.

        Args:
            folder: May be missing.
            limit: Bytes, above 0.
        """
        self.folder, self._limit = folder, limit
        self._used: set[Path] = set()
        self.damaged = 0
        """Entries that were not what was written, and were dropped."""
        self._writable = True

    def get(self, key: str) -> dict[str, Tensor] | None:
        """The entry; None where there is none, or a damaged one."""
        path = self._path(key)
        if not path.is_file():
            return None
        raw = path.read_bytes()
        if hashlib.sha256(raw[_SEAL:]).digest() != raw[:_SEAL]:
            self.damaged += 1
            path.unlink()
            return None
        self._used.add(path)
        path.touch()  # its age is the time since it was used
        return load(raw[_SEAL:])

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keeps an entry, whole or not at all; says so, once, where nothing can be written."""
        if not self._writable:
            return
        path = self._path(key)
        partial = path.with_suffix(f".{os.getpid()}.part")  # others may write the same entry
        payload = save({name: value.contiguous() for name, value in tensors.items()})
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(hashlib.sha256(payload).digest() + payload)
            partial.replace(path)
        except OSError as error:
            self._writable = False
            if partial.exists():
                partial.unlink()
            say(f"{self.folder} cannot be written ({error.strerror}): the run goes on without.")
        self._used.add(path)

    def trim(self) -> int:
        """Drops what was used longest ago until the limit holds; returns how many entries.

        The errors of references are not counted: a hundred bytes each.
        """
        for left in self.folder.glob("*/*/*.part"):
            if time.time() - left.stat().st_mtime > _DEAD:
                left.unlink(missing_ok=True)
        found = [(path, path.stat()) for path in self.folder.glob(f"*/*/*{_SUFFIX}")]
        over = sum(status.st_size for _, status in found) - self._limit
        gone = 0
        for path, status in sorted(found, key=lambda one: one[1].st_mtime_ns):
            if over <= 0:
                break
            if path not in self._used:
                path.unlink(missing_ok=True)
                over, gone = over - status.st_size, gone + 1
        if gone or over > 0:
            size = self._limit / 2**30
            more = ", and needs more for this run alone" if over > 0 else ""
            say(f"{self.folder} is limited to {size:g} GiB: {gone} old entries dropped{more}.")
        return gone

    def _path(self, key: str) -> Path:
        kind, name = key.split("/")
        return self.folder / kind / name[:2] / f"{name}{_SUFFIX}"


class Kept:
    """Latents and conditions of one model at one size, on a shelf."""

    def __init__(self, shelf: Shelf, model: VideoModel, settings: SampleSettings) -> None:
        self.shelf = shelf
        self._identity = identity(model)
        self._size = (settings.frames, settings.height, settings.width)

    def clips(self, clips: Sequence[str]) -> Mapping[str, Entry] | None:
        """By clip hash; None where one is missing: clips are encoded in the same company always."""
        found = {sha: self.shelf.get(self._clip(sha)) for sha in clips}
        held = {sha: entry for sha, entry in found.items() if entry}
        return held if len(held) == len(found) else None

    def keep_clips(self, entries: Mapping[str, Entry]) -> None:
        """Keeps what `clips` is to find: `latents`, and `thumbnail` for image-to-video."""
        for sha, entry in entries.items():
            self.shelf.put(self._clip(sha), entry)

    def conditions(self, text: str, image: str = "") -> Conditions | None:
        """Of a prompt, as they were; and of an image, by `first_image.content`."""
        entry = self.shelf.get(self._told(text, image))
        return None if entry is None else padded(entry)

    def keep_conditions(self, text: str, conditions: Conditions, image: str = "") -> None:
        """Keeps what `conditions` is to find."""
        self.shelf.put(self._told(text, image), trimmed(conditions))

    def _clip(self, sha: str) -> str:
        return f"latents/{digest('latents', self._identity, *self._size, sha)}"

    def _told(self, text: str, image: str) -> str:
        if image:
            return f"image/{digest('image', self._identity, *self._size, text, image)}"
        return f"text/{digest('text', self._identity, text)}"


def told(
    model: VideoModel, text: str, kept: Kept | None, first: FirstFrames | None = None
) -> Conditions:
    """Conditions of a prompt, and of its image, on the CPU; from the cache where they are in it."""
    image = "" if first is None else content(first.pixels[0])
    held = kept.conditions(text, image) if kept else None
    if held is None:
        held = model.embed([text], first).to("cpu")
        if kept:
            kept.keep_conditions(text, held, image)
    return held


def trimmed(conditions: Conditions) -> dict[str, Tensor]:
    """Tensors without the zeros at the end of their second axis, and how long they were."""
    kept: dict[str, Tensor] = {}
    for name, value in conditions.tensors.items():
        length = value.shape[1] if value.ndim > 1 else 0
        filled = value.flatten(2).any(2).any(0).nonzero() if value.ndim > 2 else None
        upto = length if filled is None else int(filled.max()) + 1 if len(filled) else 0
        kept[name] = (value[:, :upto] if value.ndim > 2 else value).clone()
        kept[f"{name}/length"] = torch.tensor(length)
    return kept


def padded(kept: Mapping[str, Tensor]) -> Conditions:
    """What `trimmed` was given."""
    from train.models import Conditions

    whole: dict[str, Tensor] = {}
    for name, value in kept.items():
        if name.endswith("/length"):
            continue
        missing = int(kept[f"{name}/length"]) - value.shape[1] if value.ndim > 2 else 0
        zeros = value.new_zeros(value.shape[0], missing, *value.shape[2:]) if missing else None
        whole[name] = value if zeros is None else torch.cat([value, zeros], dim=1)
    return Conditions(whole)


def identity(model: VideoModel) -> str:
    """Digest of what makes latents and conditions: everything of the pipeline but the denoiser."""
    ours = {id(module) for module in model.components.values()}
    parts = {
        name: module
        for name, module in sorted(model.pipeline.components.items())
        if isinstance(module, nn.Module) and id(module) not in ours
    }
    weights = [f"{name}:{peek(module)}" for name, module in parts.items()]
    told = [str(path.read_text()) for path in sorted(Path(model.source).glob("**/*.json"))]
    return digest(
        "identity", _VERSION, model.name, revision(model.source), model.dtype, *told, *weights
    )


def peek(module: nn.Module) -> str:
    """16 hex digits over the first values of every weight: tells two versions of it apart."""
    total = hashlib.sha256()
    for name, weight in module.state_dict().items():
        values = weight.detach().flatten()[:_PEEK].to("cpu", torch.float64)
        total.update(f"{name}{tuple(weight.shape)}".encode() + values.numpy().tobytes())
    return total.hexdigest()[:16]
