"""The REST interface: the next pair, a vote, an undo, the history, clips, progress, the export.

The page uses it, and so may any other front end or script, with the same rights. Who asks comes
from `annotate/rights.py`, never from the request's body, and an answer must carry the ticket that
was handed to the same person. A refusal (4xx) says why in `detail` and will not get better by
repeating; anything else may be retried with the same id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import APIRouter, Cookie, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from annotate import export
from annotate.accounts import set_cookie
from annotate.beginnings import KINDS
from annotate.casting import answer_of
from annotate.desk import Desk
from annotate.identity import normalise
from annotate.messages import (
    AskReveal,
    Cast,
    Left,
    Me,
    Page,
    PastVote,
    Reopen,
    Reveal,
    Switch,
    Taken,
    Undo,
)
from annotate.pages import Pages
from annotate.protocol import Ballot, Progress
from annotate.rights import Annotator, AtDesk, BarredError, Lead, Person, plain_person
from annotate.words import RefusedError, Spoken, Words
from data.clips import playable
from data.errors import UserError

ABOUT = """Pairs of clips, answered by people: what the page says to the server, for scripts too.

Say who you are (`POST /api/me`, or a token in `Authorization: Bearer` where accounts are on), ask
for a pair (`GET /api/next`), look at its two clips, and send an answer with its ticket and an id of
your own (`POST /api/vote`), which brings the next page. A refusal (4xx) says why in `detail`.
"""
YEAR_MS = 365 * 24 * 3600 * 1000
CAMPAIGN = "second_look_campaign"
_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"description": "Nobody is signed in (or has said a name); `detail` says what to do."},
    403: {"description": "Not with this role, or not with this ticket."},
    409: {"description": "It was not taken; `detail` says why. Repeating does not help."},
}
router = APIRouter(responses=_REFUSALS)

Named = Annotated[
    str | None, Query(description="Campaign; else the one switched to, else the app's own.")
]
Chosen = Annotated[str | None, Cookie(alias=CAMPAIGN, include_in_schema=False)]


@router.post("/api/me", tags=["people"], summary="Say a name")
def me(
    body: Me, request: Request, response: Response, desk: AtDesk, words: Spoken,
    chosen: Chosen = None,
) -> Page:  # fmt: skip
    """Say who is here, where there are no accounts; answers with that person's page.

    The name comes back as a signed cookie.
    """
    if desk.people.on:
        raise BarredError(403, "accounts_on")
    try:
        name = normalise(body.name)
    except UserError as error:
        raise HTTPException(422, str(error)) from error
    set_cookie(request, response, desk.seal.cookie(name), YEAR_MS)
    with _work(desk, plain_person(desk, name), words, _campaign(desk, None, chosen)) as pages:
        return pages.page()


@router.get("/api/next", tags=["work"], summary="The pair to answer now")
def next_pair(
    desk: AtDesk, annotator: Annotator, words: Spoken, campaign: Named = None, chosen: Chosen = None
) -> Page:
    """The pair to show now, or why there is none (`idle`).

    The pair is kept for this person for a while: asking again gives the same one.
    """
    with _work(desk, annotator, words, _campaign(desk, campaign, chosen)) as pages:
        return pages.page()


@router.post("/api/vote", tags=["work"], summary="Answer a pair")
def vote(body: Cast, desk: AtDesk, annotator: Annotator, words: Spoken) -> Taken:
    """Store an answer; it is on the disk when this returns.

    The same `id` again is a `duplicate`, answered in the same way. A blind answer brings the score
    (`reveal`), whose ticket is the right to keep or change; with `hold` it waits for `/api/reveal`.
    """
    ballot = _ballot(desk, annotator.id, body)
    with _work(desk, annotator, words, pair=ballot.pair) as pages:
        session = pages.session
        receipt = session.vote(ballot)
        opinion = None if ballot.revises else session.reveal(ballot)
        pair = session.catalogue.pair(ballot.pair)
        reveal = None
        if opinion is not None and pair is not None and not ballot.hold:
            reveal = pages.reveal(ballot.id, ballot.answer, pair, opinion, whole=False)
        page = pages.page() if opinion is None else pages.between()
        feedback = pages.feedback(ballot.id)
        return Taken(status=receipt.status, reveal=reveal, feedback=feedback, page=page)


@router.post("/api/reveal", tags=["work"], summary="See the score of a blind answer")
def reveal(body: AskReveal, desk: AtDesk, annotator: Annotator, words: Spoken) -> Reveal:
    """The score behind one's own newest, blind answer, and the right to keep or change.

    Until this is asked for, `/api/undo` leaves the pair blind: the slip has seen nothing.
    """
    asked = str(body.vote)
    with _work(desk, annotator, words, vote=asked) as pages:
        due, pair, opinion = pages.session.ask_reveal(asked)
        return pages.reveal(asked, answer_of(due), pair, opinion, whole=True)


@router.post("/api/undo", tags=["work"], summary="Take an answer back")
def undo(body: Undo, desk: AtDesk, annotator: Annotator, words: Spoken) -> Page:
    """Take back one of one's own last ten answers and show its pair again."""
    target = str(body.vote)
    with _work(desk, annotator, words, vote=target) as pages:
        return pages.page(first=pages.session.undo(str(body.id), target))


@router.get("/api/history", tags=["work"], summary="One's own answers")
def history(
    desk: AtDesk, annotator: Annotator, words: Spoken, campaign: Named = None, chosen: Chosen = None
) -> list[PastVote]:
    """One's own answers in this campaign, newest first, 50 at most, with what they replaced."""
    with _work(desk, annotator, words, _campaign(desk, campaign, chosen)) as pages:
        return pages.history()


