"""Clips at a URL: sent once, fetched once, checked, and never half there. `memory://` and `file://`."""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import fsspec
import numpy as np
import pytest
from PIL import Image

from data import clips, remote, video
from data.errors import UserError
from data.records import Prompt

PROMPT = Prompt(text="a cat")
DB = "postgresql://host/prefs"


@pytest.fixture(params=["memory", "file"])
def home(request, tmp_path, monkeypatch):
    """The URL where clips live, and a cache of this machine's own."""
    url = f"memory://{tmp_path.name}/clips" if request.param == "memory" else f"file://{tmp_path}/s"
    monkeypatch.setenv(clips.HOME, url + "/")
    monkeypatch.setenv(remote.CACHE, str(tmp_path / "cache"))
    return url


@pytest.fixture
def original(tmp_path):
    path = tmp_path / "cat.mkv"
    video.write(path, np.full((5, 48, 64, 3), 90, np.uint8), 12, lossless=True)
    return path


@pytest.fixture
def another_machine(tmp_path, monkeypatch):
    def move():
        monkeypatch.setenv(remote.CACHE, str(tmp_path / "another"))

    return move


def test_what_is_admitted_here_is_seen_on_another_machine(home, original, another_machine):
    candidate = clips.admit(DB, original, prompt=PROMPT, model="m")
    assert candidate.path == f"{home}/originals/{candidate.sha256}.mkv"
    copy = clips.playable(DB, candidate.sha256).read_bytes()
    another_machine()
    original.unlink()
    assert clips.present(candidate)
    frames, fps = clips.read(candidate)
    assert (frames.shape, fps) == ((5, 48, 64, 3), 12.0)
    assert clips.playable(DB, candidate.sha256).read_bytes() == copy
    assert clips.original(candidate).is_relative_to(remote.cache())


def test_it_is_fetched_once(home, original, another_machine, monkeypatch):
    candidate = clips.admit(DB, original, prompt=PROMPT, model="m")
    another_machine()
    system, _ = remote.opened(home)
    real, fetched = type(system).get_file, []

    def spy(self, path, *rest, **more):
        fetched.append(path)
        return real(self, path, *rest, **more)

    monkeypatch.setattr(type(system), "get_file", spy)
    for _ in range(3):
        clips.read(candidate)
        clips.playable(DB, candidate.sha256)
    assert len(fetched) == 2
    assert not list(remote.cache().rglob(".fetching*"))


def test_admitting_again_sends_nothing_again(home, original, another_machine, monkeypatch):
    first = clips.admit(DB, original, prompt=PROMPT, model="m")
    another_machine()
    monkeypatch.setattr(remote, "send", lambda files: pytest.fail("sent again"))
    assert clips.admit(DB, original, prompt=PROMPT, model="m") == first


def test_many_at_once_get_the_same_file(home, original, another_machine):
    candidate = clips.admit(DB, original, prompt=PROMPT, model="m")
    another_machine()
    with ThreadPoolExecutor(8) as pool:
        places = set(pool.map(lambda _: clips.playable(DB, candidate.sha256), range(16)))
    assert len(places) == 1
    assert video.probe(places.pop()).frames == 5


def test_other_bytes_are_refused_and_not_kept(home, original, another_machine):
    candidate = clips.admit(DB, original, prompt=PROMPT, model="m")
    system, path = remote.opened(candidate.path)
    system.pipe_file(path, b"something else")
    another_machine()
    with pytest.raises(video.ClipError, match="changed since it was sent"):
        clips.original(candidate)
    system, path = remote.opened(f"{home}/{candidate.sha256}.mp4")
    system.pipe_file(path, b"torn")
    with pytest.raises(video.ClipError, match="changed since"):
        clips.playable(DB, candidate.sha256)
    assert [file for file in remote.cache().rglob("*") if file.is_file()] == []


def test_a_copy_without_its_mark_is_not_there_yet(home, original, another_machine):
    candidate = clips.admit(DB, original, prompt=PROMPT, model="m")
    system, path = remote.opened(f"{home}/{candidate.sha256}.mp4.sha256")
    system.rm(path)
    another_machine()
    assert not clips.playable(DB, candidate.sha256).exists()
    clips.admit(DB, original, prompt=PROMPT, model="m")  # an upload that broke off is finished
    assert remote.read_text(f"{home}/{candidate.sha256}.mp4.sha256")


def test_a_clip_given_by_url_stays_where_it_lies(home, original, another_machine):
    url = f"{home.rsplit('/', 1)[0]}/theirs/cat.mkv"
    remote.send([(original, url)])
    candidate = clips.admit(DB, url, prompt=PROMPT, model="m")
    assert candidate.path == url
    assert candidate.sha256 == hashlib.sha256(original.read_bytes()).hexdigest()
    assert not remote.exists(f"{home}/originals")
    another_machine()
    assert clips.read(candidate)[0].shape == (5, 48, 64, 3)
    with pytest.raises(video.ClipError, match="no such file"):
        clips.admit(DB, f"{url}.gone", prompt=PROMPT, model="m")
    gone = replace(candidate, sha256="0" * 64, path=f"{url}.gone")
    assert not clips.present(gone)
    with pytest.raises(video.ClipError, match="no such file"):
        clips.original(gone)


def test_a_folder_of_frames_travels_too(home, tmp_path, another_machine):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(3):
        Image.new("RGB", (64, 48), (index * 40, 0, 0)).save(folder / f"{index}.png")
    candidate = clips.admit(DB, folder, prompt=PROMPT, model="m", fps=4)
    shutil.rmtree(folder)
    another_machine()
    frames, fps = clips.read(candidate)
    assert (frames[:, 0, 0, 0].tolist(), fps) == ([0, 40, 80], 4.0)


def test_a_shared_folder_is_a_home_too(tmp_path, original, monkeypatch):
    monkeypatch.setenv(clips.HOME, str(tmp_path / "shared"))
    candidate = clips.admit(DB, original, prompt=PROMPT, model="m")
    assert clips.playable(DB, candidate.sha256) == tmp_path / "shared" / f"{candidate.sha256}.mp4"
    assert candidate.path == str(original)


def test_a_database_on_a_server_needs_a_home_for_its_clips(monkeypatch):
    monkeypatch.delenv(clips.HOME, raising=False)
    with pytest.raises(UserError, match=r"SECOND_LOOK_CLIPS is not set.*s3://bucket/clips"):
        clips.playable(DB, "ab")


def test_an_unknown_protocol_is_named(monkeypatch, original):
    with pytest.raises(UserError, match=r"nonsense://x.*pip install s3fs"):
        clips.admit(DB, "nonsense://x", prompt=PROMPT, model="m")
    assert "memory" in fsspec.available_protocols()
