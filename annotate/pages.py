"""From a session to what the browser is told: every message is put together here, field by field.

Clips become addresses that are of use to this person only, keys become sentences in their language.
Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from annotate import casting
from annotate.campaigns import Campaign, Example
from annotate.desk import Desk
from annotate.identity import Ticket
from annotate.messages import (
    Asked,
    Choice,
    Due,
    Earlier,
    Elsewhere,
    Feedback,
    Notice,
    Page,
    PastVote,
    Reveal,
    Revision,
    Round,
    ShownCampaign,
    ShownExample,
    ShownPair,
)
from annotate.opinion import Opinion
from annotate.protocol import Showing
from annotate.questions import SKIPS, answers_of, flags_of
from annotate.rights import Person
from annotate.session import Session
from annotate.track import Chain
from annotate.words import Words
from data.records import Pair, Vote

HISTORY = 50
"""Answers that the history lists."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Messages for one person in one session."""

    desk: Desk
    person: Person
    session: Session
    words: Words

    def page(self, *, first: str | None = None) -> Page:
        """What comes next, with a pair if there is one; it is kept for this person.

        Args:
            first: a pair to show before all others.
        """
        return self._with(self.session.next(first))

    def between(self) -> Page:
        """A page without a pair, while the score of the last one is looked at."""
        return self._bare()

    def reopened(self, vote: str) -> Page:
        """The page with an earlier answer, open for editing, even where a score is due."""
        page = self._with(self.session.reopen(vote))
        page.due = None
        return page

    def _with(self, showing: Showing | None) -> Page:
        page = self._bare()
        if showing is None:
            page.idle = self.desk.idle(self.session, self.words)
            if not self.person.leads:
                page.idle = page.idle.without_commands()
        else:
            page.pair = self.shown(showing)
            page.preload = self._ahead(self.session.upcoming(showing))
        return page

    def _bare(self) -> Page:
        session, due, hint = self.session, self.session.due(), self.session.hint()
        return Page(
            annotator=self.person.name,
            role=self.person.role,
            accounts=self.desk.people.on,
            progress=session.progress(),
            campaign=self._campaign(session.campaign),
            due=None if due is None else Due(vote=UUID(due.id), answer=casting.answer_of(due)),
            notice=None if hint is None else Notice(
                kind=hint.kind, text=self.words.NOTICES[hint.kind].format(**hint.values)
            ),
        )  # fmt: skip

    def shown(self, showing: Showing) -> ShownPair:
        """The pair, with the right to answer it (or to answer it anew)."""
        left, right = self._addresses((showing.left, showing.right))
        revises = showing.revises
        ticket = Ticket(
            pair=showing.pair.id,
            exposure=showing.exposure,
            revises=None if revises is None else revises.id,
        )
        return ShownPair(
            ticket=self.desk.seal.ticket(self.session.annotator, ticket),
            prompt=showing.prompt,
            left=left,
            right=right,
            image=self._image(showing.left, showing.right),
            fps=showing.fps,
            scored=showing.scored,
            opinion=showing.opinion,
            practice=showing.practice,
            previous=None if revises is None else _earlier(revises),
        )

    def reveal(
        self, vote: str, answer: casting.Answer, pair: Pair, opinion: Opinion, *, whole: bool
    ) -> Reveal:
        """The score behind a blind vote; with `whole` the pair too, for a page loaded again."""
        ticket = Ticket(pair=pair.id, exposure="shown", revises=vote)
        return Reveal(
            ticket=self.desk.seal.ticket(self.session.annotator, ticket),
            answer=answer,
            opinion=opinion,
            vote=UUID(vote),
            pair=self.shown(self.session.show(pair)) if whole else None,
        )

    def feedback(self, vote: str) -> Feedback | None:
        """What is told after a practice answer; None after any other."""
        lesson = self.session.asking.lesson(vote)
        if lesson is None:
            return None
        after = lesson.after
        ended = after.done == after.of
        return Feedback(
            right=lesson.right,
            expected=lesson.expected,
            why=lesson.why,
            round=Round(
                passed=lesson.passed, right=after.right, of=after.of, tries_left=after.tries_left
            ) if ended else None,
        )  # fmt: skip

    def history(self) -> list[PastVote]:
        """The newest answers, newest first, those of practice left out."""
        return [one for chain in self.session.track.recent(HISTORY) for one in self._past(chain)]

    def _past(self, chain: Chain) -> Iterator[PastVote]:
        vote = chain.standing
        pair = self.session.catalogue.pair(chain.pair)
        if vote is None or pair is None:
            return
        earlier = (one for one in chain.votes if one is not vote)
        yield PastVote(
            vote=UUID(vote.id),
            prompt=self.session.catalogue.prompt(pair),
            image=self._image(pair.a, pair.b),
            answer=casting.answer_of(vote),
            strength=vote.strength,
            answers=answers_of(vote.answers),
            comment=casting.comment_of(vote),
            flags=flags_of(vote.answers),
            exposure=vote.exposure,
            time_ms=vote.time_ms,
            revisions=[
                Revision(answer=casting.answer_of(one), exposure=one.exposure, time_ms=one.time_ms)
                for one in earlier
            ],
            editable=True,
        )

    def _campaign(self, campaign: Campaign) -> ShownCampaign:
        words = self.words
        return ShownCampaign(
            name=campaign.name,
            title=campaign.title,
            guideline=campaign.guideline,
            examples=[self._example(one) for one in campaign.examples],
            questions=[
                Asked(key=key, text=words.QUESTIONS[key], rule=words.QUESTIONS[f"{key}_rule"])
                for key in campaign.questions
            ],
            strength=campaign.strength,
            comments=campaign.comments,
            flags=[Choice(key=key, text=words.FLAGS[key]) for key in campaign.flags],
            skips=[Choice(key=key, text=words.SKIPS[key]) for key in SKIPS],
            gate=campaign.gate,
            campaigns=self._elsewhere(),
        )

    def _example(self, example: Example) -> ShownExample:
        there = self.session.catalogue.has_clip
        clips = [clip for clip in (example.left, example.right) if clip and there(clip)]
        left, right = self._addresses(clips) if len(clips) == 2 else (None, None)
        return ShownExample(
            prompt=example.prompt, better=example.better, why=example.why, left=left, right=right
        )

    def _elsewhere(self) -> list[Elsewhere]:
        return [
            Elsewhere(name=name, title=one.title or name, left=self.desk.left(name, self.person.id))
            for name, one in self.desk.campaigns().items()
        ]

    def _addresses(self, clips: Iterable[str]) -> list[str]:
        seal, who = self.desk.seal, self.session.annotator
        return [f"clip/{seal.token(who, one)}" for one in clips]

    def _image(self, one: str, other: str) -> str | None:
        """The address of the image that two clips begin with: the same, whoever stands left."""
        digest = self.desk.beginnings.of(one, other)
        token = digest and self.desk.seal.token(self.session.annotator, digest)
        return f"image/{token}" if token else None

    def _ahead(self, clips: tuple[str, ...]) -> list[str]:
        image = self._image(*clips) if clips else None
        return [*self._addresses(clips), *([image] if image else [])]


def _earlier(vote: Vote) -> Earlier:
    return Earlier(
        answer=casting.answer_of(vote),
        strength=vote.strength,
        answers=answers_of(vote.answers),
        comment=casting.comment_of(vote),
        flags=flags_of(vote.answers),
    )
