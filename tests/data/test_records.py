"""Records refuse what cannot be, and keep one identity."""

from __future__ import annotations

import hashlib

import pytest

from data.records import Candidate, Pair, Preference, Prompt, Score, Vote, digest

LEFT, RIGHT = "a" * 64, "b" * 64


def vote(**changes: object) -> Vote:
    fields: dict[str, object] = {
        "id": "v1",
        "pair": "p",
        "annotator": "ann",
        "left": LEFT,
        "right": RIGHT,
        "outcome": "preference",
        "preferred": LEFT,
    }
    return Vote(**{**fields, **changes})  # pyright: ignore[reportArgumentType]


def test_digest_is_sha256_of_the_json_list() -> None:
    expected = hashlib.sha256(b'["prompt","a red circle"]').hexdigest()[:32]
    assert digest("prompt", "a red circle") == expected
    assert digest("ab", "c") != digest("a", "bc")


def test_a_prompt_is_its_text() -> None:
    assert Prompt(text="x", source="one").id == Prompt(text="x", split="test").id
    with pytest.raises(ValueError, match="empty"):
        Prompt(text="  ")


def test_a_pair_has_one_order() -> None:
    assert Pair.of(RIGHT, LEFT, prompt="q") == Pair.of(LEFT, RIGHT, prompt="q")
    with pytest.raises(ValueError, match="canonical"):
        Pair(prompt="q", a=RIGHT, b=LEFT)


def test_best_and_worst_are_the_pairs_own_clips() -> None:
    pair = Pair.of(LEFT, RIGHT, prompt="q", best=RIGHT, margin=0.1)
    assert (pair.best, pair.worst) == (RIGHT, LEFT)
    assert Pair.of(LEFT, RIGHT, prompt="q").worst is None
    with pytest.raises(ValueError, match=r"Pair\.best"):
        Pair.of(LEFT, RIGHT, prompt="q", best="c" * 64)
    with pytest.raises(ValueError, match="margin"):
        Pair.of(LEFT, RIGHT, prompt="q", best=RIGHT, margin=-0.1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_score_is_finite_or_absent(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Score(candidate=LEFT, scorer="s", version="1", dimension="d", value=value)


def test_a_vote_prefers_a_clip_that_was_shown() -> None:
    assert vote().preferred == LEFT
    with pytest.raises(ValueError, match=r"Vote\.preferred"):
        vote(preferred="c" * 64)
    with pytest.raises(ValueError, match=r"Vote\.preferred"):
        vote(outcome="tie")
    with pytest.raises(ValueError, match=r"Vote\.preferred"):
        vote(preferred=None)
    with pytest.raises(ValueError, match="undone"):
        vote(outcome="undo", preferred=None)


def test_impossible_clips_and_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="64 hex"):
        Candidate(sha256="x", prompt="p", path="", model="", fps=8, frames=1, width=1, height=1)
    with pytest.raises(ValueError, match="fps"):
        Candidate(sha256=LEFT, prompt="p", path="", model="", fps=0, frames=1, width=1, height=1)
    with pytest.raises(ValueError, match="probability"):
        Preference(
            pair="p", prompt="q", chosen=LEFT, rejected=RIGHT, probability=1.2, source="human"
        )
