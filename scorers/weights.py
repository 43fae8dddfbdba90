"""Weights that scorers need: what, how large, under which licence, and where they are looked for.

`python -m scorers --fetch vbench` downloads what a profile (or one scorer) needs
(`scorers/fetching.py`); `--weights DIR` names a folder that has it already, for machines without a
network: one folder per row of `TABLE`, called as the row is. Without it the environment variable
`SECOND_LOOK_WEIGHTS` counts, and then `~/.cache/second-look/weights`. Nothing is downloaded at
import, in tests, or by scoring.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from data.errors import UserError
from scorers import checksums

HOME = "SECOND_LOOK_WEIGHTS"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One download."""

    files: tuple[str, ...]
    """Names without which it is not there. A hub's model in either format: see `there`."""
    megabytes: float
    licence: str
    half: bool = False
    """Whether the file has two bytes per number: in float32 it takes twice its size."""
    repo: str = ""
    """On the Hugging Face hub."""
    url: str = ""
    """Of its one file, where it is not on the hub; a part of its SHA-256 may stand in its name."""

    @property
    def address(self) -> str:
        """For people."""
        return f"hub {self.repo}" if self.repo else self.url

    @property
    def digest(self) -> str:
        """First 8 hex digits of its SHA-256, where they stand in the name of the one file."""
        part = re.fullmatch(r".*-([0-9a-f]{8})", Path(self.files[0]).stem) if self.url else None
        return part[1] if part else ""

    @property
    def checksum(self) -> str:
        """For people: what a download is compared with."""
        if self.repo or self.digest:
            return "published"
        return "of first fetch" if self.url else "none"

    @property
    def in_memory(self) -> float:
        """MB in float32."""
        return self.megabytes * (2 if self.half else 1)

    def there(self, folder: Path) -> bool:
        """Whether the folder holds it, by names."""
        return all(self._file(folder, name) is not None for name in self.files)

    def _file(self, folder: Path, name: str) -> Path | None:
        named = [folder / name]
        if name == "model.safetensors":
            named += [folder / "model.safetensors.index.json", folder / "pytorch_model.bin"]
        return next((path for path in named if path.is_file()), None)


_MODEL = ("config.json", "model.safetensors")
_RELEASES = "https://github.com/chaofengc/IQA-PyTorch/releases/download/v0.1-weights"
TABLE: dict[str, Weights] = {
    "dino-vitb16": Weights(
        repo="facebook/dino-vitb16", files=_MODEL, megabytes=343, licence="Apache-2.0"
    ),
    "clip-vit-b-32": Weights(
        repo="openai/clip-vit-base-patch32", files=_MODEL, megabytes=605, licence="MIT"
    ),
    "clip-vit-l-14": Weights(
        repo="openai/clip-vit-large-patch14", files=_MODEL, megabytes=1710, licence="MIT"
    ),
    "laion-v1": Weights(
        url="https://github.com/LAION-AI/aesthetic-predictor/raw/main/sa_0_4_vit_l_14_linear.pth",
        files=("sa_0_4_vit_l_14_linear.pth",),
        megabytes=0.004,
        licence="MIT",
    ),
    "laion-v2": Weights(
        url="https://github.com/christophschuhmann/improved-aesthetic-predictor/raw/main/"
        "sac+logos+ava1-l14-linearMSE.pth",
        files=("sac+logos+ava1-l14-linearMSE.pth",),
        megabytes=3.7,
        licence="Apache-2.0",
    ),
    "raft-large": Weights(
        url="https://download.pytorch.org/models/raft_large_C_T_V1-22a6c225.pth",
        files=("raft_large_C_T_V1-22a6c225.pth",),
        megabytes=20.1,
        licence="BSD-3-Clause",
    ),
    "musiq-spaq": Weights(
        url=f"{_RELEASES}/musiq_spaq_ckpt-358bb6af.pth",
        files=("musiq_spaq_ckpt-358bb6af.pth",),
        megabytes=109,
        licence="CC-BY-NC-SA-4.0 (non-commercial)",
    ),
    "musiq-spaq-google": Weights(
        url="https://storage.googleapis.com/gresearch/musiq/spaq_ckpt.npz",
        files=("spaq_ckpt.npz",),
        megabytes=109,
        licence="Apache-2.0",
    ),
    "viclip": Weights(
        repo="OpenGVLab/VBench_Used_Models",
        files=("ViClip-InternVid-10M-FLT.pth",),
        megabytes=1710,
        licence="MIT",
    ),
    "amt-s": Weights(
        files=("amt-s.torchscript.pt",),
        megabytes=12,
        licence="CC-BY-NC-4.0 (non-commercial); bring your own",
    ),
    "hpsv2": Weights(
        repo="xswu/HPSv2",
        files=("HPS_v2_compressed.pt",),
        megabytes=1970,
        half=True,
        licence="Apache-2.0",
    ),
    "hpsv2.1": Weights(
        repo="xswu/HPSv2",
        files=("HPS_v2.1_compressed.pt",),
        megabytes=1970,
        half=True,
        licence="Apache-2.0",
    ),
    "pickscore": Weights(
        repo="yuvalkirstain/PickScore_v1", files=_MODEL, megabytes=3940, licence="MIT"
    ),
    "yolos": Weights(repo="hustvl/yolos-base", files=_MODEL, megabytes=511, licence="Apache-2.0"),
    "videomae": Weights(
        repo="MCG-NJU/videomae-base-finetuned-kinetics",
        files=_MODEL,
        megabytes=346,
        licence="CC-BY-NC-4.0 (non-commercial): see its card",
    ),
    "videoreward": Weights(
        repo="KlingTeam/VideoReward",
        files=(
            "model_config.json",
            "checkpoint-11352/model.pth",
            "checkpoint-11352/tokenizer/tokenizer.json",
        ),
        megabytes=5040,
        half=True,
        licence="Apache-2.0",  # its card's; the MIT that is said of VideoAlign is its code's
    ),
    "videoreward-words": Weights(
        url="https://raw.githubusercontent.com/KlingAIResearch/VideoAlign/"
        "3e5ebc600aebc4d28300e9132b0a23ee8e1bc47c/prompt_template.py",
        files=("prompt_template.py",),
        megabytes=0.011,
        licence="MIT",
    ),
    "qwen2-vl-2b": Weights(
        repo="Qwen/Qwen2-VL-2B-Instruct",
        files=(*_MODEL, "tokenizer.json"),
        megabytes=4430,
        half=True,
        licence="Apache-2.0",
    ),
    "vjepa2": Weights(
        repo="facebook/vjepa2-vitl-fpc64-256",
        files=_MODEL,
        megabytes=1300,
        licence="MIT or Apache-2.0: see its card",
    ),
}
"""Every download by the name of its folder."""


