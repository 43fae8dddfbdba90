"""Tokens of clips: opaque, everybody's own, and nothing is kept to read them back."""

from __future__ import annotations

import pytest

from annotate.identity import Seal
from tests.annotate.small import sha

SEAL = Seal(b"one secret")
CLIP = sha("clip")


def test_a_token_is_read_back_by_the_one_it_was_made_for():
    token = SEAL.token("anna", CLIP)
    assert SEAL.read_token("anna", token) == CLIP
    assert SEAL.read_token("bob", token) is None
    assert Seal(b"another").read_token("anna", token) is None
    assert token == Seal(b"one secret").token("anna", CLIP)  # also after a restart
    assert len(token) == 96
    assert CLIP[:8] not in token


@pytest.mark.parametrize("place", [0, 31, 32, 95])
def test_a_changed_token_is_none(place: int):
    token = SEAL.token("anna", CLIP)
    other = "0" if token[place] != "0" else "1"
    assert SEAL.read_token("anna", token[:place] + other + token[place + 1 :]) is None


@pytest.mark.parametrize("text", ["", "zz", CLIP, "0" * 96, "../etc/passwd", "é" * 96, "0" * 4000])
def test_other_texts_are_none(text: str):
    assert SEAL.read_token("anna", text) is None


def test_one_spelling_only():
    token = SEAL.token("anna", CLIP)
    for other in (
        token.upper(),
        f" {token}",
        token + "00",
        token[:-2],
        token[:32] + " " + token[32:],
    ):
        assert SEAL.read_token("anna", other) is None


def test_tokens_of_clips_have_nothing_in_common():
    tokens = {SEAL.token(who, sha(name)) for who in ("anna", "bob") for name in "abcdefgh"}
    assert len({token[:32] for token in tokens}) == len({token[32:] for token in tokens}) == 16
    # Clips that differ in one digit: half of the bits of what hides them differ all the same.
    near = CLIP[:-1] + ("0" if CLIP[-1] != "0" else "1")
    one, other = (int(SEAL.token("anna", clip)[32:], 16) for clip in (CLIP, near))
    assert 80 < (one ^ other).bit_count() < 176  # 128 of 256, 6 standard deviations of 8
