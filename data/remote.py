"""Files at any fsspec URL (`s3://`, `gs://`, `file://`, `memory://`), read through a local cache.

A file is fetched once: into a draft beside its place in the cache, checked, then renamed, so that
the cache never holds a torn or a wrong one, and it may be deleted at any time. A folder of frames
is its files. Keys and endpoints are fsspec's affair (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`,
`FSSPEC_S3_...`): nothing of them is read or kept here. Left out on purpose: limiting the cache.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import fsspec

from data.errors import UserError

CACHE = "SECOND_LOOK_CACHE"
"""Environment variable: the folder of the cache; `~/.cache/second-look` by default."""
_locks: weakref.WeakValueDictionary[str, threading.Lock] = weakref.WeakValueDictionary()


def alone(url: str) -> threading.Lock:
    """The lock under which one thread at a time of this process fetches that URL."""
    return _locks.setdefault(url, threading.Lock())


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a URL and not a place on this machine."""
    return "://" in os.fspath(path)


def cache() -> Path:
    """The folder that fetched files are kept in."""
    return Path(os.environ.get(CACHE) or "~/.cache/second-look").expanduser().absolute()


def opened(url: str) -> tuple[Any, str]:
    """The file system behind a URL, and the path in it.

    Raises:
        UserError: no such protocol, or its package is not installed.
    """
    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"{url} cannot be opened: {error}. Check the protocol before ://; s3:// needs "
            "`pip install s3fs`, gs:// needs `pip install gcsfs`"
        ) from error


def exists(url: str) -> bool:
    """Whether a file or folder is there now."""
    system, path = opened(url)
    system.invalidate_cache()
    return bool(system.exists(path))


def read_text(url: str) -> str | None:
    """A small file's text; None where there is none."""
    system, path = opened(url)
    try:
        return system.cat_file(path).decode()
    except FileNotFoundError:
        return None


def write_text(url: str, text: str) -> None:
    """Write a small file whole."""
    system, path = opened(url)
    system.makedirs(system._parent(path), exist_ok=True)
    system.pipe_file(path, text.encode())


def fetch(url: str, place: Callable[[Path], Path], *, folder: Path) -> Path:
    """Download a file or a folder of files.

    Args:
        url: What to fetch.
        place: Looks at the draft, and says where in `folder` it belongs; raises to refuse it.
        folder: The folder of drafts and of what they become; made if absent.

    Raises:
        FileNotFoundError: nothing there.
    """
    system, path = opened(url)
    folder.mkdir(parents=True, exist_ok=True)
    drafts = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder))
    draft = drafts / path.rstrip("/").rsplit("/", 1)[-1]
    try:
        if system.isdir(path):
            draft.mkdir()
            for name in system.ls(path, detail=False):
                system.get_file(name, str(draft / name.rstrip("/").rsplit("/", 1)[-1]))
        else:
            system.get_file(path, str(draft))
        final = place(draft)
        if draft.is_dir() and final.exists():
            return final  # somebody else was quicker
        draft.replace(final)
        return final
    finally:
        shutil.rmtree(drafts, ignore_errors=True)


def send(files: Iterable[tuple[Path, str]]) -> None:
    """Upload files: (here, URL there)."""
    for here, url in files:
        system, path = opened(url)
        system.makedirs(system._parent(path), exist_ok=True)
        system.put_file(str(here), path)
