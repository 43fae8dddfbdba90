"""The pages in Gradio: today one, the annotator's.

A page for leads (dashboards, people) is another `demo.route` here, made of Gradio's own components.
"""

from __future__ import annotations

import gradio as gr

from annotate.player import player
from annotate.words import ENGLISH

_LOCAL = ["system-ui", "sans-serif"]
_STYLES = ("page.css", "work.css", "dialogs.css")


def theme() -> gr.themes.Base:
    """Gradio's plain theme with the fonts of the machine: the named ones would load from Google."""
    return gr.themes.Base(font=_LOCAL, font_mono=["ui-monospace", "monospace"])


def head() -> str:
    """Our own style sheets, linked: Gradio would rewrite the selectors of one that it is given."""
    links = (f'<link rel="stylesheet" href="page/{style}">' for style in _STYLES)
    return "".join(links) + '<meta name="color-scheme" content="light dark">'


def build(language: str = "auto") -> gr.Blocks:
    """The Gradio app, in one language or the browser's; nothing about the database goes into it."""
    title = ENGLISH.PAGE["title"]
    with gr.Blocks(title=title, fill_width=True, analytics_enabled=False) as demo:
        player(language)
    demo.queue(default_concurrency_limit=16)
    return demo
