"""Accounts from the command line to the page: turned on, filled, passwords."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from annotate import passwords, people, register, server
from data.store import Store
from data.store.people import People
from tests.annotate.site import CROWD, PASSWORD, admit, cast


def add(command, name: str, role: str, *more: str, password: str = PASSWORD) -> str:
    line = f"{password}\n"
    return command("add", name, "--role", role, "--password-stdin", *more, stdin=line)


# Turning accounts on


def test_a_database_that_is_not_there_is_said(command, tmp_path, capsys):
    """A slip in --db would turn accounts on where no app looks."""
    assert "There is no database" not in command("list")
    assert people.main(["list", "--db", str(tmp_path / "pref.duckdb")]) == 0
    assert "There is no database" in capsys.readouterr().out


def test_accounts_are_turned_on_under_a_running_app(enter, command):
    before = enter()
    assert before.post("/api/me", json={"name": "Ann"}).json()["role"] == "admin"
    assert before.get("/api/next").status_code == 200
    assert "must be an admin" in command("add", "Ann", "--role", "annotator", code=2)
    assert "Accounts are on now" in add(command, "Ada", "admin")
    assert before.get("/api/next").status_code == 401
    assert before.post("/api/me", json={"name": "Ann"}).status_code == 403
    me = {"annotator": None, "role": None, "accounts": True}
    assert before.get("/api/me").json() == me
    ada = enter("ADA ")
    assert ada.get("/api/me").json() == {"annotator": "Ada", "role": "admin", "accounts": True}
    page = ada.get("/api/next").json()
    assert (page["annotator"], page["role"], page["accounts"]) == ("Ada", "admin", True)


def test_votes_carry_an_id_and_names_stay_in_the_file_of_the_people(enter, command, db):
    add(command, "Ada Lovelace", "admin")
    ada = enter("ada lovelace")
    cast(ada, ada.get("/api/next").json()["pair"]["ticket"])
    with Store.open(db) as store:
        (vote,) = store.all("votes")
    assert re.fullmatch(r"p-[0-9a-f]{10}", vote.annotator)
    holding = {
        file.name
        for file in db.parent.iterdir()
        if file.is_file() and b"ovelace" in file.read_bytes()
    }
    assert holding
    assert all(name.startswith("prefs.duckdb.people") for name in holding)
    kept = b"".join(file.read_bytes() for file in db.parent.glob("prefs.duckdb.people*"))
    assert b"$argon2id$" in kept
    session = ada.cookies["second_look"].split(".")[0].strip('"')
    for secret in (PASSWORD, session):
        assert secret.encode() not in kept


def test_a_new_account_takes_over_the_votes_of_an_old_name(enter, command, db):
    ann = enter()
    ann.post("/api/me", json={"name": "Ann"})
    cast(ann, ann.get("/api/next").json()["pair"]["ticket"])
    add(command, "Ada", "admin")
    assert "No vote" in command("add", "X", "--role", "lead", "--annotator", "Anne", code=2)
    assert "There are votes by 'ann'" in add(command, "Ann", "annotator")
    assert "votes will say ann" in add(command, "Ann Lee", "annotator", "--annotator", " ANN ")
    taken = command("add", "Y", "--role", "lead", "--annotator", "ann", code=2)
    assert "belong to somebody else" in taken
    assert enter("ann lee").get("/api/next").json()["progress"]["done"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["token"], "After `token` comes a name"),
        (["add", "Bo"], "needs --role"),
        (["list", "Bo"], "comes nothing"),
        (["invite", "--role", "lead", "--days", "0"], "--days is 0"),
        (["invite", "--role", "lead", "--address", "look.example"], "--address is"),
        (["invite", "--role", "lead"], "Accounts are off"),
        (["role", "Bo", "--role", "lead"], "There is no 'Bo'"),
        (["add", "x" * 65, "--role", "admin"], "65 letters"),
        (["add", "Bo", "--role", "admin", "--annotator", "nobody"], "No vote"),
    ],
)
def test_a_mistake_is_one_line(command, arguments, said):
    line = command(*arguments, code=2)
    assert said in line
    assert line.count("\n") == 1


def test_every_action_has_its_act():
    assert set(people.ACTIONS) == register.ACTS.keys()


def test_help_is_quick_and_needs_nothing_heavy(root):
    script = (
        "import sys\nfrom annotate import people\n"
        "try: people.main(['--help'])\nexcept SystemExit: pass\n"
        "print([one for one in ('gradio', 'fastapi', 'duckdb', 'argon2') if one in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    assert "--password-stdin" in said.stdout
    assert said.stdout.splitlines()[-1] == "[]"


def test_a_password_on_a_terminal_is_asked_for_twice(command, monkeypatch, db):
    asked = iter(["one password", "another one", *["the same one"] * 2])
    monkeypatch.setattr(register.getpass, "getpass", lambda _prompt: next(asked))
    monkeypatch.setattr(register, "_on_a_terminal", lambda: True)
    assert "differ" in command("add", "Ada", "--role", "admin", code=2)
    assert not People.of(db).on
    command("add", "Ada", "--role", "admin")
    account = People.of(db).named("ada")
    assert account is not None
    assert passwords.fits("the same one", account.password)


# Passwords


def test_a_password_is_told_from_every_other_and_nobodys_fits_none():
    stored = passwords.hashed("pässword")  # typed as one letter or as two
    assert stored.startswith("$argon2id$")
    assert passwords.fits("pa\u0308ssword", stored)
    assert not passwords.fits("password", stored)
    assert not passwords.fits("pässword", None)
    assert not passwords.outdated(stored)
    assert passwords.outdated("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$xxxxxxxxxxx")


@pytest.mark.parametrize("length", [0, 7, 257])
def test_a_password_too_short_or_too_long_is_refused(command, length):
    said = command("add", "Ada", "--role", "admin", "--password-stdin", stdin="x" * length, code=2)
    assert f"has {length} characters" in said


def test_a_changed_password_signs_everybody_else_out(enter, db):
    admit(db, CROWD)
    here, there, bob = enter("Ann"), enter("Ann"), enter("Bob")
    old = here.cookies["second_look"]

    def change(was: str, to: str):
        return here.post("/api/password", json={"old": was, "new": to})

    assert change("wrong one", "another password").status_code == 401
    assert change(PASSWORD, "short").status_code == 422
    assert there.get("/api/next").status_code == 200
    assert change(PASSWORD, "another password").json()["annotator"] == "Ann"
    assert here.get("/api/next").status_code == 200
    assert here.cookies["second_look"] != old
    assert there.get("/api/next").status_code == 401
    assert bob.get("/api/next").status_code == 200
    body = {"name": "Ann", "password": PASSWORD}
    assert enter().post("/api/signin", json=body).status_code == 401
    enter("Ann", "another password")


def test_a_new_password_from_the_command_signs_out_everywhere(enter, db, command):
    admit(db, CROWD)
    ann = enter("Ann")
    command("password", "ann", "--password-stdin", stdin="set by a lead\n")
    assert ann.get("/api/next").status_code == 401
    enter("Ann", "set by a lead")


def test_beyond_this_machine_without_accounts_nobody_leads(open_desk, db):
    app = server.interface(open_desk(db))
    app.state.desk.local = False
    with TestClient(app, base_url="http://look.example") as client:
        assert client.post("/api/me", json={"name": "Ada"}).json()["role"] == "annotator"


def test_the_command_runs(root, db: Path):
    command = [sys.executable, "-m", "annotate.people", "list", "--db", str(db)]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert said.stdout.startswith("No accounts in")
