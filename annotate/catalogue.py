"""What the database holds, in memory, for the page: read at the start and again when it grew.

Other commands add clips, scores and pairs while the app runs (through the owner's socket); the page
picks them up without a restart. Everything here is rebuilt from the store: nothing is decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from annotate.idle import Counts
from annotate.ledger import Ledger
from annotate.opinion import Opinions
from data.records import Candidate, Pair, Prompt
from data.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """One reading of the database for one campaign."""

    prompts: Mapping[str, Prompt]
    candidates: Mapping[str, Candidate]
    pairs: Mapping[str, Pair]
    """Of this campaign, by id; only pairs whose prompt and both clips are here too."""
    other_campaigns: tuple[str, ...]
    opinions: Opinions
    scored: int
    ledger: Ledger

    @classmethod
    def read(cls, store: Store, *, campaign: str, profile: str) -> Catalogue:
        """Everything that the page needs, from the store."""
        prompts = {prompt.id: prompt for prompt in store.all("prompts")}
        candidates = {clip.sha256: clip for clip in store.all("candidates")}
        pairs = store.all("pairs")
        scores = store.all("scores")
        return cls(
            prompts=prompts,
            candidates=candidates,
            pairs={
                pair.id: pair  # an id is a hash: worked out once, here
                for pair in pairs
                if pair.campaign == campaign
                and pair.prompt in prompts
                and {pair.a, pair.b} <= candidates.keys()
            },
            other_campaigns=tuple(sorted({pair.campaign for pair in pairs} - {campaign})),
            opinions=Opinions(scores, profile=profile),
            scored=len({score.candidate for score in scores}),
            ledger=Ledger(store.all("votes")),
        )

    def counts(self, annotator: str) -> Counts:
        """How full the database is for this annotator."""
        return Counts(
            candidates=len(self.candidates),
            scored=self.scored,
            pairs=len(self.pairs),
            other_campaigns=self.other_campaigns,
            answered=sum(annotator in self.ledger.standing(pair) for pair in self.pairs),
        )
