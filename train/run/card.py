"""The model card of an adapter: `README.md` beside its weights, in the form that the hub reads.

It says what was trained on what: base model, every setting, and what was found; of a run on pairs
its label source and how many labels, the votes that were in view and pair weights
(`train.reward.reward_card` has what is said of a run on rewards). A card is written from the run's
record and files, so that it says nothing that the run does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.models import VideoModel
from train.policy import WEIGHTS
from train.run.export import loading
from train.run.runs import RunFolder, write_whole

_SOURCES = {
    "human": "people's votes",
    "auto": "OmniScore's opinion (no person)",
    "posterior": "people's votes and calibrated OmniScore together",
}


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a card says beside what every card says."""

    method: str
    """A sentence."""
    tag: str
    facts: Mapping[str, Any]
    found: Sequence[str]
    """Paragraphs of Markdown, with their headings."""


def write(run: RunFolder, model: VideoModel, metrics: Mapping[str, float]) -> Path:
    """Writes the card of a run of `train.dpo` into its adapter's folder.

    Args:
        run: With its adapter saved.
        model: What it was trained on.
        metrics: Of the finished run.
    """
    record, config = run.record, run.record.config
    kept = run.folder / "labels.jsonl"
    source = str(config.get("labels", ""))
    account = Account(
        method="Weighted Diffusion-DPO on pairs of clips: `python -m train.dpo` of Second Look.",
        tag="dpo",
        facts={
            "labels": f"{source}: {_SOURCES.get(source, source)}",
            "labelled pairs": len(kept.read_text().splitlines()) if kept.is_file() else 0,
            "data snapshot": f"votes up to number {record.snapshot}; labels {record.labels}",
            "pair weights": _weights(config),
        },
        found=(
            "## What the last evaluation found",
            "On pairs of prompts that were held out; on training pairs where `held_out` is 0. "
            "Where `chosen_rise` is above 0, it denoises preferred clips worse than the base.",
            figures(metrics),
        ),
    )
    return written(run, model, account)


def written(run: RunFolder, model: VideoModel, account: Account) -> Path:
    """Writes a card with that account; returns its path."""
    path = run.adapter / "README.md"
    record, base = run.record, model.source
    lora = (run.adapter / WEIGHTS).is_file()
    load = "\n".join(loading(run.adapter, model))
    facts = {
        "base model": base,
        "trained": "a LoRA" if lora else "all weights of the denoiser",
        **account.facts,
        "code": record.code,
        "run": record.id,
    }
    paragraphs = (
        _front(base, account.tag, lora=lora),
        f"# {run.folder.name}",
        account.method,
        table(("what", "value"), facts.items()),
        "## How to load it",
        f"```python\n{load}\n```",
        *account.found,
        "## Settings",
        table(("option", "value"), record.config.items()),
    )
    write_whole(path, "\n\n".join(paragraphs) + "\n")
    return path


def _front(base: str, tag: str, *, lora: bool) -> str:
    """What the hub reads; a folder on this machine is no base model there."""
    lines = ["library_name: diffusers", f"tags: [text-to-video, {tag}{', lora' if lora else ''}]"]
    if not Path(base).exists():
        lines.insert(0, f"base_model: {json.dumps(base)}")
    return "---\n" + "\n".join(lines) + "\n---"


def _weights(config: Mapping[str, Any]) -> str:
    names = ("weight_alpha", "weight_beta", "weight_clip", "weight_normalise")
    given = {name: config[name] for name in names if config.get(name) is not None}
    return ", ".join([str(config.get("weights")), *(f"{k} {v}" for k, v in given.items())])


def figures(metrics: Mapping[str, float]) -> str:
    """A table of numbers by name."""
    return table(("metric", "value"), ((k, f"{value:.6g}") for k, value in metrics.items()))


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows in Markdown."""
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
