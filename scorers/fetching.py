"""Downloads of rows of `scorers/weights.py`, into the first place where weights are looked for.

A download goes on where it was broken off (the hub's client; `scorers/download.py` for plain URLs),
and its checksum is compared with the one that the hub publishes for the file, or that stands in its
name (torchvision, pyiqa). What arrived is noted in `SHA256SUMS` beside it, so that where nobody
publishes a checksum, what changes after the first download is noticed all the same: what is there
already is compared with the notes, and fetched again where it changed.
"""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data.console import say
from data.errors import UserError
from data.provenance import sha256
from scorers import checksums
from scorers.weights import HOME, TABLE, Weights, places

_TEXTS = ("config.json", "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json",
          "preprocessor_config.json")  # fmt: skip
_OURS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your share of the disk is used up",
    errno.EACCES: "you may not",
    errno.EPERM: "you may not",
    errno.EROFS: "it can only be read",
    errno.ENOTDIR: "what it should be in is a file",
    errno.EEXIST: "it is a file",
}
"""What this machine refuses, rather than the network."""


def fetch(names: Iterable[str], weights_dir: str | Path | None = None) -> list[Path]:
    """Download rows of `TABLE` into the first place; what is there already is compared and left.

    Raises:
        UserError: no network, no room, a file is not the one that was published, another process
            downloads it, or (said last) nobody may pass it on.
    """
    found, private = [], []
    for name in names:
        row, folder = TABLE[name], places(weights_dir)[0] / name
        found.append(folder)
        if row.there(folder) and not checksums.changed(folder):
            say(f"{name}: there already ({folder})")
            continue
        if not row.address:
            private.append(name)
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                _fetch(name, row, folder)
        except OSError as error:
            raise UserError(_refused(row, folder, error)) from error
    for name in private:
        raise UserError(
            f"{name} ({TABLE[name].licence}) cannot be downloaded: nobody may pass it on. See "
            "scorers/amt.py for how to make it"
        )
    return found


def _fetch(name: str, row: Weights, folder: Path) -> None:
    for path in checksums.changed(folder):
        say(f"{path} is not what was downloaded (SHA-256); it is fetched again")
        path.unlink()
    if row.there(folder):
        return  # another process brought it meanwhile
    say(f"{name}: {row.megabytes:g} MB from {row.address} to {folder}")
    checksums.note(folder, _from_hub(row, folder) if row.repo else _from_url(row, folder))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which goes when the process ends, however it ends.

    Raises:
        UserError: another process holds it.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder} is being downloaded by another process. Wait until it has ended, then "
                "run the command again"
            ) from None
        yield


def _from_hub(row: Weights, folder: Path) -> dict[str, str]:
    """Download from the hub and compare with the checksums that it publishes."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    try:
        listed = HfApi().model_info(row.repo, files_metadata=True).siblings or []
        published = {one.rfilename: one.lfs.sha256 if one.lfs else "" for one in listed}
        wanted = _wanted(row, published.keys())
        for name in wanted:
            hf_hub_download(row.repo, name, local_dir=folder)
    except (HTTPError, OfflineModeIsEnabled) as error:
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
    import httpx

    from scorers.download import download

    (name,) = row.files
    try:
        download(row.url, folder / name, megabytes=row.megabytes)
    except httpx.HTTPError as error:
        raise UserError(_unreachable(row.url, error)) from error
    digest = sha256(folder / name)
    _same(folder / name, digest, row.digest)
    return {name: digest}


def _same(path: Path, digest: str, published: str) -> None:
    if not digest.startswith(published):
        path.unlink()
        raise UserError(
            f"{path.name} arrived damaged (SHA-256 {digest[:12]}, published {published[:12]}) and "
            "was deleted. Run the command again"
        )


def _unreachable(address: str, error: Exception) -> str:
    reason = str(error).partition("\n")[0] or type(error).__name__
    return (
        f"cannot download from {address}: {reason}. What arrived is kept: run the command again to "
        "go on. Behind a firewall, download it elsewhere and give the folder with --weights DIR or "
        f"{HOME}"
    )


def _refused(row: Weights, folder: Path, error: OSError) -> str:
    """What to say of an error of the system: this machine's, or else the network's."""
    if error.errno not in _OURS:
        return _unreachable(row.address, error)
    return (
        f"cannot write to {folder}: {_OURS[error.errno]}. Mend that, or give another folder for "
        f"{row.megabytes:g} MB with --weights DIR or {HOME}; then run the command again"
    )
