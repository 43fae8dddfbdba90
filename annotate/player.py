"""The annotator's page as one Gradio component: our own markup, style and script in a `gr.HTML`.

`gr.Video` is not used on purpose: it puts file names into the page and its addresses (a blind pair
would not be blind), opens full screen on iPhones, and two of them cannot be kept in step. The
component holds no data: the script asks the REST interface (`annotate/api.py`) for everything, so
no score can be in Gradio's props or configuration. Gradio gives the page around it.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from string import Template

import gradio as gr

from annotate.passwords import LEAST
from annotate.words import LANGUAGES, Words

STATIC = Path(__file__).parent / "static"
_START = "import(new URL('page/start.js', document.baseURI)).then((page) => page.start(element));"


def markup(language: str = "auto") -> str:
    """The page's HTML, once per language, in templates that the script chooses from.

    Args:
        language: which one, such as `de`; `auto` is the browser's own.
    """
    templates = (
        f'<template lang="{code}">{_filled(words)}</template>' for code, words in LANGUAGES.items()
    )
    noscript = " ".join(html.escape(words.PAGE["noscript"]) for words in LANGUAGES.values())
    return (
        f'<div class="sl-languages" data-language="{html.escape(language)}" hidden>'
        f"{''.join(templates)}</div><noscript>{noscript}</noscript>"
    )


def _filled(words: Words) -> str:
    """The page with its sentences in; the script gets the same tables as data."""
    tables = {
        **words.PAGE,
        "dimensions": words.MISSING,
        "stand_ins": words.STAND_INS,
        "questions": words.QUESTIONS,
        "languages": {code: other.NAME for code, other in LANGUAGES.items()},
        "least": LEAST,
    }
    data = html.escape(json.dumps(tables, ensure_ascii=False))
    escaped = {key: html.escape(text) for key, text in words.PAGE.items()}
    return Template((STATIC / "page.html").read_text()).substitute(escaped, words=data)


def player(language: str = "auto") -> gr.HTML:
    """The component; to be made inside `gr.Blocks`."""
    return gr.HTML(
        html_template=markup(language),
        js_on_load=_START,
        apply_default_css=False,
        container=False,
        padding=False,
    )
