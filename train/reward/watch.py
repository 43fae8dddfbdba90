"""Is the reward being hacked? Looks at fixed clips of the policy beside those of the base model.

A reward that is followed by its gradient is soon raised in ways that nobody wants: colours
saturate, patterns appear, clips stand still (training rewards rise on). A look samples the same
prompts from the same noise every time and measures, as means over the clips:

- `reward`: what is trained on;
- `held_out`: a scorer that is not;
- `saturated`, `chroma`, `fine`, `motion`: what needs no scorer (`train.sampling.appearance`).

Rules compare a look with the base model's on the same noise;
one that is broken `patience` looks in a row ends the run and says why. The limits are ours: wide
enough for what `shapes` gains honestly, and not tuned on anything else.

Left out on purpose: a network that recognises artefacts, and mending the reward.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from peft.helpers import rescale_adapter_scale
from torch import Tensor

from data.errors import UserError
from train.models import SampleSettings
from train.policy import Policy
from train.reward.rewards import Mixture
from train.sampling.appearance import measured
from train.sampling.rollout import Guidance, Sampler, clip_seed, denoise, initial_noise

USUAL = {
    "held-out": 0.5, "saturated": 0.1, "chroma": 1.5, "fine": 1.75, "motion": 0.5, "patience": 2.0,
}  # fmt: skip
"""`held-out`: deviations (over clips of the base) that it may fall while the reward rises.
`saturated`: share that may be added. `chroma`, `fine`: largest ratio to the base. `motion`:
smallest ratio to the base. `drift` is no usual rule, since its size is a model's own."""
RULES = (*USUAL, "drift")
_LEVEL = 1 / 255


@dataclass(frozen=True, kw_only=True)
class Look:
    """Means over the clips of one look."""

    reward: float
    held_out: float
    """NaN where nothing is held out."""
    held_out_deviation: float
    """Over the clips."""
    saturated: float
    chroma: float
    fine: float
    motion: float


def rules(text: str) -> dict[str, float]:
    """`"held-out:0.5,motion:0.3"` to limits by rule; `auto` is `USUAL`, `none` is empty.

    Raises:
        UserError: an unknown rule, or no positive number.
    """
    if text in ("auto", "none"):
        return dict(USUAL) if text == "auto" else {}
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition(":")
        limit = float(number) if number.replace(".", "", 1).isdigit() else math.nan
        if name not in RULES or not limit > 0:
            raise UserError(
                f"--stop is {text!r}; write auto, none, or rule:limit,... with {', '.join(RULES)} "
                "and limits above 0"
            )
        found[name] = limit
    return found


def broken(
    base: Look, look: Look, limits: Mapping[str, float], drift: float = 0.0
) -> dict[str, str]:
    """The rules that a look breaks, each with what was found, in words."""
    found: dict[str, str] = {}
    fall = base.held_out - look.held_out
    allowed = limits.get("held-out", math.inf) * base.held_out_deviation
    if look.reward > base.reward and fall > allowed:
        found["held-out"] = (
            f"the held-out reward fell from {base.held_out:.3f} to {look.held_out:.3f} while the "
            f"reward rose from {base.reward:.3f} to {look.reward:.3f}"
        )
    added = look.saturated - base.saturated
    if added > limits.get("saturated", math.inf):
        found["saturated"] = f"{added:.0%} more of all pixel values are black or white"
    for name in ("chroma", "fine", "motion"):
        ratio = (getattr(look, name) + _LEVEL) / (getattr(base, name) + _LEVEL)
        least, most = (0.0, limits.get(name, math.inf))
        if name == "motion":
            least, most = limits.get(name, 0.0), math.inf
        if not least <= ratio <= most:
            found[name] = f"{name} is {ratio:.2f} times the base model's"
    if drift > limits.get("drift", math.inf):
        found["drift"] = f"predictions are {drift:.3g} (mean square) from the reference's"
    return found


def verdict(breaches: Sequence[Mapping[str, str]], patience: int) -> str:
    """Why to stop, from what each look so far broke, oldest first; empty where there is no reason.

    A rule counts when each of the last `patience` looks broke it.
    """
    last = breaches[-patience:]
    if len(last) < patience:
        return ""
    lasting = set(last[0]).intersection(*last[1:])
    return "; ".join(last[-1][name] for name in last[-1] if name in lasting)


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What is looked at, and the scorers that look."""

    policy: Policy
    reward: Mixture
    held_out: Mixture | None
    prompts: Sequence[str]
    """One clip each."""
    settings: SampleSettings
    seed: int
    batch: int
    """Clips that are sampled together."""

    def base(self) -> Look:
        """A look at the reference."""
        with self.policy.reference():
            return self.look()

    @torch.no_grad()
    def look(self) -> Look:
        """A look at the policy as it is now."""
        rows: dict[str, list[Tensor]] = {}
        for start in range(0, len(self.prompts), self.batch):
            for name, values in self._batch(self.prompts[start : start + self.batch]).items():
                rows.setdefault(name, []).append(values.double().cpu())
        whole = {name: torch.cat(parts) for name, parts in rows.items()}
        deviation = whole["held_out"].std(correction=0).item()
        means = {name: values.mean().item() for name, values in whole.items()}
        return Look(held_out_deviation=deviation, **means)

    def _batch(self, prompts: Sequence[str]) -> dict[str, Float[Tensor, " b"]]:
        model, settings = self.policy.model, self.settings
        noise = initial_noise(model, settings, [clip_seed(self.seed, one, 0) for one in prompts])
        guidance = Guidance.of(model, prompts, settings.guidance)
        sampler = Sampler(model, settings.steps, noise.shape[1:])
        frames = model.decode(denoise(sampler, noise, guidance))
        unseen = torch.full((len(frames),), math.nan)
        other = self.held_out(frames, prompts, settings.fps) if self.held_out else unseen
        reward = self.reward(frames, prompts, settings.fps)
        return {"reward": reward, "held_out": other, **measured(frames)}

    def sweep(self, scales: Sequence[float]) -> dict[float, Look]:
        """A look at each scale of the adapter: 0 is the bare model, 1 the policy."""
        found = {}
        for scale in scales:
            with scaled(self.policy, scale):
                found[scale] = self.look()
        return found


@contextmanager
def scaled(policy: Policy, scale: float) -> Iterator[None]:
    """Within: the adapter has `scale` times its effect (DRaFT's guard against over-training)."""
    with rescale_adapter_scale(policy.model.network, scale):
        yield


def given(logged: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The look of the adapter that a run gives, from what it logged; None without looks.

    That is the last one, or where the run was ended, the last one without complaint.
    """
    looks = [line for line in logged if line["split"] == "watch"]
    sound = [line for line in looks if not line["broken"]]
    ended = any(line["split"] == "stop" for line in logged)
    return (sound if ended and sound else looks or [None])[-1]


def scales_of(logged: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines of the adapter that a run gives, one per LoRA scale."""
    look = given(logged)
    lines = [line for line in logged if line["split"] == "scale"]
    return [line for line in lines if look and line["step"] == look["step"]]


def best_scale(logged: Sequence[Mapping[str, Any]]) -> float | None:
    """The scale with the highest held-out reward, else reward; None where fewer than two are there.

    For information: no adapter is changed, and the scale is chosen on the clips that it is told of.
    """
    lines = scales_of(logged)
    if len(lines) < 2:
        return None
    return float(max(lines, key=lambda line: line.get("held_out", line["reward"]))["scale"])


def plain(look: Look) -> dict[str, float]:
    """A look's numbers for a log; without what was not measured."""
    return {name: value for name, value in asdict(look).items() if math.isfinite(value)}
