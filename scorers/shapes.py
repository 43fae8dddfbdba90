"""Alignment on `shapes`: a small text-video encoder trained on the world of the built-in model.

The raw value is the cosine between a clip's embedding and its caption's, CLIP style (Radford et al.
2021). A frame tower of convolutions keeps a coarse grid; convolutions over time then compare the
grid between frames, so that direction and speed are visible, which a mean over frames cannot show.
It was trained against captions that differ in one attribute, on drawn clips that were blurred, made
noisy, or passed through the model's autoencoder.

Left out on purpose: any other world. Captions of other things get a value, but it means nothing.
Trained by `python -m train.shapes --stage encoder`; `python -m train.shapes.encoder` prints its
accuracies.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from scorers.protocol import Card, check
from scorers.resize import resampled

CARD = Card(
    summary="text-video cosine of the small encoder of the `shapes` world; means nothing elsewhere",
    ranges={"alignment": (-1.0, 1.0)},
    differentiable=True,
    weights="in the repository",
)
FOLDER = Path(__file__).parent / "builtin"
NAME = "shapes_encoder"


@dataclass(frozen=True)
class Shape:
    """Sizes of the encoder; `words` is its vocabulary, beginning with <pad> and <unk>."""

    words: tuple[str, ...]
    frames: int = 9
    size: int = 48
    width: int = 28
    text_width: int = 64
    embed: int = 64
    tokens: int = 16


class TextVideoEncoder(nn.Module):
    """Clips and captions into one space of `shape.embed` dimensions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.index = {word: i for i, word in enumerate(shape.words)}
        w = shape.width
        self.frame = nn.Sequential(
            nn.Conv2d(3, w, 6, 4, 1), nn.GELU(),
            nn.Conv2d(w, 2 * w, 3, 2, 1), nn.GroupNorm(4, 2 * w), nn.GELU(),
            nn.Conv2d(2 * w, 2 * w, 3, 1, 1), nn.GroupNorm(4, 2 * w), nn.GELU(),
        )  # fmt: skip
        self.time = nn.Sequential(
            nn.Conv3d(2 * w, 2 * w, 3, 2, 1), nn.GroupNorm(4, 2 * w), nn.GELU(),
            nn.Conv3d(2 * w, 2 * w, 3, (2, 1, 1), 1), nn.GroupNorm(4, 2 * w), nn.GELU(),
        )  # fmt: skip
        grid = ((shape.frames + 3) // 4) * ((shape.size // 8 + 1) // 2) ** 2
        self.look = nn.Linear(2 * w * grid + 4 * w, 2 * shape.embed)
        self.see = nn.Linear(2 * shape.embed, shape.embed)
        self.word = nn.Embedding(len(shape.words), shape.text_width, padding_idx=0)
        self.place = nn.Parameter(torch.zeros(shape.tokens, shape.text_width))
        layer = nn.TransformerEncoderLayer(
            shape.text_width,
            4,
            2 * shape.text_width,
            dropout=0.0,
            batch_first=True,
            norm_first=True,
        )
        self.read = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.say = nn.Linear(shape.text_width, shape.embed)
        self.scale = nn.Parameter(torch.tensor(2.3))

    def clips(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b e"]:
        """Unit embeddings of clips with values in [0, 1], of any length and size."""
        b, side = frames.shape[0], self.shape.size
        x = self._resample(frames)
        x = self.frame(x.flatten(0, 1) * 2 - 1).view(b, self.shape.frames, -1, side // 8, side // 8)
        look = torch.cat([x.mean((1, 3, 4)), x.amax((1, 3, 4))], 1)
        motion = self.time(x.transpose(1, 2)).flatten(1)
        return F.normalize(self.see(F.gelu(self.look(torch.cat([motion, look], 1)))), dim=1)

    def _resample(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b T c s s"]:
        """Linear in time and area-true in space, to the sizes of training; differentiable."""
        b, t = frames.shape[:2]
        if frames.shape[3:] != (self.shape.size, self.shape.size):
            flat = frames.flatten(0, 1)
            size = (self.shape.size, self.shape.size)
            flat = F.interpolate(flat, size, mode="bilinear", antialias=True, align_corners=False)
            frames = flat.view(b, t, *flat.shape[1:])
        return resampled(frames, self.shape.frames)

    def texts(self, captions: Sequence[str]) -> Float[Tensor, "b e"]:
        """Unit embeddings of captions."""
        ids = self.ids(captions).to(self.place.device)
        seen = ids != 0
        x = self.read(self.word(ids) + self.place, src_key_padding_mask=~seen)
        pooled = (x * seen[..., None]).sum(1) / seen.sum(1, keepdim=True)
        return F.normalize(self.say(pooled), dim=1)

    def ids(self, captions: Sequence[str]) -> Int[Tensor, "b s"]:
        """Word numbers, <unk> for words outside the vocabulary, cut or padded to `shape.tokens`."""
        rows = torch.zeros(len(captions), self.shape.tokens, dtype=torch.long)
        for row, caption in zip(rows, captions, strict=True):
            words = re.findall(r"[a-z]+", caption.lower())[: self.shape.tokens] or ["<unk>"]
            row[: len(words)] = torch.tensor([self.index.get(word, 1) for word in words])
        return rows


class ShapesScorer:
    """Cosine between clip and caption, in [-1, 1]; a Scorer (see `scorers/protocol.py`)."""

    name = "shapes"
    dimensions = tuple(CARD.ranges)
    differentiable = CARD.differentiable

    def __init__(self, encoder: TextVideoEncoder, version: str) -> None:
        self.encoder, self.version = encoder, version

    def __call__(
        self,
        frames: Float[Tensor, "b t c h w"],
        prompts: Sequence[str],
        fps: Sequence[float] | float,
    ) -> Float[Tensor, "b d"]:
        """Raw values `b 1`; `fps` is not used: a clip is taken from its first frame to its last."""
        del fps
        check(frames)
        if len(prompts) != len(frames):
            raise ValueError(
                f"{len(frames)} clips but {len(prompts)} prompts: give one prompt per clip"
            )
        weight = self.encoder.place
        seen = self.encoder.clips(frames.to(weight.device, weight.dtype))
        return (seen * self.encoder.texts(prompts)).sum(1, keepdim=True)


def save(encoder: TextVideoEncoder, folder: Path = FOLDER) -> None:
    """Writes weights (float16) and sizes for `load`; the version is the hash of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().cpu().half().contiguous() for k, v in encoder.state_dict().items()}
    path = folder / f"{NAME}.safetensors"
    save_file(weights, path)
    about = {"version": _version(path), "shape": asdict(encoder.shape)}
    (folder / f"{NAME}.json").write_text(json.dumps(about, indent=1) + "\n")


def _version(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, folder: Path = FOLDER
) -> ShapesScorer:
    """The trained encoder as a scorer; its weights are frozen, gradients reach the frames."""
    about = json.loads((folder / f"{NAME}.json").read_text())
    shape = Shape(**{**about["shape"], "words": tuple(about["shape"]["words"])})
    encoder = TextVideoEncoder(shape)
    encoder.load_state_dict(load_file(folder / f"{NAME}.safetensors"))
    encoder = encoder.to(device, dtype).eval().requires_grad_(requires_grad=False)
    return ShapesScorer(encoder, about["version"])
