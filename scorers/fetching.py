"""Downloads of rows of `scorers/weights.py`, into the first place where weights are looked for.

A download goes on where it was broken off (the hub's client), and its checksum is compared with
the one that the hub publishes for the file, or that stands in its name (torchvision, pyiqa). What
was verified is noted in `SHA256SUMS` beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from data.console import say
from data.errors import UserError
from scorers.weights import HOME, TABLE, Weights, places

_SUMS = "SHA256SUMS"
_TEXTS = ("config.json", "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json",
          "preprocessor_config.json")  # fmt: skip


def fetch(names: Iterable[str], weights_dir: str | Path | None = None) -> list[Path]:
    """Download rows of `TABLE` into the first place; what is there already is left as it is.

    Raises:
        UserError: no network, or a file is not the one that was published.
    """
    found = []
    for name in names:
        row, folder = TABLE[name], places(weights_dir)[0] / name
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
