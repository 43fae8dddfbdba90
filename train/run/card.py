"""The model card of an adapter: `README.md` beside its weights, in the form that the hub reads.

It says what was trained on what: base model, label source and how many labels, the votes that were
in view, pair weights, every setting, and what the last evaluation found. A card is written from the
run's record and files, so that it says nothing that the run does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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


def write(run: RunFolder, model: VideoModel, metrics: Mapping[str, float]) -> Path:
    """Writes the card of a run of `train.dpo` into its adapter's folder.

    Args:
        run: With its adapter saved.
        model: What it was trained on.
        metrics: Of the finished run.
    """
    path = run.adapter / "README.md"
    lora = (run.adapter / WEIGHTS).is_file()
    kept = run.folder / "labels.jsonl"
    labels = len(kept.read_text().splitlines()) if kept.is_file() else 0
    write_whole(path, _text(run, model, metrics, lora=lora, labels=labels))
    return path


def _text(
    run: RunFolder, model: VideoModel, metrics: Mapping[str, float], *, lora: bool, labels: int
) -> str:
    record, config, base = run.record, run.record.config, model.source
    load = "\n".join(loading(run.adapter, model))
    source = str(config.get("labels", ""))
    facts = {
        "base model": base,
        "trained": "a LoRA" if lora else "all weights of the denoiser",
        "labels": f"{source}: {_SOURCES.get(source, source)}",
        "labelled pairs": labels,
        "data snapshot": f"votes up to number {record.snapshot}; labels {record.labels}",
        "pair weights": _weights(config),
        "code": record.code,
        "run": record.id,
    }
    return (
        "\n\n".join(
            (
                _front(base, lora=lora),
                f"# {run.folder.name}",
                "Weighted Diffusion-DPO on pairs of clips: `python -m train.dpo` of Second Look.",
                _table(("what", "value"), facts),
                "## How to load it",
                f"```python\n{load}\n```",
                "## What the last evaluation found",
                "On pairs of prompts that were held out; on training pairs where `held_out` is 0. "
                "Where `chosen_rise` is above 0, it denoises preferred clips worse than the base.",
                _table(
                    ("metric", "value"), {name: f"{value:.6g}" for name, value in metrics.items()}
                ),
                "## Settings",
                _table(("option", "value"), config),
            )
        )
        + "\n"
    )


def _front(base: str, *, lora: bool) -> str:
    """What the hub reads; a folder on this machine is no base model there."""
    lines = ["library_name: diffusers", f"tags: [text-to-video, dpo{', lora' if lora else ''}]"]
    if not Path(base).exists():
        lines.insert(0, f"base_model: {json.dumps(base)}")
    return "---\n" + "\n".join(lines) + "\n---"


def _weights(config: Mapping[str, Any]) -> str:
    names = ("weight_alpha", "weight_beta", "weight_clip", "weight_normalise")
    given = {name: config[name] for name in names if config.get(name) is not None}
    return ", ".join([str(config.get("weights")), *(f"{k} {v}" for k, v in given.items())])


def _table(header: tuple[str, str], rows: Mapping[str, Any]) -> str:
    lines = [f"| {header[0]} | {header[1]} |", "|---|---|"]
    return "\n".join(lines + [f"| {name} | {_cell(value)} |" for name, value in rows.items()])


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
