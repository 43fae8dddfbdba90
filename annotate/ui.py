"""The pages in Gradio: today one, the annotator's.

A page for leads (dashboards, people) is another `demo.route` here, made of Gradio's own components.
"""

from __future__ import annotations

import gradio as gr

from annotate.player import player
from annotate.text import PAGE

_LOCAL = ["system-ui", "sans-serif"]


def theme() -> gr.themes.Base:
    """Gradio's plain theme with the fonts of the machine: the named ones would load from Google."""
    return gr.themes.Base(font=_LOCAL, font_mono=["ui-monospace", "monospace"])


def head() -> str:
    """Our own style sheet, linked: Gradio would rewrite the selectors of one that it is given."""
    return (
        '<link rel="stylesheet" href="page/page.css">'
        '<meta name="color-scheme" content="light dark">'
    )


def build() -> gr.Blocks:
    """The Gradio app; nothing about the database goes into it."""
    with gr.Blocks(title=PAGE["title"], fill_width=True, analytics_enabled=False) as demo:
        player()
    demo.queue(default_concurrency_limit=16)
    return demo
