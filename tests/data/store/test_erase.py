"""A person is erased: no file holds the name or the comments, and the chain still verifies."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from data.decisions import excluded as excluded_people
from data.records import KINDS, Decision, Run, Vote
from data.store import Owner, Store, add, swap
from data.store.__main__ import main
from data.store.journal import damage
from data.store.people import Account, People
from data.votes import live_votes

from .material import PAIRS, excluded, vote

NAME = "Dana Cohen-Levi"
COMMENT = "the left one flickers, I am sure of it"
HEBREW = "הסרטון מהבהב"
RUN = Run(
    id="dpo-2", kind="dpo", config={"annotators": [NAME, "bob"]}, code="abc", started_ms=1
)  # fmt: skip

NAMED = Decision(id="c", topic="campaign", subject="one", values={"for": [NAME]}, time_ms=3)


@pytest.fixture
def voted(path: Path) -> Path:
    """Fifteen votes of Dana, one revised and one skipped, and as many of bob's."""
    hers = [vote(pair, NAME, id=f"d{n}", time_ms=10 + n) for n, pair in enumerate(PAIRS[:13])]
    hers.append(vote(PAIRS[13], NAME, id="d13", reason=COMMENT, time_ms=30))
    skip = {"outcome": "skip", "preferred": None, "reason": HEBREW}
    hers.append(vote(PAIRS[14], NAME, id="d14", time_ms=31, **skip))
    hers.append(vote(PAIRS[0], NAME, id="d0b", revises="d0", reason=COMMENT, time_ms=32))
    bobs = [vote(pair, "bob", id=f"b{n}", time_ms=50 + n) for n, pair in enumerate(PAIRS)]
    said = [excluded(NAME), replace(excluded("bob", counts=True), by=NAME), NAMED]
    add(
        path,
        [RUN, *said, *(one for both in zip(hers, bobs, strict=False) for one in both), hers[-1]],
    )
    Store.open(path).close()
    return path


def holding(folder: Path, *texts: str) -> list[str]:
    """The files below a folder that have one of the texts in them, plain or escaped as in JSON."""
    forms = set()
    for text in texts:
        once = json.dumps(text)[1:-1]
        forms |= {text.encode(), once.encode(), json.dumps(once)[1:-1].encode()}
    return sorted(
        file.name
        for file in folder.rglob("*")
        if file.is_file() and any(form in file.read_bytes() for form in forms)
    )


def votes_in(path: Path) -> list[Vote]:
    with Store.open(path) as store:
        return store.all("votes")


def chains(path: Path) -> list[tuple[int, str, str]]:
    lines = path.with_name("prefs.duckdb.journal").read_bytes().splitlines()[1:]
    return [(one["seq"], one["hash"], one["chain"]) for one in map(json.loads, lines)]


@pytest.mark.parametrize("more", [[], ["--votes"]])
def test_the_plain_text_is_in_no_file(voted: Path, more: list[str]) -> None:
    everywhere = ["prefs.duckdb", "prefs.duckdb.journal", "prefs.snapshot.duckdb"]
    assert holding(voted.parent, NAME) == everywhere  # the search finds it where it is
    assert holding(voted.parent, COMMENT, HEBREW) == everywhere
    before = chains(voted)
    assert main(["erase", NAME, "--db", str(voted), *more]) == 0
    assert holding(voted.parent, NAME, COMMENT, HEBREW) == []
    assert chains(voted) == before  # every hash in its place
    assert list(damage(voted.with_name("prefs.duckdb.journal"))) == []
    assert main(["check", "--db", str(voted)]) == 0
    for _ in range(2):  # and a start, which reconciles, does not bring it back
        with Store.own(voted) as owner:
            owner.vote(vote(PAIRS[0], "eve"))
            owner.publish_snapshot()
    assert holding(voted.parent, NAME, COMMENT, HEBREW) == []


