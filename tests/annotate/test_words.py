"""The languages: every table has the same keys, and every sentence the same placeholders."""

from __future__ import annotations

import string

import pytest

from annotate.player import markup
from annotate.words import ENGLISH, LANGUAGES, RefusedError, choose, words
from data.omniscore import PROFILES

STAND_INS = {row.key: row.label for row in PROFILES["lite"].dimensions if row.heuristic}
TABLES = [name for name in vars(ENGLISH) if name.isupper() and name != "NAME"]


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
@pytest.mark.parametrize("table", TABLES)
def test_every_language_says_everything(language, table):
    english, other = getattr(ENGLISH, table), getattr(LANGUAGES[language], table)
    assert other.keys() == english.keys()
    for key, text in english.items():
        assert placeholders(other[key]) == placeholders(text), (table, key)
        assert bool(other[key]) == bool(text), (table, key)


def test_stand_ins_are_called_what_reports_call_them():
    assert ENGLISH.STAND_INS == STAND_INS
    for profile in PROFILES.values():
        heuristic = {row.key: row.label for row in profile.dimensions if row.heuristic}
        assert heuristic.items() <= STAND_INS.items()


def test_german_is_not_english_left_standing():
    same = [key for key, text in ENGLISH.PAGE.items() if LANGUAGES["de"].PAGE[key] == text]
    assert set(same) <= {"title", "opinion", "prompt", "keys_clips", "history_blind"}


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en-GB,en;q=0.9,de;q=0.8", "en"),
        ("fr,de;q=0.5,en;q=0.4", "de"),
        ("fr", "en"),
        ("de;q=0,en;q=0.1", "en"),
        ("de;q=much, en", "en"),
        ("*", "en"),
    ],
)
def test_the_browsers_languages_are_weighed(header, language):
    assert choose(header) == language


def test_where_nothing_fits_the_apps_own_language_is_spoken():
    assert choose("fr", "de") == "de"
    assert words("de").NAME == "Deutsch"
    assert words("tlh").NAME == "English"


def test_a_refusal_reads_in_english_and_can_be_said_in_german():
    refused = RefusedError("name_long", length=70)
    assert str(refused) == "That name has 70 letters; 64 are allowed."
    assert refused.said(words("de")) == "Dieser Name hat 70 Buchstaben; erlaubt sind 64."


def test_the_page_is_there_in_every_language_and_the_app_may_choose_one():
    page = markup("de")
    assert 'data-language="de"' in page
    for code, table in LANGUAGES.items():
        assert f'<template lang="{code}">' in page
        assert table.PAGE["vote_tie"] in page
    assert 'data-language="auto"' in markup()
