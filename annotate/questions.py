"""What the annotator is asked, as entries: a new question is a new entry, never a schema change.

Answers are stored by key (`Vote.answers`), each `left`, `right` or `tie`. `overall` is the vote
itself (`Vote.outcome`, `Vote.preferred`) and therefore always asked. The wording follows the
three-dimension protocol of VideoAlign (arXiv 2501.13918) and T2VHE (arXiv 2406.08845): one
criterion at a time, worded positively. Left out on purpose: which campaign asks which questions (a
later page of the lead's); today every campaign asks `ASKED`.
"""

from __future__ import annotations

from dataclasses import dataclass

from data.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question about two clips, answered left, right or tie."""

    key: str
    """Stored with the answer: never renamed."""
    text: str
    rule: str = ""
    """What decides when criteria conflict; shown beside the question."""


OVERALL = "overall"
_TABLE = (
    Question(
        key="visual",
        text="Which clip looks better made, frame by frame?",
        rule="Fidelity before beauty.",
    ),
    Question(
        key="motion",
        text="In which clip is the movement more natural, smooth and plausible?",
        rule="Consistency before flicker, smoothness before the amount of motion.",
    ),
    Question(
        key="alignment",
        text="Which clip shows what the prompt asks for?",
        rule="Objects and counts before actions, actions before style.",
    ),
    Question(key=OVERALL, text="All things considered, which clip would you keep?"),
)
QUESTIONS: dict[str, Question] = {question.key: question for question in _TABLE}
ASKED = (OVERALL,)
"""Keys of the questions that are asked now, in order; `overall` comes last, so it can weigh."""


def asked(keys: tuple[str, ...] = ASKED) -> tuple[Question, ...]:
    """The questions behind `keys`, in that order; `UserError` for a key that has no entry."""
    unknown = [key for key in keys if key not in QUESTIONS]
    if unknown:
        raise UserError(f"No question {unknown[0]!r}; there are: {', '.join(QUESTIONS)}")
    return tuple(QUESTIONS[key] for key in keys)
