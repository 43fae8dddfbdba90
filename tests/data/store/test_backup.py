"""A backup holds everything, is known to be whole, and comes back as it was."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from data.errors import UserError
from data.records import KINDS
from data.store import Owner, Store, add, backup
from data.store.__main__ import main
from data.store.backup import known_backups
from data.store.entrances import Invitation
from data.store.people import Account, People
from data.store.places import Places
from data.store.schema import NEWEST

from .material import PAIRS, RUN, SCORES, vote


def digests(path: Path) -> dict[str, str]:
    with Store.open(path) as store:
        return {kind: store.digest(kind) for kind in KINDS}


def back_up(path: Path, to: Path) -> Path:
    assert main(["backup", "--db", str(path), "--to", str(to)]) == 0
    (folder,) = to.iterdir()
    return folder


@pytest.fixture
def saved(path: Path, tmp_path: Path) -> Path:
    """A backup of a database with votes, score history and a finished run."""
    add(path, [vote(pair, time_ms=n + 1) for n, pair in enumerate(PAIRS)])
    add(path, [replace(SCORES[0], value=0.75), replace(RUN, finished_ms=9)])
    return back_up(path, tmp_path / "backups")


def test_a_restored_database_is_the_original(path: Path, saved: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "mine.duckdb"
    elsewhere.parent.mkdir()
    assert main(["restore", str(saved), "--db", str(elsewhere)]) == 0
    assert digests(elsewhere) == digests(path)
    assert main(["check", "--db", str(elsewhere)]) == 0
    journals = [file.with_name(f"{file.name}.journal").read_bytes() for file in (path, elsewhere)]
    assert journals[0] == journals[1]
    assert add(elsewhere, [PAIRS[0], vote(PAIRS[1], "late")]) == 1  # keys and chain are alive
    with duckdb.connect(str(elsewhere)) as connection, pytest.raises(duckdb.ConstraintException):
        connection.execute("INSERT INTO pairs FROM pairs")


def test_the_digest_file_is_one_that_others_read(saved: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=saved, check=True, text=True,
                          capture_output=True)  # fmt: skip
    assert done.stdout.count(": OK") == 3
    facts = json.loads((saved / "backup.json").read_text())
    assert (facts["schema"], facts["sequence"], len(facts["chain"])) == (NEWEST, 15, 64)
    assert {kind: facts["tables"][kind]["rows"] for kind in ("votes", "scores", "runs")} == {
        "votes": 15,
        "scores": 13,  # with the one that was replaced
        "runs": 2,
    }


def test_a_backup_while_the_app_runs(owner: Owner, tmp_path: Path) -> None:
    owner.vote(vote(id="before", time_ms=1))
    folder = back_up(owner.path, tmp_path / "backups")
    owner.vote(vote(PAIRS[1], id="after", time_ms=2))
    target = tmp_path / "restored.duckdb"
    assert main(["restore", str(folder), "--db", str(target)]) == 0
    with Store.open(target) as store:
        assert [one.id for one in store.all("votes")] == ["before"]
        assert store.digest("candidates") == owner.digest("candidates")
    assert known_backups(Places.of(owner.path)) == [folder]


def test_a_vote_during_the_backup_is_in_the_next_one(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.vote(vote(id="before", time_ms=1))

    def busy(cursor: duckdb.DuckDBPyConnection, kinds: Iterable[str]) -> backup.Contents:
        owner.vote(vote(PAIRS[1], id="during", time_ms=2))
        return contents(cursor, kinds)

    contents = backup.contents
    with monkeypatch.context() as patch:
        patch.setattr(backup, "contents", busy)
        folder = back_up(owner.path, tmp_path / "backups")
    assert b"during" not in (folder / "votes.journal").read_bytes()
    target = tmp_path / "restored.duckdb"
    assert main(["restore", str(folder), "--db", str(target)]) == 0
    with Store.open(target) as store:
        assert [one.id for one in store.all("votes")] == ["before"]
    assert main(["check", "--db", str(target)]) == 0


def test_an_existing_database_is_not_overwritten(
    path: Path, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(path)
    add(path, [vote(PAIRS[0], "later")])
    later = digests(path)
    assert main(["restore", str(saved), "--db", str(path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert digests(path) == later
    assert main(["restore", str(saved), "--db", str(path), "--force"]) == 0
    assert digests(path) == before
    (aside,) = path.parent.glob("prefs.duckdb.before-*")
    assert digests(aside / path.name) == later
    assert str(aside) in capsys.readouterr().out


def test_a_newer_snapshot_does_not_shine_through(path: Path, saved: Path) -> None:
    before = digests(path)
    add(path, [vote(PAIRS[0], "later")])
    digests(path)  # publishes a snapshot with it
    path.unlink()
    path.with_name("prefs.duckdb.journal").unlink()
    assert main(["restore", str(saved), "--db", str(path)]) == 0
    assert digests(path) == before


def test_nothing_is_restored_under_a_running_app(
    owner: Owner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = back_up(owner.path, tmp_path / "backups")
    assert main(["restore", str(folder), "--db", str(owner.path), "--force"]) == 2
    assert "owned by process" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["database.duckdb", "votes.journal", "backup.json"])
def test_one_changed_byte_is_refused(
    saved: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray((saved / name).read_bytes())
    content[len(content) // 2] ^= 1
    (saved / name).chmod(0o600)
    (saved / name).write_bytes(content)
    target = tmp_path / "restored.duckdb"
    assert main(["restore", str(saved), "--db", str(target)]) == 2
    assert f"{name} is damaged" in capsys.readouterr().err
    assert not target.exists()
    (saved / name).unlink()
    assert main(["restore", str(saved), "--db", str(target)]) == 2
    assert f"{name} is missing" in capsys.readouterr().err


def test_a_list_that_leaves_a_file_out_is_refused(saved: Path, tmp_path: Path) -> None:
    sums = saved / "SHA256SUMS"
    sums.chmod(0o600)
    sums.write_text("".join(line for line in sums.open() if "votes.journal" not in line))
    with pytest.raises(UserError, match=r"votes\.journal is damaged"):
        backup.restore(Places.of(tmp_path / "r.duckdb"), saved, now_ms=1)


def accounts(path: Path) -> People:
    """Ada, signed in, with a token and an open invitation, and Bo."""
    people = People.of(path)
    for name, role in (("Ada", "admin"), ("Bo", "annotator")):
        known = {"id": f"p-{name}", "spelling": name.lower(), "password": f"$hash of {name}"}
        people.add(Account(name=name, role=role, since_ms=5, **known))
    people.sessions.begin("cookie", "p-Ada", now_ms=0, until_ms=9**15)
    people.tokens.give("t0ken", "p-Ada", now_ms=0)
    people.invitations.add(Invitation(hash="cafe", role="lead", name="Cy Inv", expires_ms=9**15))
    people.tries.allow({"name typed in haste": 5}, now_ms=1, window_ms=9)
    return people


def test_accounts_come_back_and_what_lets_in_without_a_password_does_not(
    owner: Owner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without them whoever comes would be let in; and nobody would know who an id was."""
    people = accounts(owner.path)  # the app is running, and has the file open
    folder = back_up(owner.path, tmp_path / "backups")
    kept = folder / "accounts.sqlite"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o400
    words = (b"cookie", b"t0ken", b"cafe", b"Cy Inv", b"typed in haste")
    assert [word for word in words if word in kept.read_bytes()] == []
    assert f"{kept.name}\n" in (folder / "SHA256SUMS").read_text()
    target = tmp_path / "new" / "prefs.duckdb"
    target.parent.mkdir()
    assert main(["restore", str(folder), "--db", str(target)]) == 0
    assert "everybody signs in anew" in capsys.readouterr().out
    back = People.of(target)
    assert back.on
    assert back.all() == people.all()
    assert back.holding("t0ken") is None
    assert back.signed_in("cookie", now_ms=1, until_ms=9**15) is None
    assert back.invitations.open(now_ms=0) == []
    assert stat.S_IMODE(Places.of(target).people.stat().st_mode) == 0o600
    people.close()
    back.close()


