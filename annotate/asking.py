"""Which pair an annotator is asked next, and why: practice, gold, a repeat, or the work itself.

Everything follows from the stored votes and from hashes: nothing is drawn twice, nothing is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotate import checks
from annotate.campaigns import Campaign
from annotate.catalogue import Catalogue
from annotate.frontier import Frontier, Queue
from annotate.protocol import Lesson, Verdict
from annotate.track import Kind, Track, kind_of
from data.decisions import Gold
from data.records import Pair, Vote

EVERYBODY = 2**31 - 1
"""People wanted for a pair that checks people: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The pairs of one campaign whose answer is known."""

    gold: tuple[str, ...] = ()
    practice: tuple[str, ...] = ()
    answers: Mapping[str, Gold]
    """By pair, of every campaign."""

    @classmethod
    def of(cls, catalogue: Catalogue, campaign: str, answers: Mapping[str, Gold]) -> Known:
        """Those that are in the catalogue and have an answer."""
        ids = {
            use: tuple(
                one for pair in catalogue.special(campaign, use) if (one := pair.id) in answers
            )
            for use in ("gold", "practice")
        }
        return cls(gold=ids["gold"], practice=ids["practice"], answers=answers)


def kind_in(catalogue: Catalogue, campaign: str, pair: str) -> Kind | None:
    """What a pair is in this campaign; None where it is not in it."""
    strategy = catalogue.strategy(pair, campaign)
    return None if strategy is None else kind_of(strategy)


@dataclass(frozen=True, slots=True)
class Asking:
    """What one annotator is asked in one campaign."""

    catalogue: Catalogue
    queue: Queue
    campaign: Campaign
    known: Known
    track: Track
    annotator: str
    tries: int = 0
    """Practice rounds that a lead has allowed beyond the campaign's."""

    @property
    def frontier(self) -> Frontier:
        """The work, in this annotator's order."""
        return self.queue.frontier(self.annotator)

    def check(self, number: int) -> Pair | None:
        """The gold pair or repeat that the answer with this number, from 0, goes to.

        None for most, and where the work is done. A repeat may not be in the store yet.
        """
        drawn = checks.drawn(self.campaign, self.annotator, number)
        if drawn is None or next(self.frontier.ranked(), None) is None:
            return None
        if drawn == "gold":
            gold = checks.next_gold(self.campaign, self.annotator, self.known.gold, self.track)
            return None if gold is None else self.catalogue.pair(gold)
        pair_of = self.catalogue.pair
        return checks.next_repeated(self.campaign, self.annotator, self.track, pair_of)

    def people(self, pair: str) -> int:
        """How many people this pair wants."""
        return self.queue.wanted(pair) if self.track.kind(pair) == "work" else EVERYBODY

    def takes(self, pair: str) -> bool:
        """Whether this annotator may be asked this pair now."""
        kind = self.track.kind(pair)
        if kind is None or kind == "practice" or self.track.standing(pair) is not None:
            return False
        return self.frontier.takes(pair) if kind == "work" else True

    def taken_back(self) -> str | None:
        """The pair that was undone last, where nothing was answered since."""
        newest = next(self.track.rows(), None)
        return newest.pair if newest is not None and newest.outcome == "undo" else None

    def left(self) -> int:
        """Answers that this annotator may still be asked for.

        Gold and repeats are counted in: it goes down by one with every answer, whichever it was, or
        the counter would tell them apart.
        """
        work = self.frontier.left
        if not work or not self.campaign.gold + self.campaign.repeat:
            return work
        whole = work + self.track.done_of("work")
        gold = len(self.known.gold)
        planned = checks.answers_in_all(self.campaign, self.annotator, whole, gold)
        return max(1, planned - self.track.done)

    # Practice

    def practice(self) -> checks.Rounds | None:
        """The practice that comes before the work; None once it is passed, or where none is."""
        if self._of == 0 or self.track.began():
            return None
        answers = checks.answered_in_practice(self.track)
        found = self._rounds(answers)
        return None if found.passed else found

    def practice_pair(self) -> Pair | None:
        """The pair that is practised now."""
        answered = len(checks.answered_in_practice(self.track))
        due = checks.practice_pair(self.campaign, self.annotator, self.known.practice, answered)
        return None if due is None else self.catalogue.pair(due)

    def lesson(self, vote: str) -> Lesson | None:
        """What to tell after a practice answer; None for any other."""
        chain = self.track.chain(vote)
        gold = None if chain is None else self.known.answers.get(chain.pair)
        if chain is None or gold is None or chain.kind != "practice":
            return None
        answers = checks.answered_in_practice(self.track)
        upto = next(at for at, one in enumerate(answers, start=1) if one.id == vote)
        said = answers[upto - 1]
        found = self._rounds(answers[:upto], last=True)
        side: Verdict = "left" if gold.expected == said.left else "right"
        return Lesson(
            right=checks.is_right(said, gold),
            expected="tie" if gold.expected is None else side,
            why=gold.why,
            after=found.now,
            passed=found.passed,
        )

    @property
    def _of(self) -> int:
        """Pairs of a round: what is asked for, as far as there are so many."""
        return min(self.campaign.practice, len(self.known.practice))

    def _rounds(self, answers: Sequence[Vote], *, last: bool = False) -> checks.Rounds:
        tries = self.campaign.practice_tries + self.tries
        share, right = self.campaign.practice_pass, self._right(answers)
        return checks.rounds(right, of=max(1, self._of), share=share, tries=tries, last=last)

    def _right(self, answers: Sequence[Vote]) -> list[bool]:
        known = self.known.answers
        return [vote.pair in known and checks.is_right(vote, known[vote.pair]) for vote in answers]
