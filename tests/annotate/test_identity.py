"""Names, cookies, tickets, tokens: only their holder can use them."""

from __future__ import annotations

import stat

import pytest

from annotate.identity import Seal, Ticket, normalise, secret_beside
from data.errors import UserError

SEAL = Seal(b"one secret")
TICKET = Ticket(pair="p1", exposure="blind")


def test_a_name_has_one_spelling():
    assert normalise("  Anna\tMaria  ") == normalise("anna maria") == "anna maria"
    assert normalise("Ａｎｎａ") == "anna"  # full-width letters: NFKC
    assert normalise("Иван") == "иван"


@pytest.mark.parametrize("name", ["", "   ", "\u200b\n", "x" * 65])
def test_a_name_that_is_none_is_refused(name: str):
    with pytest.raises(UserError):
        normalise(name)


def test_a_cookie_is_read_back_and_a_forged_one_is_nobody():
    cookie = SEAL.cookie("anna")
    assert SEAL.annotator(cookie) == "anna"
    assert SEAL.annotator(None) is None
    assert SEAL.annotator("anna") is None
    assert SEAL.annotator(cookie[:-1] + ("A" if cookie[-1] != "A" else "B")) is None
    assert Seal(b"another").annotator(cookie) is None


def test_a_ticket_is_good_for_its_holder_only():
    text = SEAL.ticket("anna", TICKET)
    assert SEAL.read_ticket("anna", text) == TICKET
    assert SEAL.read_ticket("bob", text) is None
    assert SEAL.read_ticket("anna", text.upper()) is None


def test_a_cookie_is_no_ticket():
    assert SEAL.read_ticket("anna", SEAL.cookie("anna")) is None
    assert SEAL.annotator(SEAL.ticket("anna", TICKET)) is None


def test_a_clip_has_another_token_for_everybody():
    tokens = {SEAL.token(who, clip) for who in ("anna", "bob") for clip in ("c1", "c2")}
    assert len(tokens) == 4
    assert SEAL.token("anna", "c1") == Seal(b"one secret").token("anna", "c1")


def test_the_secret_is_kept_beside_the_database_for_its_owner_only(tmp_path):
    secret = secret_beside(tmp_path / "prefs.duckdb")
    file = tmp_path / "prefs.duckdb.secret"
    assert secret_beside(tmp_path / "prefs.duckdb") == secret == file.read_bytes()
    assert len(secret) == 64
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
