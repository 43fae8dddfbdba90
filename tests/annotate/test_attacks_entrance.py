"""Attacks on the way in: cookies, sessions, passwords, names, tokens; in a running app."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from annotate.identity import Seal, fingerprint
from data.store.people import People
from tests.annotate.site import CROWD, PASSWORD, admit, forgive, opened, raw, sign_in

# Cookies and sessions


def test_forged_cookies_are_nobody(attacked, ann):
    good = ann.cookies["second_look"]
    seal = Seal((attacked.db.parent / "prefs.duckdb.secret").read_bytes())
    ticket = ann.get("/api/next").json()["pair"]["ticket"]
    unsigned, _, signature = good.rpartition(".")
    forged = {
        "another signature": good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
        "no signature": unsigned,
        "an empty signature": f"{unsigned}.",
        "another session": f"x{unsigned[1:]}.{signature}",
        "a name, as without accounts": seal.cookie("ann"),
        "the id in place of a session": seal.session(attacked.ids["Ann"]),
        "a ticket": ticket,
        "made with a guessed secret": Seal(b"secret").session("x"),
        "a list": seal._sessions.dumps(["x"]),
        "garbage": "\x7f",
    }
    for what, value in forged.items():
        headers = {"cookie": f"second_look={value}"}
        assert raw(attacked.address, "GET", "/api/next", headers=headers)[0] == 401, what
    assert ann.get("/api/next").status_code == 200


def test_a_kept_cookie_is_of_no_use_after_signing_out(attacked, ann):
    kept = {"cookie": f"second_look={ann.cookies['second_look']}"}
    assert raw(attacked.address, "GET", "/api/next", headers=kept)[0] == 200
    ann.post("/api/signout", json={})
    assert raw(attacked.address, "GET", "/api/next", headers=kept)[0] == 401


def test_a_session_that_was_planted_is_not_signed_in(attacked, bob):
    planted = bob.cookies["second_look"]
    with attacked.nobody() as victim:
        victim.cookies.set("second_look", planted)
        body = {"name": "Ann", "password": PASSWORD}
        assert victim.post("/api/signin", json=body).json()["annotator"] == "Ann"
        fresh = [one.value for one in victim.cookies.jar if one.domain.startswith("127")]
    assert planted not in fresh
    assert bob.get("/api/next").status_code == 401  # and it is over


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(attacked):
    with attacked.nobody() as client:
        body = {"name": "Ann", "password": PASSWORD}
        cookie = client.post("/api/signin", json=body).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "max-age=2592000" in cookie  # 30 days
    assert "domain=" not in cookie


def test_only_a_trusted_proxy_says_that_it_is_https(make_db, tmp_path):
    db = make_db(tmp_path)
    admit(db, CROWD)
    body = {"name": "Ann", "password": PASSWORD}
    https = {"x-forwarded-proto": "https"}
    for proxy, secure in (("127.0.0.1", True), ("192.0.2.1", False)):
        with opened(db, local=False, proxy=proxy) as address:
            answer = httpx.post(f"{address}/api/signin", json=body, headers=https, timeout=60)
        assert ("; secure" in answer.headers["set-cookie"].lower()) is secure


# Passwords


def test_guessing_is_throttled_by_name_whatever_address_is_claimed(attacked):
    with attacked.nobody() as client:
        for _ in range(10):
            body = {"name": "Lea", "password": "wrong guess"}
            assert client.post("/api/signin", json=body).status_code == 401
        body = {"name": " LEA ", "password": PASSWORD}
        blocked = client.post("/api/signin", json=body)
    assert blocked.status_code == 429
    assert 800 <= int(blocked.headers["retry-after"]) <= 900
    assert "password" not in blocked.text
    forgive(attacked)
    with sign_in(attacked.address, "Lea") as lea:
        assert lea.get("/api/next").status_code == 200


def test_guessing_names_is_throttled_by_address_and_tells_nothing(make_db, tmp_path):
    db = make_db(tmp_path)
    admit(db, CROWD)
    with opened(db, local=False, proxy="192.0.2.1") as address, httpx.Client(timeout=60) as client:
        seen = []
        for number in range(31):
            claimed = {"x-forwarded-for": f"198.51.100.{number}"}
            name = "Ann" if number % 10 == 0 else f"guess {number}"
            body = {"name": name, "password": "wrong guess"}
            seen.append(client.post(f"{address}/api/signin", json=body, headers=claimed))
    assert [one.status_code for one in seen] == [401] * 30 + [429]
    assert len({one.text for one in seen[:30]}) == 1


def test_a_flood_at_the_door_leaves_the_others_alone(attacked, bob):
    def knock(number: int) -> int:
        with attacked.nobody() as client:
            body = {"name": f"flood {number}", "password": "wrong guess"}
            return client.post("/api/signin", json=body).status_code

    with ThreadPoolExecutor(24) as crowd:
        came = list(crowd.map(knock, range(24)))
    forgive(attacked)
    assert set(came) == {401, 503}
    assert bob.get("/api/next").status_code == 200


def test_an_unknown_name_takes_as_long_as_a_wrong_password(attacked):
    def seconds(name: str) -> float:
        started = time.perf_counter()
        with attacked.nobody() as client:
            client.post("/api/signin", json={"name": name, "password": "wrong guess"})
        return time.perf_counter() - started

    seconds("warm up")
    known = statistics.median(seconds("Bob") for _ in range(3))
    unknown = statistics.median(seconds("Nobody Here") for _ in range(3))
    forgive(attacked)
    assert unknown > known / 3


@pytest.mark.parametrize("name", ["' OR '1'='1", "ann'--", 'ann"; DROP TABLE people; --', "%", "_"])
def test_a_name_is_no_sql(attacked, name):
    with attacked.nobody() as client:
        body = {"name": name, "password": PASSWORD}
        assert client.post("/api/signin", json=body).status_code == 401
    assert len(People.of(attacked.db).all()) == len(CROWD)
    forgive(attacked)


def test_nobody_comes_in_with_a_name_alone_or_a_role_of_their_own(attacked, ann):
    with attacked.nobody() as client:
        assert client.post("/api/me", json={"name": "Ada"}).status_code == 403
        assert client.get("/api/next").status_code == 401
        body = {"name": "Ann", "password": PASSWORD, "role": "admin", "id": attacked.ids["Ada"]}
        assert client.post("/api/signin", json=body).json()["role"] == "annotator"


def test_tokens_are_not_guessed_and_die_with_their_revocation(attacked):
    people = People.of(attacked.db)
    people.tokens.give(fingerprint("sl_good"), attacked.ids["Bob"], now_ms=1)
    for held, status in (("sl_good", 200), ("x", 401), ("sl_goo", 401), ("' OR 1=1", 401)):
        with attacked.nobody(authorization=f"Bearer {held}") as script:
            assert script.get("/api/next").status_code == status
    stored = fingerprint("sl_good")
    with attacked.nobody(authorization=f"Bearer {stored}") as thief:
        assert thief.get("/api/next").status_code == 401
    people.tokens.revoke(attacked.ids["Bob"])
    with attacked.nobody(authorization="Bearer sl_good") as script:
        assert script.get("/api/next").status_code == 401
