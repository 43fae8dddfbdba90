"""The page's REST interface: who am I, the next pair, a vote, an undo, a clip.

Identity comes from the signed cookie, never from the request's body, and an answer must carry the
ticket that was handed to the same person. A refusal (4xx) says why in `detail` and will not get
better by repeating; anything else may be retried with the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Cookie, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse

from annotate.desk import Desk
from annotate.identity import Ticket, normalise
from annotate.messages import Cast, Known, Me, Page, Reveal, ShownPair, Taken, Undo
from annotate.protocol import Ballot, Showing
from annotate.session import Session
from annotate.text import ERRORS
from data.clips import playable
from data.errors import UserError

Result = TypeVar("Result")
COOKIE = "second_look"
_YEAR_SECONDS = 365 * 24 * 3600


def _desk(request: Request) -> Desk:
    return request.app.state.desk


AtDesk = Annotated[Desk, Depends(_desk)]


def _visitor(
    desk: AtDesk, cookie: Annotated[str | None, Cookie(alias=COOKIE)] = None
) -> str | None:
    return desk.seal.annotator(cookie)


Visitor = Annotated[str | None, Depends(_visitor)]


def _annotator(visitor: Visitor) -> str:
    if visitor is None:
        raise HTTPException(401, ERRORS["who"])
    return visitor


Annotator = Annotated[str, Depends(_annotator)]
router = APIRouter()


@router.get("/api/me")
def who(visitor: Visitor) -> Known:
    """Whom the cookie names."""
    return Known(annotator=visitor)


@router.post("/api/me")
def me(body: Me, response: Response, desk: AtDesk) -> Page:
    """Say who is here; answers with that person's page."""
    try:
        name = normalise(body.name)
    except UserError as error:
        raise HTTPException(422, str(error)) from error
    response.set_cookie(
        COOKIE, desk.seal.cookie(name), max_age=_YEAR_SECONDS, httponly=True, samesite="lax"
    )
    return _page(desk, name)


@router.get("/api/next")
def next_pair(desk: AtDesk, annotator: Annotator) -> Page:
    """The pair to show now, or why there is none."""
    return _page(desk, annotator)


@router.post("/api/vote")
def vote(body: Cast, desk: AtDesk, annotator: Annotator) -> Taken:
    """Store an answer. The same `id` again is a duplicate, answered in the same way."""
    ballot = _ballot(desk, annotator, body)
    with desk.session(annotator) as session:
        receipt = _allowed(session.vote, ballot)
        reveal = _reveal(desk, session, ballot)
        page = _page_of(desk, session, with_pair=reveal is None)
    return Taken(status=receipt.status, reveal=reveal, page=page)


@router.post("/api/undo")
def undo(body: Undo, desk: AtDesk, annotator: Annotator) -> Page:
    """Take back one's own vote and show its pair again."""
    with desk.session(annotator) as session:
        pair = _allowed(session.undo, str(body.id), str(body.vote))
        return _page_of(desk, session, first=pair)


@router.get("/clip/{token}")
def clip(token: str, desk: AtDesk, annotator: Annotator) -> FileResponse:
    """A clip, to the person that it was shown to: whole or by ranges (206).

    Only strings that this person was handed lead anywhere. The file's name and its date, which
    could tell generators apart, are not sent.
    """
    sha256 = desk.clip(annotator, token)
    path = playable(desk.db, sha256) if sha256 else None
    if path is None or not path.is_file():
        raise HTTPException(404, ERRORS["clip"])
    headers = {"cache-control": "private, max-age=86400, immutable"}
    answer = FileResponse(path, media_type="video/mp4", headers=headers, stat_result=path.stat())
    del answer.headers["last-modified"]
    answer.headers["etag"] = f'"{token}"'
    return answer


def _page(desk: Desk, annotator: str) -> Page:
    with desk.session(annotator) as session:
        return _page_of(desk, session)


def _page_of(
    desk: Desk, session: Session, *, first: str | None = None, with_pair: bool = True
) -> Page:
    showing = session.next(first) if with_pair else None
    progress = session.progress()
    page = Page(annotator=session.annotator, progress=progress)
    if showing is not None:
        page.pair = _shown(desk, session.annotator, showing)
        page.preload = _addresses(desk, session.annotator, session.upcoming(showing))
    elif with_pair:
        page.idle = desk.idle(session.annotator)
    return page


def _shown(desk: Desk, annotator: str, showing: Showing) -> ShownPair:
    left, right = _addresses(desk, annotator, (showing.left, showing.right))
    ticket = Ticket(pair=showing.pair.id, exposure=showing.exposure)
    return ShownPair(
        ticket=desk.seal.ticket(annotator, ticket),
        prompt=showing.prompt,
        left=left,
        right=right,
        fps=showing.fps,
        scored=showing.scored,
        opinion=showing.opinion,
    )


def _addresses(desk: Desk, annotator: str, clips: Iterable[str]) -> list[str]:
    return [f"clip/{desk.seal.token(annotator, one)}" for one in clips]


def _ballot(desk: Desk, annotator: str, body: Cast) -> Ballot:
    ticket = desk.seal.read_ticket(annotator, body.ticket)
    if ticket is None:
        raise HTTPException(403, ERRORS["ticket"])
    return Ballot(
        id=str(body.id),
        pair=ticket.pair,
        exposure=ticket.exposure,
        revises=ticket.revises,
        answer=body.answer,
        answers=body.answers,
        reason=body.reason,
        seconds=body.seconds,
        watched=body.watched,
    )


def _reveal(desk: Desk, session: Session, ballot: Ballot) -> Reveal | None:
    opinion = session.reveal(ballot)
    if opinion is None:
        return None
    ticket = Ticket(pair=ballot.pair, exposure="shown", revises=ballot.id)
    sealed = desk.seal.ticket(session.annotator, ticket)
    return Reveal(ticket=sealed, answer=ballot.answer, opinion=opinion)


def _allowed(act: Callable[..., Result], *args: object) -> Result:
    """Call `act`; what a person asked for and may not have becomes a 409 with its reason."""
    try:
        return act(*args)
    except UserError as error:
        raise HTTPException(409, str(error)) from error
