"""Ways in and out: sessions, invitations, roles, tokens; and being shut out."""

from __future__ import annotations

import re

from data.store import Store
from tests.annotate.site import CROWD, PASSWORD, admit, cast

# Sessions


def test_signing_out_ends_one_session_or_all(enter, db):
    admit(db, CROWD)
    one, two, three = (enter("Ann") for _ in range(3))
    known = one.post("/api/signout", json={}).json()
    assert known == {"annotator": None, "role": None, "accounts": True}
    assert "second_look" not in one.cookies
    assert [client.get("/api/next").status_code for client in (one, two, three)] == [401, 200, 200]
    two.post("/api/signout", json={"everywhere": True})
    assert three.get("/api/next").status_code == 401


def test_a_session_ends_after_30_days_without_use(enter, db, monkeypatch):
    from annotate import accounts, rights

    admit(db, CROWD)
    start, day = rights.now_ms(), 24 * 3600 * 1000
    ann = enter("Ann")

    def on_day(number: float) -> int:
        for module in (rights, accounts):
            monkeypatch.setattr(module, "now_ms", lambda: start + int(number * day))
        return ann.get("/api/me").json()["annotator"]

    assert [on_day(number) for number in (29, 58, 89)] == ["Ann", "Ann", None]


# Invitations, roles, tokens


def link(said: str) -> str:
    found = re.search(r"https?://\S+/#invite=(\S+)", said)
    assert found is not None
    return found.group(1)


def test_an_invited_person_chooses_name_and_password_once(enter, db, command):
    admit(db, CROWD)
    said = command("invite", "--role", "lead", "--days", "2", "--address", "https://look.example/")
    assert "https://look.example/#invite=" in said
    token = link(said)
    assert "lead, anybody with the link, open for 2.0 days" in command("list")
    guest = enter()
    offer = guest.get(f"/api/invite/{token}").json()
    assert (offer["role"], offer["name"]) == ("lead", "")
    path = f"/api/invite/{token}"
    for body, status in (
        ({"name": "Ann", "password": PASSWORD}, 409),
        ({"name": "", "password": PASSWORD}, 422),
        ({"name": "Gus", "password": "short"}, 422),
    ):
        assert guest.post(path, json=body).status_code == status
    body = {"name": "Gus", "password": PASSWORD, "role": "admin"}
    joined = guest.post(path, json=body)
    assert joined.json() == {"annotator": "Gus", "role": "lead", "accounts": True}
    assert guest.get("/api/next").status_code == 200
    late = {"name": "Hal", "password": PASSWORD}
    assert enter().post(path, json=late).status_code == 404
    assert enter().get(path).status_code == 404


def test_an_invitation_for_a_name_is_for_that_name_and_can_be_withdrawn(enter, db, command):
    admit(db, CROWD)
    token = link(command("invite", "Gus", "--role", "annotator"))
    withdrawn = link(command("invite", "Hal", "--role", "annotator"))
    ids = re.findall(r"invitation (\w+): annotator, (\w+)", command("list"))
    command("revoke", next(key for key, name in ids if name == "Hal"))
    assert enter().get(f"/api/invite/{withdrawn}").status_code == 404
    body = {"name": "Somebody Else", "password": PASSWORD}
    assert enter().post(f"/api/invite/{token}", json=body).json()["annotator"] == "Gus"
    assert "already" in command("invite", "gus", "--role", "lead", code=2)


def test_a_role_changes_with_the_next_request(enter, db, command):
    admit(db, CROWD)
    ann = enter("Ann")
    assert ann.get("/api/me").json()["role"] == "annotator"
    command("role", "Ann", "--role", "lead")
    assert ann.get("/api/me").json()["role"] == "lead"
    command("role", "Ada", "--role", "lead", code=2)


def test_a_script_votes_with_a_token(enter, db, command):
    ids = admit(db, CROWD)
    token = command("token", "Bob").splitlines()[-1]
    script = enter()
    script.headers["authorization"] = f"Bearer {token}"
    page = script.get("/api/next").json()
    assert page["annotator"] == "Bob"
    assert cast(script, page["pair"]["ticket"]).json()["status"] == "stored"
    with Store.open(db) as store:
        assert [vote.annotator for vote in store.all("votes")] == [ids["Bob"]]
    assert "1 tokens revoked" in command("revoke", "Bob")
    assert script.get("/api/next").status_code == 401


# Shut out


def test_somebody_shut_out_is_out_at_once_and_their_votes_stay(enter, db, command):
    ids = admit(db, CROWD)
    ann = enter("Ann")
    cast(ann, ann.get("/api/next").json()["pair"]["ticket"])
    said = command("deactivate", "Ann")
    assert "votes still count" in said
    assert ann.get("/api/next").status_code == 401
    body = {"name": "Ann", "password": PASSWORD}
    refused = enter().post("/api/signin", json=body)
    unknown = enter().post("/api/signin", json={**body, "name": "Nobody"})
    assert (refused.status_code, refused.text) == (401, unknown.text)
    with Store.open(db) as store:
        assert [vote.annotator for vote in store.all("votes")] == [ids["Ann"]]
        assert len(store.labels("human")) == 1
    command("activate", "Ann")
    assert ann.get("/api/next").status_code == 401  # not the old session
    enter("Ann")


def test_votes_that_do_not_count_leave_the_labels_and_come_back(enter, db, command):
    admit(db, CROWD)
    ann = enter("Ann")
    cast(ann, ann.get("/api/next").json()["pair"]["ticket"])

    def labels() -> tuple[int, int]:
        with Store.open(db) as store:
            return len(store.all("votes")), len(store.labels("human"))

    assert labels() == (1, 1)
    assert "count no more" in command("deactivate", "Ann", "--exclude")
    assert labels() == (1, 0)
    assert "count again" in command("activate", "Ann", "--include")
    assert labels() == (1, 1)
