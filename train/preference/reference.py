"""The reference's errors, measured once and shared by every run on the same clips and draws.

An error of the reference depends on the clip, the prompt, the image of image-to-video, the noise
and the noise level, and the last two are functions of (seed, pair, draw). Arms of a comparison
differ in who is chosen and in nothing that the reference sees, so the second arm and every later
one need no pass of it: a third of their forward passes. With `--draws K` the same K draws come
again, and a run of many epochs needs K passes of the reference and no more.

On disk they are lines of a file in `prefs.cache/reference/`, one file per context (`context`):
model, adapter, precision, size, bank, reduction, and how many pairs go through the network
together on what device, since sums come out differently in their last digits. Each line carries a
checksum; what does not hold is dropped and measured again.

Left out on purpose: predictions, which an anchor needs: they are as large as the latents.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from data.console import say
from data.records import Preference, digest
from train.policy import Policy
from train.preference.batches import Material, PairBatch
from train.preference.cache import identity, peek
from train.preference.evaluate import PairErrors
from train.preference.objective import Objective

if TYPE_CHECKING:
    from train.models import SampleSettings, VideoModel

Key = tuple[str, str, int]
"""Pair; clip, with the content of the image that it is told to begin with; and draw."""
Error = float | list[float]
"""Of a clip, or of each of its segments."""


class ReferenceErrors:
    """By pair, clip and draw, for one model, one size of clips and one bank seed."""

    def __init__(self, path: Path | None = None, *, keep: bool = True) -> None:
        """Reads what is known.

        Args:
            path: Of a file that is read, and that what is measured is added to; None for none.
            keep: Not where a pass needs every process: one might know what another has to measure.
        """
        self._path, self._keep = path, keep
        self.damaged = 0
        """Lines that were not what was written."""
        self._known: dict[Key, Error] = self._read()
        self.passes = 0
        """Batches that were measured and not looked up."""

    def __call__(
        self,
        policy: Policy,
        objective: Objective,
        batch: PairBatch,
        labels: Sequence[Preference],
        draws: Sequence[int],
    ) -> PairErrors:
        """The reference's errors on `batch`, which was made of these labels and draws."""
        images = batch.images or [""] * len(labels)
        each = list(zip(labels, images, draws, strict=True))
        chosen = [(label.pair, _began(label.chosen, image), k) for label, image, k in each]
        rejected = [(label.pair, _began(label.rejected, image), k) for label, image, k in each]
        keeps = objective.comparable and self._keep
        if not keeps or not self._known.keys() >= {*chosen, *rejected}:
            with policy.reference():
                found = objective.errors(policy.model, batch)
            self.passes += 1
            if keeps and torch.isfinite(found.chosen + found.rejected).all():
                self._learn(dict(zip(chosen, found.chosen.tolist(), strict=True)))
                self._learn(dict(zip(rejected, found.rejected.tolist(), strict=True)))
            return found
        like = batch.weight
        return PairErrors(
            chosen=torch.tensor([self._known[key] for key in chosen]).to(like.device),
            rejected=torch.tensor([self._known[key] for key in rejected]).to(like.device),
        )

    def _learn(self, found: Mapping[Key, Error]) -> None:
        self._known |= found
        if self._path is None:
            return
        lines = [json.dumps([*key, error]) for key, error in found.items()]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:  # one write: other runs add to the file too
                file.write("".join(f"{zlib.crc32(line.encode()):08x} {line}\n" for line in lines))
        except OSError as error:
            say(f"{self._path} cannot be written ({error.strerror}): the run goes on without.")
            self._path = None

    def _read(self) -> dict[Key, Error]:
        known: dict[Key, Error] = {}
        if self._path is None or not self._path.is_file():
            return known
        for line in self._path.read_bytes().splitlines():
            seal, _, body = line.partition(b" ")
            if seal != b"%08x" % zlib.crc32(body):
                self.damaged += 1
                continue
            pair, clip, k, error = json.loads(body)
            known[pair, clip, k] = error
        return known


def _began(clip: str, image: str) -> str:
    return f"{clip}/{image}" if image else clip


def context(model: VideoModel, settings: SampleSettings, adapter: str | None) -> str:
    """Digest of model and size: what the reference is, and what it sees beside the draw.

    Args:
        model: Before its adapter is attached.
        settings: Size and number of frames.
        adapter: That the run goes on from, and that is its reference.
    """
    files: list[Path] = []
    if adapter:
        folder = Path(adapter)
        files = [folder] if folder.is_file() else sorted(folder.rglob("*.safetensors"))
    weights = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    size = (settings.frames, settings.height, settings.width)
    return digest(
        "reference", identity(model), peek(model.network), *weights, *size, model.dtype,
        model.device, torch.__version__,
    )  # fmt: skip


def in_parts(
    policy: Policy,
    objective: Objective,
    material: Material,
    reference: ReferenceErrors,
    labels: Sequence[Preference],
    draws: Sequence[int],
    *,
    size: int | None,
    bank_seed: int | str,
) -> Iterator[tuple[PairBatch, PairErrors]]:
    """The pairs of one step with the reference's errors, made when they are asked for.

    Args:
        policy: What is trained.
        objective: How its errors are measured.
        material: Latents and conditions.
        reference: Of the errors.
        labels: One per pair.
        draws: Counter of each pair's noise.
        size: Pairs that go through the network together; None for all.
        bank_seed: Of the bank of draws.
    """
    together = size or len(labels)
    for start in range(0, len(labels), together):
        some, k = labels[start : start + together], draws[start : start + together]
        batch = material.batch(
            some, k, bank_seed=bank_seed, device=policy.model.device, released=objective.released
        )
        yield batch, reference(policy, objective, batch, some, k)
