"""What the model card of a run on rewards says: rewards, their loss, before and after, the watch.

Written from the run's record and `metrics.jsonl`, as every card (`train.run.card`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from train.models import VideoModel
from train.reward.watch import best_scale, given, scales_of
from train.run import card
from train.run.runs import RunFolder

_METHODS = {
    "vader": "Gradients of rewards through the sampler (VADER): `python -m train.vader`",
    "ddpo": "Policy gradient on rewards (DDPO): `python -m train.ddpo`",
}
_LOOKED_AT = ("reward", "held_out", "saturated", "chroma", "fine", "motion")
_LIMITS = (
    "The reward is what was optimised: that it rose does not say that clips are better. A scorer's "
    "errors are followed as well as its knowledge (colours, patterns, stillness). Judge clips with "
    "scorers that are not among the rewards, or with people: `python -m train.compare`."
)


def write(
    run: RunFolder, model: VideoModel, metrics: Mapping[str, float], prompts: Sequence[str]
) -> Path:
    """Writes the card of a run of `train.vader` or `train.ddpo` into its adapter's folder.

    Args:
        run: With its adapter saved.
        model: What it was trained on.
        metrics: Of the finished run.
        prompts: That were sampled.
    """
    record, logged = run.record, run.logged()
    account = card.Account(
        method=f"{_METHODS[record.kind]} of Second Look.",
        tag=record.kind,
        facts={
            "rewards, with weights": record.config["reward"],
            **_way(record.config),
            "train prompts": f"{len(prompts)}; digest {record.labels}",
        },
        found=(
            "## Before and after",
            _training(logged),
            *_looks(logged, record.config),
            card.figures(metrics),
            *_decoder(logged, record.config),
            "## Limits",
            _LIMITS,
        ),
    )
    return card.written(run, model, account)


def _way(config: Mapping[str, Any]) -> dict[str, str]:
    """The loss and where its gradient went, of a run that has them."""
    if "loss" not in config:
        return {"update": f"{config['updates']} per step, ratio clipped at {config['clip']}"}
    aim = "" if config["loss"] == "negative-mean" else f", target {config['target']:g}"
    special = {name: config[name] for name in ("inner", "shortcut") if config[name]}
    steps = {"backprop": config["backprop"], "K": config["k"], **special}
    return {
        "loss": f"{config['loss']}{aim}",
        "sampler steps with gradient": ", ".join(f"{k} {v}" for k, v in steps.items()),
        "frames scored": config["score_frames"],
    }


def _decoder(logged: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> list[str]:
    """What was lost by a decoder that is not the model's own, where one was used."""
    found = next((line for line in logged if line["split"] == "decoder"), None)
    if found is None:
        return []
    sizes = {name: value for name, value in found.items() if name not in ("step", "split")}
    return [
        f"Scored frames were decoded by {config['decoder']}. Before the first step, rewards of "
        "clips of the reference through it, less those through the model's own decoder; their "
        "correlation over clips; and the cosine of the two gradients with respect to latents:",
        card.figures(sizes),
    ]


def _training(logged: Sequence[Mapping[str, Any]]) -> str:
    train = [line["reward"] for line in logged if line["split"] == "train"]
    if not train:
        return "No step was made."
    return (
        f"Mean reward of the clips sampled for training: {train[0]:.4g} in the first of "
        f"{len(train)} steps, {train[-1]:.4g} in the last."
    )


def _looks(logged: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> list[str]:
    """The base model's look beside that of the adapter, and the watch's verdict."""
    by = {name: [line for line in logged if line["split"] == name] for name in ("watch", "stop")}
    base, kept = next((line for line in logged if line["split"] == "base"), None), given(logged)
    if base is None or kept is None:
        return ["No fixed clips were looked at: whether the reward was hacked is not known."]
    rows = [(name, f"{base[name]:.4g}", f"{kept[name]:.4g}") for name in _LOOKED_AT if name in kept]
    beside = config["watch"] or "nothing"
    return [
        f"On fixed clips of prompts from the split `test` where there are any (held out: {beside};"
        " the rest is explained in `train.reward.watch`):",
        card.table(("measure", "base model", f"after {kept['step']} steps"), rows),
        _verdict(by["watch"], by["stop"], kept),
        *_scale(logged),
    ]


def _scale(logged: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which LoRA scale did best at that look, where several were tried."""
    best = best_scale(logged)
    if best is None:
        return []
    lines = scales_of(logged)
    name = "held_out" if "held_out" in lines[0] else "reward"
    tried = ", ".join(f"{line[name]:.4g} at {line['scale']:g}" for line in lines)
    return [
        f"LoRA scales, by the measure {name} on the same clips: {tried}. Best is {best:g}; the "
        "adapter here is as trained (scale 1)."
    ]


def _verdict(
    looks: Sequence[Mapping[str, Any]],
    stops: Sequence[Mapping[str, Any]],
    kept: Mapping[str, Any],
) -> str:
    if stops:
        which = "the last look without complaint" if not kept["broken"] else "the last step"
        return (
            f"The watch ended the run before step {stops[-1]['step']}: {stops[-1]['reason']}. This "
            f"adapter is that of {which}."
        )
    complaints = [f"{line['broken']} at step {line['step']}" for line in looks if line["broken"]]
    found = "; ".join(complaints) or "none"
    return f"The watch did not end the run. Rules broken at its {len(looks)} looks: {found}."