def test_the_answers_stay_and_are_nobody_s(voted: Path) -> None:
    before = votes_in(voted)
    assert main(["erase", NAME, "--db", str(voted)]) == 0
    after = votes_in(voted)
    assert [one.id for one in after] == [one.id for one in before]
    (pseudonym,) = {one.annotator for one in after} - {"bob"}
    assert pseudonym.startswith("erased-")
    for old, new in zip(before, after, strict=True):
        if old.annotator == "bob":
            assert new == old
        else:
            assert (new.annotator, new.reason) == (pseudonym, "")
            assert (new.preferred, new.answers, new.time_ms) == (
                old.preferred,
                old.answers,
                old.time_ms,
            )
    standing = {one.id for one in live_votes(after)}
    assert standing == {one.id for one in live_votes(before)}
    assert "d0" not in standing
    with Store.open(voted) as store:
        runs = {run.id: run.config for run in store.all("runs")}
        said = store.all("decisions")
    assert excluded_people(said) == {pseudonym}  # whoever did not count still does not
    assert [one.by for one in said] == ["lead", pseudonym, ""]
    assert said[2].values == {"for": [pseudonym]}
    assert runs["dpo-2"] == {"annotators": [pseudonym, "bob"]}


def test_tombstones_count_nowhere(voted: Path) -> None:
    before = votes_in(voted)
    assert main(["erase", NAME, "--db", str(voted), "--votes"]) == 0
    after = votes_in(voted)
    assert len(after) == len(before)  # sequence numbers keep their meaning
    assert {one.annotator for one in live_votes(after)} == {"bob"}
    hers = [one for one in after if one.annotator != "bob"]
    assert {(one.outcome, one.preferred, one.reason, one.time_ms) for one in hers} == {
        ("undo", None, "", 1)
    }
    assert all(one.answers == {} and one.watched == {} for one in hers)
    with Store.own(voted) as owner:
        lease = owner.claim("eve", [PAIRS[0].id], redundancy=2, seconds=9)
        assert lease is not None  # her slot is free again
        assert owner.claim("fay", [PAIRS[0].id], redundancy=2, seconds=9) is None


def test_everything_else_is_as_it_was(voted: Path) -> None:
    naming = ("votes", "runs", "decisions")

    def others() -> dict[str, str]:
        with Store.open(voted) as store:
            return {kind: store.digest(kind) for kind in KINDS if kind not in naming}

    before = others()
    assert main(["erase", NAME, "--db", str(voted)]) == 0
    assert others() == before
    with duckdb.connect(str(voted)) as connection, pytest.raises(duckdb.ConstraintException):
        connection.execute("INSERT INTO votes FROM votes")
    assert add(voted, [vote(PAIRS[1], "bob", id="b1")]) == 0  # keys are there


def test_a_lost_database_or_journal_comes_back_without_her(voted: Path) -> None:
    assert main(["erase", NAME, "--db", str(voted)]) == 0
    journal = voted.with_name("prefs.duckdb.journal")
    before, lines = votes_in(voted), journal.read_bytes()
    journal.unlink()
    assert votes_in(voted) == before
    assert journal.read_bytes() == lines
    voted.unlink()
    assert main(["rebuild", "--db", str(voted)]) == 0
    assert votes_in(voted) == before
    assert main(["check", "--db", str(voted)]) == 0
    voted.unlink()
    voted.with_name("prefs.snapshot.duckdb").unlink(missing_ok=True)
    with Store.own(voted) as owner:  # from the journal alone
        assert owner.all("votes") == before


