"""`python -m scorers --fetch` from a real HTTP server: whole files only, going on, noticing."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from data.errors import UserError
from data.provenance import sha256
from scorers import checksums, fetching, listing, weights
from scorers.download import download
from tests.scorers.shelf import Shelf, serving

DATA = np.random.default_rng(3).bytes(100_000)
OTHER = np.random.default_rng(4).bytes(100_000)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with serving(Shelf(DATA)) as made:
        yield made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "file.pth"


def get(shelf: Shelf, target: Path) -> bytes:
    download(shelf.url, target, megabytes=0.1)
    assert list(target.parent.iterdir()) == [target], "nothing else is left"
    return target.read_bytes()


def broken(shelf: Shelf, target: Path, at: int = 40_000) -> None:
    """An attempt that ends after `at` bytes, with a server that is gone afterwards."""
    shelf.cuts += [at, 0]
    with pytest.raises(httpx.TransportError):
        download(shelf.url, target, megabytes=0.1)
    assert not target.exists(), "a part is never taken for the whole"
    shelf.asked.clear()


class TestDownload:
    def test_it_goes_on_where_it_was_cut(self, shelf: Shelf, target: Path):
        broken(shelf, target)
        assert target.with_name("file.pth.part").read_bytes() == DATA[:40_000]
        assert get(shelf, target) == DATA
        assert shelf.asked == ["bytes=40000-"]

    def test_it_tries_again_by_itself_while_that_brings_something(self, shelf: Shelf, target: Path):
        shelf.cuts = [30_000, 30_000]
        assert get(shelf, target) == DATA
        assert shelf.asked == ["", "bytes=30000-", "bytes=60000-"]

    @pytest.mark.parametrize(
        ("ranges", "shift", "asked"),
        [
            (False, 0, ["bytes=40000-"]),
            (True, 7, ["bytes=40000-", ""]),
            (True, 90_000, ["bytes=40000-", ""]),  # it answers 416
        ],
    )
    def test_a_server_without_ranges_or_with_wrong_ones_sends_it_all(
        self, shelf: Shelf, target: Path, shift: int, asked: list[str], *, ranges: bool
    ):
        broken(shelf, target)
        shelf.ranges, shelf.shift = ranges, shift
        assert get(shelf, target) == DATA
        assert shelf.asked == asked

    @pytest.mark.parametrize("conditions", [True, False])
    def test_a_file_that_changed_meanwhile_is_not_patched_together(
        self, shelf: Shelf, target: Path, *, conditions: bool
    ):
        broken(shelf, target)
        shelf.data, shelf.tag, shelf.conditions = OTHER, '"two"', conditions
        assert get(shelf, target) == OTHER

    @pytest.mark.parametrize(
        ("tag", "date", "goes_on"),
        [
            ("", "Sat, 21 Nov 2026 22:00:00 GMT", True),
            ('W/"one"', "", False),  # two files may share a weak one
            ("", "", False),
        ],
    )
    def test_what_holds_the_server_to_its_version(
        self, shelf: Shelf, target: Path, tag: str, date: str, *, goes_on: bool
    ):
        shelf.tag, shelf.date = tag, date
        broken(shelf, target)
        assert get(shelf, target) == DATA
        assert shelf.asked == (["bytes=40000-"] if goes_on else [""])

    def test_a_body_that_ends_with_the_connection_is_refused(self, shelf: Shelf, target: Path):
        shelf.length = False
        with pytest.raises(UserError, match="does not say how large"):
            download(shelf.url, target, megabytes=0.1)
        assert not target.exists()

    def test_a_page_in_place_of_the_file_is_refused_and_the_part_stays(
        self, shelf: Shelf, target: Path
    ):
        broken(shelf, target)
        shelf.data, shelf.tag = b"<html>sign in</html>" * 20, ""
        with pytest.raises(UserError, match=r"is 0.0004 MB, and 0.1 MB belong there.*sign in"):
            download(shelf.url, target, megabytes=0.1)
        shelf.data, shelf.tag = DATA, '"one"'
        shelf.asked.clear()
        assert get(shelf, target) == DATA
        assert shelf.asked == ["bytes=40000-"]


@pytest.fixture
def row(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> weights.Weights:
    """`trial` of the table, without a published checksum."""
    monkeypatch.delenv(weights.HOME, raising=False)
    made = weights.Weights(url=shelf.url, files=("file.pth",), megabytes=0.1, licence="-")
    monkeypatch.setitem(weights.TABLE, "trial", made)
    return made


@pytest.mark.usefixtures("row")
class TestFetch:
    def test_damage_after_the_first_fetch_is_noticed_and_mended(
        self, tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
    ):
        (folder,) = fetching.fetch(["trial"], tmp_path)
        assert checksums.noted(folder) == {"file.pth": sha256(folder / "file.pth")}
        assert weights.find("trial", tmp_path) == folder
        fetching.fetch(["trial"], tmp_path)
        assert len(shelf.asked) == 1, "there already"
        (folder / "file.pth").write_bytes(DATA[:-1] + b"x")
        with pytest.raises(weights.MissingWeightsError, match=r"not what was.*--fetch trial"):
            weights.find("trial", tmp_path)
        fetching.fetch(["trial"], tmp_path)
        assert "it is fetched again" in capsys.readouterr().out
        assert (folder / "file.pth").read_bytes() == DATA

    def test_the_list_says_what_a_file_is_compared_with(self):
        rows = {line.split()[0]: line for line in listing.weight_table().splitlines()}
        assert "of first fetch" in rows["trial"]
        assert "of first fetch" in rows["laion-v1"]
        assert " published " in rows["raft-large"]
        assert " published " in rows["dino-vitb16"]

    def test_a_published_checksum_is_compared(
        self, tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ):
        for part, fine in ((hashlib.sha256(DATA).hexdigest()[:8], True), ("0" * 8, False)):
            named = weights.Weights(
                url=shelf.url, files=(f"x-{part}.pth",), megabytes=0.1, licence="-"
            )
            monkeypatch.setitem(weights.TABLE, "trial", named)
            assert (named.digest, named.checksum) == (part, "published")
            if fine:
                fetching.fetch(["trial"], tmp_path / part)
                continue
            with pytest.raises(UserError, match=r"arrived damaged.*Run the command again"):
                fetching.fetch(["trial"], tmp_path / part)
            assert not (tmp_path / part / "trial" / named.files[0]).exists()

    def test_a_server_that_refuses(self, tmp_path: Path, shelf: Shelf):
        shelf.data = b""  # it answers 416 to everything
        with pytest.raises(UserError, match=r"416.*Behind a firewall") as caught:
            fetching.fetch(["trial"], tmp_path)
        assert "\n" not in str(caught.value)

    def test_a_folder_that_is_no_folder(self, tmp_path: Path):
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match=r"cannot write.*is a file.*another folder"):
            fetching.fetch(["trial"], tmp_path / "file")

    def test_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("scorers.download._receive", full)
        with pytest.raises(UserError, match=r"the disk is full.*for 0.1 MB with --weights"):
            fetching.fetch(["trial"], tmp_path)

    def test_two_processes_do_not_write_to_one_file(self, tmp_path: Path):
        (tmp_path / "trial").mkdir()
        with (tmp_path / "trial" / ".lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(UserError, match="by another process"):
                fetching.fetch(["trial"], tmp_path)
        assert fetching.fetch(["trial"], tmp_path) == [tmp_path / "trial"]

    def test_what_nobody_may_pass_on_is_said_last(self, tmp_path: Path):
        with pytest.raises(UserError, match=r"amt-s .*nobody may pass it on. See scorers/amt.py"):
            fetching.fetch(["amt-s", "trial"], tmp_path)
        assert (tmp_path / "trial" / "file.pth").is_file()