class MissingWeightsError(UserError):
    """Weights are not on this machine, or are damaged; says how to get them."""


def places(weights: str | Path | None = None) -> list[Path]:
    """Folders that weights are looked for in, the first one first."""
    named = [weights, os.environ.get(HOME)]
    default = Path("~/.cache/second-look/weights").expanduser()
    return [*(Path(place).expanduser() for place in named if place), default]


def find(name: str, weights: str | Path | None = None) -> Path:
    """The folder of a row of `TABLE`.

    Args:
        name: Of the row.
        weights: A folder to look in before the others.

    Raises:
        MissingWeightsError: it is in none of the places, or a small file of it is not what was
            downloaded; names them, and the command.
    """
    row, looked = TABLE[name], places(weights)
    for place in looked:
        if row.there(place / name):
            return _unchanged(name, place / name)
    how = (
        f"Get it with: python -m scorers --fetch {name}"
        if row.address
        else "Nobody may pass it on: see scorers/amt.py for how to make it"
    )
    raise MissingWeightsError(
        f"no weights {name} ({row.megabytes:g} MB, {row.licence}) in "
        f"{', '.join(str(place / name) for place in looked)}. {how}, or name a folder that holds "
        f"{name}/{row.files[-1]} with --weights DIR or {HOME}"
    )


def _unchanged(name: str, folder: Path) -> Path:
    """The folder; what is not from the hub is small (0.1 s), and hashed each time it is loaded."""
    if TABLE[name].url and (changed := checksums.changed(folder)):
        raise MissingWeightsError(
            f"{changed[0]} is not what was downloaded (its SHA-256 is not the one in "
            f"{checksums.NOTES} beside it). Get it again with: python -m scorers --fetch {name}"
        )
    return folder


def damaged(path: Path, problem: Exception) -> MissingWeightsError:
    """What to raise where a file is there and cannot be read."""
    folder = path.parent.name if path.is_file() else path.name
    row = next((part for part in reversed(path.parts) if part in TABLE), folder)
    reason = str(problem).partition("\n")[0][:120]
    return MissingWeightsError(
        f"{path} is damaged or belongs to another model ({type(problem).__name__}: {reason}). "
        f"Delete it and get it again with: python -m scorers --fetch {row}"
    )