@router.post("/api/reopen", tags=["work"], summary="Edit an earlier answer")
def reopen(body: Reopen, desk: AtDesk, annotator: Annotator, words: Spoken) -> Page:
    """The pair of an earlier answer; answering it with that ticket replaces the answer."""
    target = str(body.vote)
    with _work(desk, annotator, words, vote=target) as pages:
        return pages.reopened(target)


@router.post("/api/leave", tags=["work"], summary="Give the pair back")
def leave(desk: AtDesk, annotator: Annotator, words: Spoken) -> Left:
    """Let go of the pair that is kept for this person, for others; a closed tab sends this."""
    with _work(desk, annotator, words) as pages:
        return Left(released=pages.session.leave())


@router.post("/api/campaign", tags=["work"], summary="Switch to another campaign")
def switch(
    body: Switch, request: Request, response: Response, desk: AtDesk, annotator: Annotator,
    words: Spoken,
) -> Page:  # fmt: skip
    """Work in another campaign from now on; a cookie remembers it.

    The pair that was kept in the other one is free again.
    """
    name = _campaign(desk, body.name, None)
    set_cookie(request, response, quote(name, safe=""), YEAR_MS, name=CAMPAIGN)
    with _work(desk, annotator, words, name) as pages:
        return pages.page()


@router.get("/api/progress", tags=["work"], summary="How far one is")
def progress(
    desk: AtDesk, annotator: Annotator, words: Spoken, campaign: Named = None, chosen: Chosen = None
) -> Progress:
    """Done, left, today, what undo would take back, and where one stands in practice."""
    with _work(desk, annotator, words, _campaign(desk, campaign, chosen)) as pages:
        return pages.session.progress()


@router.get(
    "/api/export", tags=["lead"], summary="Every vote of a campaign",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {}, "text/csv": {}}}},
)  # fmt: skip
def votes(
    desk: AtDesk,
    lead: Lead,
    format: Annotated[str, Query(description="`jsonl` or `csv`")] = "jsonl",
    campaign: Named = None,
) -> StreamingResponse:
    """Every vote of a campaign, oldest first, one row each; for leads and admins.

    Undone and replaced votes are among them (`stands`), and those of people who do not count
    (`counts`); `check` names pairs that check people, whose votes are no labels.
    """
    del lead
    if format not in export.FORMATS:
        raise BarredError(422, "format", name=format, names=", ".join(export.FORMATS))
    name = _campaign(desk, campaign, None)
    return StreamingResponse(
        export.FORMATS[format](export.rows(desk.store, name)),
        media_type=export.MEDIA[format],
        headers={"content-disposition": f'attachment; filename="votes.{format}"'},
    )


@router.get("/clip/{token}", tags=["work"], summary="A clip", response_class=FileResponse)
def clip(token: str, desk: AtDesk, annotator: Annotator) -> FileResponse:
    """A clip, to the person that it was shown to: whole or by ranges (206).

    Only strings that this person was handed lead anywhere. The file's name and its date, which
    could tell generators apart, are not sent.
    """
    sha256 = desk.clip(annotator.id, token)
    path = playable(desk.db, sha256) if sha256 else None
    if path is None or not path.is_file():
        raise BarredError(404, "clip")
    return _sent(path, "video/mp4", token)


@router.get("/image/{token}", tags=["work"], summary="A first image", response_class=FileResponse)
def image(token: str, desk: AtDesk, annotator: Annotator) -> FileResponse:
    """The image that both clips of a pair begin with, to the person that it was shown to.

    As with clips, the file's name and its date are not sent.
    """
    path = desk.image(annotator.id, token)
    if path is None:
        raise BarredError(404, "image")
    return _sent(path, KINDS[path.suffix], token)


def _sent(path: Path, kind: str, token: str) -> FileResponse:
    headers = {"cache-control": "private, max-age=86400, immutable"}
    answer = FileResponse(path, media_type=kind, headers=headers, stat_result=path.stat())
    del answer.headers["last-modified"]
    answer.headers["etag"] = f'"{token}"'
    return answer


@contextmanager
def _work(
    desk: Desk,
    person: Person,
    words: Words,
    campaign: str | None = None,
    *,
    pair: str | None = None,
    vote: str | None = None,
) -> Iterator[Pages]:
    """This person at the desk; what they asked for and may not have becomes a 409 with why.

    `campaign` says where, or the campaign of a `pair`, or of the pair of a `vote`.
    """
    try:
        with desk.session(person.id, campaign, pair=pair, vote=vote) as session:
            yield Pages(desk, person, session, words)
    except RefusedError as refused:
        raise HTTPException(409, refused.said(words)) from refused
    except UserError as error:
        raise HTTPException(409, str(error)) from error


def _campaign(desk: Desk, named: str | None, chosen: str | None) -> str:
    """The campaign that was named, else the one switched to before, else the app's own.

    Raises:
        BarredError: 404, there is none of that name.
    """
    there = desk.campaigns()
    if named is not None and named not in there:
        raise BarredError(404, "campaign", name=named, names=", ".join(there))
    before = unquote(chosen) if chosen else None
    return named or (before if before in there else None) or desk.protocol.campaign


def _ballot(desk: Desk, annotator: str, body: Cast) -> Ballot:
    ticket = desk.seal.read_ticket(annotator, body.ticket)
    if ticket is None:
        raise BarredError(403, "ticket")
    said = body.model_dump(exclude={"id", "ticket", "flags"})
    handed = {"pair": ticket.pair, "exposure": ticket.exposure, "revises": ticket.revises}
    return Ballot(id=str(body.id), flags=tuple(body.flags), **said, **handed)
