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

from annotate.questions import asked
from annotate.text import PAGE

STATIC = Path(__file__).parent / "static"
_START = "import(new URL('page/page.js', document.baseURI)).then((page) => page.start(element));"


def markup() -> str:
    """The page's HTML with its sentences filled in; the script gets the same table as data."""
    words = {**PAGE, "question": asked()[-1].text}
    table = html.escape(json.dumps(words, ensure_ascii=False))
    escaped = {key: html.escape(text) for key, text in words.items()}
    return Template((STATIC / "page.html").read_text()).substitute(escaped, words=table)


def player() -> gr.HTML:
    """The component; to be made inside `gr.Blocks`."""
    return gr.HTML(
        html_template=markup(),
        js_on_load=_START,
        apply_default_css=False,
        container=False,
        padding=False,
    )