def test_damage_in_an_erased_line_is_found(voted: Path) -> None:
    assert main(["erase", NAME, "--db", str(voted)]) == 0
    journal = voted.with_name("prefs.duckdb.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    assert b"erased:" in lines[1]
    for old, new in ((b"3.25", b"9.25"), (b'"salt":"erased:', b'"salt":"erased;')):
        journal.write_bytes(b"".join([lines[0], lines[1].replace(old, new), *lines[2:]]))
        assert [number for number, _ in damage(journal)] == [2]


def test_a_crash_between_the_files_is_finished(
    voted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(swap, "finish", lambda _: None)  # it dies before the first rename
        main(["erase", NAME, "--db", str(voted)])
    anew = voted.with_name("prefs.duckdb.anew")
    assert (anew / "ready").exists()
    assert "prefs.duckdb" in holding(voted.parent, NAME)
    (anew / "prefs.duckdb.journal").replace(voted.with_name("prefs.duckdb.journal"))  # after one
    assert len(votes_in(voted)) == 31
    assert holding(voted.parent, NAME, COMMENT, HEBREW) == []
    assert not anew.exists()


def test_what_was_not_ready_is_thrown_away(voted: Path) -> None:
    before = votes_in(voted)
    anew = voted.with_name("prefs.duckdb.anew")
    anew.mkdir()
    (anew / "prefs.duckdb").write_bytes(b"half")
    assert votes_in(voted) == before
    assert not anew.exists()


def test_somebody_who_decided_and_never_voted(
    voted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(voted, [replace(excluded("bob"), by="Lea Decider"), replace(RUN, id="dpo-3")])
    before = chains(voted)
    assert main(["erase", "Lea Decider", "--db", str(voted)]) == 0
    assert "whatever named the person names erased-" in capsys.readouterr().out
    assert holding(voted.parent, "Lea Decider") == []
    assert chains(voted) == before
    assert main(["check", "--db", str(voted)]) == 0
    with Store.open(voted) as store:
        assert excluded_people(store.all("decisions")) == {NAME, "bob"}
    assert main(["erase", "Lea Decider", "--db", str(voted)]) == 2
    assert "is by 'Lea Decider' or names them" in capsys.readouterr().err


def test_backups_are_named_for_an_account_without_votes(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = People.of(path)
    people.add(Account(id="p-1", spelling="ada", name="Ada", role="admin", since_ms=1))
    people.close()
    assert main(["backup", "--db", str(path), "--to", str(tmp_path / "to")]) == 0
    (folder,) = (tmp_path / "to").iterdir()
    assert holding(folder, "Ada") == ["accounts.sqlite"]
    assert main(["erase", "Ada", "--db", str(path)]) == 0
    assert f"{folder} is older and still holds" in capsys.readouterr().out


def test_older_copies_are_named(
    voted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backups = tmp_path / "elsewhere"
    assert main(["backup", "--db", str(voted), "--to", str(backups)]) == 0
    kept = voted.with_name("prefs.duckdb.version-1")
    kept.write_bytes(NAME.encode())
    capsys.readouterr()
    assert main(["erase", NAME, "--db", str(voted)]) == 0
    said = capsys.readouterr().out
    (folder,) = backups.iterdir()
    assert f"{folder} is older and still holds" in said
    assert f"{kept} is older and still holds" in said
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    kept.unlink()
    assert holding(tmp_path, NAME, COMMENT) == []


def test_it_refuses_what_it_cannot_do(
    voted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["erase", "Dnaa", "--db", str(voted)]) == 2
    assert f"votes are by {NAME}, bob" in capsys.readouterr().err
    assert main(["erase", NAME, "--db", str(tmp_path / "none.duckdb")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["erase", "--db", str(voted)]) == 2
    journal = voted.with_name("prefs.duckdb.journal")
    whole = journal.read_bytes()
    journal.write_bytes(whole.replace(b"3.25", b"9.25", 1))
    assert main(["erase", NAME, "--db", str(voted)]) == 2
    assert "rebuild" in capsys.readouterr().err
    journal.write_bytes(whole)
    assert main(["erase", NAME, "--db", str(voted)]) == 0


def test_not_under_a_running_app(owner: Owner, capsys: pytest.CaptureFixture[str]) -> None:
    owner.add(
        [Decision(id="d", topic="person", subject="ann", values={"counts": False}, time_ms=1)]
    )
    assert main(["erase", "ann", "--db", str(owner.path)]) == 2
    assert "owned by process" in capsys.readouterr().err


FULL_DISK = """
import resource, signal, sys
from data.store.__main__ import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
raise SystemExit(main(sys.argv[1:]))
"""


def test_a_full_disk_changes_nothing(voted: Path, tmp_path: Path, root: Path) -> None:
    """Also for the commands beside: merge, backup and restore."""
    before = votes_in(voted)
    assert main(["backup", "--db", str(voted), "--to", str(tmp_path / "to")]) == 0
    (folder,) = (tmp_path / "to").iterdir()
    new = str(tmp_path / "new.duckdb")
    for words in (
        ["erase", NAME, "--db", str(voted)],
        ["restore", str(folder), "--db", new],
        ["merge", str(folder / "database.duckdb"), "--db", new],
        ["backup", "--db", str(voted), "--to", str(tmp_path / "second")],
    ):
        done = subprocess.run(
            [sys.executable, "-c", FULL_DISK, *words],
            cwd=root, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert "File too large" in done.stderr
        assert "Traceback" not in done.stderr
    assert votes_in(voted) == before
    assert not list((tmp_path / "second").glob("*"))
    assert main(["restore", str(folder), "--db", new, "--force"]) == 0
    assert votes_in(Path(new)) == before
    assert main(["erase", NAME, "--db", str(voted)]) == 0