def test_a_restore_does_not_let_in_who_was_shut_out_since(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = accounts(path)
    folder = back_up(path, tmp_path / "backups")
    people.set_active("p-Bo", active=False)
    assert main(["restore", str(folder), "--db", str(path), "--force"]) == 0
    assert "prefs.duckdb.people stays as it is" in capsys.readouterr().out
    assert [one.active for one in people.all()] == [True, False]
    people.close()


def test_damaged_accounts_are_neither_saved_nor_restored(path: Path, tmp_path: Path) -> None:
    accounts(path).close()
    folder = back_up(path, tmp_path / "backups")
    kept, target = folder / "accounts.sqlite", Places.of(tmp_path / "r.duckdb")
    kept.chmod(0o600)
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"accounts\.sqlite is damaged"):
        backup.restore(target, folder, now_ms=1)
    assert not target.people.exists()
    Places.of(path).people.write_bytes(b"no database at all, and longer than a header" * 9)
    with pytest.raises(UserError, match=r"prefs\.duckdb\.people cannot be copied"):
        backup.backup(Places.of(path), tmp_path / "second", now_ms=1)
    assert list((tmp_path / "second").iterdir()) == []


def test_what_is_no_backup_or_has_no_database(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restore", str(tmp_path), "--db", str(path)]) == 2
    assert "is no backup" in capsys.readouterr().err
    assert main(["backup", "--db", str(tmp_path / "none.duckdb"), "--to", str(tmp_path)]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["restore", "--db", str(path)]) == 2
    assert "the folder of a backup" in capsys.readouterr().err
    target = tmp_path / "file"
    target.write_text("")
    assert main(["backup", "--db", str(path), "--to", str(target)]) == 2
    assert "nothing is left of it" in capsys.readouterr().err


def test_an_empty_database_can_be_backed_up(tmp_path: Path) -> None:
    Store.open(tmp_path / "prefs.duckdb", create=True).close()
    folder = back_up(tmp_path / "prefs.duckdb", tmp_path / "backups")
    assert main(["restore", str(folder), "--db", str(tmp_path / "b.duckdb")]) == 0
    with Store.open(tmp_path / "b.duckdb") as store:
        assert store.count("prompts") == 0


def test_a_backup_is_not_opened_as_a_database(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (saved / "database.duckdb").read_bytes()
    with pytest.raises(UserError, match="is a snapshot or a backup"):
        add(saved / "database.duckdb", [vote()])
    assert (saved / "database.duckdb").read_bytes() == before
