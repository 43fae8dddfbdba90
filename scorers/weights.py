"""Weights that scorers need: what, how large, under which licence, and where they are looked for.

`python -m scorers --fetch vbench` downloads what a profile (or one scorer) needs; `--weights DIR`
names a folder that has it already, for machines without a network: one folder per row of `TABLE`,
called as the row is. Without it the environment variable `SECOND_LOOK_WEIGHTS` counts, and then
`~/.cache/second-look/weights`. Nothing is downloaded at import, in tests, or by scoring.

A download goes on where it was broken off (the hub's client), and its checksum is compared with
the one that the hub publishes for the file, or that stands in its name (torchvision, pyiqa). What
was verified is noted in `SHA256SUMS` beside it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data.console import say
from data.errors import UserError

HOME = "SECOND_LOOK_WEIGHTS"
_SUMS = "SHA256SUMS"
_TEXTS = ("config.json", "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json",
          "preprocessor_config.json")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One download."""

    files: tuple[str, ...]
    """Names without which it is not there. A hub's model in either format: see `there`."""
    megabytes: float
    licence: str
    repo: str = ""
    """On the Hugging Face hub."""
    url: str = ""
    """Of its one file, where it is not on the hub; a part of its SHA-256 may stand in its name."""

    @property
    def address(self) -> str:
        """For people."""
        return f"hub {self.repo}" if self.repo else self.url

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
        repo="xswu/HPSv2", files=("HPS_v2_compressed.pt",), megabytes=1970, licence="Apache-2.0"
    ),
    "hpsv2.1": Weights(
        repo="xswu/HPSv2", files=("HPS_v2.1_compressed.pt",), megabytes=1970, licence="Apache-2.0"
    ),
    "pickscore": Weights(
        repo="yuvalkirstain/PickScore_v1", files=_MODEL, megabytes=3940, licence="MIT"
    ),
    "yolos": Weights(repo="hustvl/yolos-base", files=_MODEL, megabytes=511, licence="Apache-2.0"),
    "videomae": Weights(
        repo="MCG-NJU/videomae-base-finetuned-kinetics",
        files=_MODEL,
        megabytes=346,
        licence="CC-BY-NC-4.0 (non-commercial)",
    ),
    "vjepa2": Weights(
        repo="facebook/vjepa2-vitl-fpc64-256", files=_MODEL, megabytes=1300, licence="MIT"
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
        MissingWeightsError: it is in none of the places; names them, and the command.
    """
    row, looked = TABLE[name], places(weights)
    for place in looked:
        if row.there(place / name):
            return place / name
    how = (
        f"Get it with: python -m scorers --fetch {name}"
        if row.address
        else "Nobody may pass it on: see scorers/amt.py for how to make it"
    )
    raise MissingWeightsError(
        f"no weights {name} ({row.megabytes:g} MB, {row.licence}) in "
        f"{', '.join(str(place / name) for place in looked)}. {how}, or name a folder that holds "
        f"{name}/{row.files[-1]} with --weights DIR"
    )


def damaged(path: Path, problem: Exception) -> MissingWeightsError:
    """What to raise where a file is there and cannot be read."""
    row = path.parent.name if path.is_file() else path.name
    reason = str(problem).partition("\n")[0][:120]
    return MissingWeightsError(
        f"{path} is damaged or belongs to another model ({type(problem).__name__}: {reason}). "
        f"Delete it and get it again with: python -m scorers --fetch {row}"
    )


def fetch(names: Iterable[str], weights: str | Path | None = None) -> list[Path]:
    """Download rows of `TABLE` into the first place; what is there already is left as it is.

    Raises:
        UserError: no network, or a file is not the one that was published.
    """
    found = []
    for name in names:
        row, folder = TABLE[name], places(weights)[0] / name
        if row.there(folder):
            say(f"{name}: there already ({folder})")
        elif not row.address:
            say(f"{name}: {row.licence}; see scorers/amt.py")
            continue
        else:
            say(f"{name}: {row.megabytes:g} MB from {row.address} to {folder}")
            folder.mkdir(parents=True, exist_ok=True)
            sums = _from_hub(row, folder) if row.repo else _from_url(row, folder)
            lines = (f"{digest}  {file}\n" for file, digest in sorted(sums.items()))
            (folder / _SUMS).write_text("".join(lines))
        found.append(folder)
    return found


def _from_hub(row: Weights, folder: Path) -> dict[str, str]:
    """Download from the hub and compare with the checksums that it publishes."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        listed = HfApi().model_info(row.repo, files_metadata=True).siblings or []
        published = {one.rfilename: one.lfs.sha256 if one.lfs else "" for one in listed}
        wanted = _wanted(row, published.keys())
        for name in wanted:
            hf_hub_download(row.repo, name, local_dir=folder)
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        raise UserError(_unreachable(row.address, error)) from error
    sums = {name: sha256(folder / name) for name in wanted}
    for name, digest in sums.items():
        _same(folder / name, digest, published[name])
    return sums


def _wanted(row: Weights, there: Iterable[str]) -> list[str]:
    """Files of the hub's repository to take: safetensors where it has them, else PyTorch's."""
    names = set(there)
    wanted = {name for name in row.files if name in names}
    if "model.safetensors" in row.files:
        wanted |= names & set(_TEXTS)
        shards = {name for name in names if name.startswith("model") and "safetensors" in name}
        wanted |= shards or (names & {"pytorch_model.bin"})
    return sorted(wanted)


def _from_url(row: Weights, folder: Path) -> dict[str, str]:
    """Download one file; part of its checksum may stand in its name."""
    import torch

    (name,) = row.files
    try:
        torch.hub.download_url_to_file(row.url, str(folder / name))
    except OSError as error:
        raise UserError(_unreachable(row.url, error)) from error
    digest = sha256(folder / name)
    _, dash, part = Path(name).stem.rpartition("-")
    known = dash and len(part) == 8 and all(letter in "0123456789abcdef" for letter in part)
    _same(folder / name, digest, part if known else "")
    return {name: digest}


def _same(path: Path, digest: str, published: str) -> None:
    if not digest.startswith(published):
        path.unlink()
        raise UserError(
            f"{path.name} arrived damaged (SHA-256 {digest[:12]}, published {published[:12]}) and "
            "was deleted. Run the command again"
        )


def _unreachable(address: str, error: Exception) -> str:
    return (
        f"cannot download from {address}: {error}. Behind a firewall, download it elsewhere and "
        f"give the folder with --weights DIR or {HOME}"
    )


def sha256(path: Path) -> str:
    """Of the file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
