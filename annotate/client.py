"""Annotate from Python: the page's REST interface as a small typed client.

    with Client("http://127.0.0.1:7860", name="Ada") as client:      # or token="sl_..."
        for pair in client.pairs():
            clips = client.clip(pair.left), client.clip(pair.right)  # MP4
            taken = client.vote(pair, "left", comment="smoother")
            if taken.reveal is not None:                             # it was a blind pair
                client.keep(taken.reveal)
        print(client.progress())

A vote that is returned is on the server's disk. What fails on the way is tried again with the same
id, so that it counts once; what the server refuses is a `UserError` with its reason. Not for
several threads at once: a person answers one pair at a time.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

import httpx
from pydantic import TypeAdapter

from annotate.messages import Page, PastVote, Reveal, ShownPair, Taken
from annotate.protocol import Answer, Progress, Verdict
from data.errors import UserError
from data.records import Strength

_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_BUSY = (429, 500, 502, 503, 504)
_PROGRESS = TypeAdapter(Progress)
_HISTORY = TypeAdapter(list[PastVote])


class Client:
    """One annotator at work. Close it, or use it in a `with`."""

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        password: str = "",
        token: str = "",
        patience: float = 60.0,
    ) -> None:
        """Say who is here.

        Args:
            address: Where the app is, such as `http://127.0.0.1:7860`.
            name: Who votes, where there are no accounts, or with `password`.
            password: Where there are accounts and no token.
            token: Where there are accounts: `python -m annotate.people token NAME`.
            patience: Seconds for which a server that is away or busy is asked again.

        Raises:
            UserError: the server does not answer, or does not let this person in.
        """
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=30.0)
        self._patience = patience
        self._given: tuple[str, str, float] = ("", "", 0.0)
        try:
            if password:
                self._post("/api/signin", {"name": name, "password": password})
            elif name:
                self._post("/api/me", {"name": name})
        except BaseException:
            self.close()
            raise

    def next(self, campaign: str | None = None) -> Page:
        """What there is to do: `page.pair`, or why there is none (`page.idle`)."""
        where = {} if campaign is None else {"campaign": campaign}
        return Page.model_validate(self._get("/api/next", **where))

    def pairs(self, campaign: str | None = None) -> Iterator[ShownPair]:
        """Pairs to answer until there is none; each has to be answered (or skipped) in turn.

        Raises:
            UserError: the last one was not answered.
        """
        before = ""
        while (pair := self.next(campaign).pair) is not None:
            if pair.ticket == before:
                raise UserError(
                    "The pair was not answered, so that it comes again; answer it with "
                    'client.vote(pair, ...), which takes "skip" too'
                )
            before = pair.ticket
            self._given = (pair.ticket, str(uuid.uuid4()), time.monotonic())
            yield pair

    def vote(
        self,
        pair: ShownPair | Reveal,
        answer: Answer,
        *,
        strength: Strength | None = None,
        answers: Mapping[str, Verdict] | None = None,
        comment: str = "",
        flags: Sequence[str] = (),
        skip: str = "",
        seconds: float | None = None,
        watched: Mapping[str, float] | None = None,
    ) -> Taken:
        """Answer a pair; it is stored when this returns.

        Args:
            pair: What `pairs` gave; a reveal is answered by `keep` or `change`.
            answer: `left`, `right`, `tie`, `unusable` (both) or `skip`.
            strength: `slightly` or `clearly`.
            answers: Per question key of the campaign, `left`, `right` or `tie`.
            comment: Any text, up to 2,000 characters.
            flags: Keys of the campaign's flags.
            skip: Key of the reason for a skip.
            seconds: From the pair's coming to the answer; measured by default.
            watched: Shares of the clips that were played, `{"left": 1.0, "right": 1.0}`.

        Raises:
            UserError: the server does not take it, or stays away.
        """
        event, since = self._event(pair.ticket)
        body = {
            "id": event,
            "ticket": pair.ticket,
            "answer": answer,
            "strength": strength,
            "answers": dict(answers or {}),
            "comment": comment,
            "flags": list(flags),
            "skip": skip,
            "seconds": since if seconds is None else seconds,
            "watched": dict(watched or {}),
        }
        return self._cast(body)

    def keep(self, reveal: Reveal) -> Taken:
        """Stay with a blind answer now that the score is known."""
        return self._after(reveal, reveal.answer, "keep")

    def change(self, reveal: Reveal, answer: Answer) -> Taken:
        """Answer otherwise now that the score is known; both answers are kept."""
        return self._after(reveal, answer, "change")

    def undo(self, vote: str) -> Page:
        """Take one of one's own last ten answers back (`client.progress().newest`)."""
        body = {"id": str(uuid.uuid4()), "vote": str(vote)}
        return Page.model_validate(self._post("/api/undo", body))

    def clip(self, address: str) -> bytes:
        """The file at an address: a clip (`pair.left`, MP4) or the first image (`pair.image`)."""
        return self._ask("GET", f"/{address}").content

    def progress(self, campaign: str | None = None) -> Progress:
        """Done, left, today."""
        where = {} if campaign is None else {"campaign": campaign}
        return _PROGRESS.validate_python(self._get("/api/progress", **where))

    def history(self) -> list[PastVote]:
        """One's own answers, newest first, 50 at most."""
        return _HISTORY.validate_python(self._get("/api/history"))

    def export(
        self, format: Literal["jsonl", "csv"] = "jsonl", campaign: str | None = None
    ) -> Iterator[str]:
        """Every vote of a campaign, line by line; for leads and admins.

        Raises:
            UserError: for anybody else.
        """
        where = {"format": format} | ({} if campaign is None else {"campaign": campaign})
        with self._http.stream("GET", "/api/export", params=where) as answer:
            if answer.is_error:
                answer.read()
                raise _refusal(answer)
            yield from answer.iter_lines()

    def close(self) -> None:
        """Let go of the connection; a pair that was not answered is free again in a while."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _event(self, ticket: str) -> tuple[str, float]:
        """The id of the answer to this ticket, the same each time, and seconds since it came."""
        if self._given[0] != ticket:
            self._given = (ticket, str(uuid.uuid4()), time.monotonic())
        return self._given[1], time.monotonic() - self._given[2]

    def _after(self, reveal: Reveal, answer: Answer, reason: str) -> Taken:
        event, seconds = self._event(reveal.ticket)
        body = {"id": event, "ticket": reveal.ticket, "answer": answer, "reason": reason}
        return self._cast({**body, "seconds": seconds})

    def _cast(self, body: dict[str, Any]) -> Taken:
        return Taken.model_validate(self._post("/api/vote", body))

    def _get(self, path: str, **where: str) -> Any:
        return self._ask("GET", path, params=where).json()

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("POST", path, json=body).json()

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Ask until there is an answer: everything here may be sent twice."""
        give_up, pause = time.monotonic() + self._patience, _PAUSE_S
        while True:
            try:
                answer = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                if time.monotonic() + pause > give_up:
                    raise UserError(
                        f"{self._http.base_url} does not answer: {error}. What was on its way may "
                        "or may not be stored; voting again on the same pair is safe"
                    ) from error
            else:
                if not answer.is_error:
                    return answer
                if answer.status_code not in _BUSY or time.monotonic() + pause > give_up:
                    raise _refusal(answer)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)


def _refusal(answer: httpx.Response) -> UserError:
    """What the server said instead."""
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:200]
    if isinstance(detail, list):
        detail = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in detail)
    return UserError(f"{answer.request.url.path}: {detail} (HTTP {answer.status_code})")
