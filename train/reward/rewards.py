"""Rewards by name, and what is descended on: `shapes`, `hpsv2.1:1,aesthetic:0.1`.

A reward is any scorer that promises gradients (for `train.ddpo`, any scorer); it has no sign, scale
or target of its own. A clip's reward is the weighted sum over the named scorers of the mean over
each one's dimensions. Options of a scorer stand behind a question mark: `yolos?target=cat:1`,
`hps?dialect=vader&version=hpsv2`. The shape of the loss is chosen by name:

- `negative-mean`: -mean R;
- `distance`: mean |target - R|;
- `hinge`: mean max(0, target - R), nothing is gained above the target (ReFL, Xu et al. 2023).

A loss has no weight of its own: that of the reward does it, since w |target - R| is |w target - w
R|. VADER's aesthetic loss 0.1 |10 - R| is `aesthetic:0.1` at a distance from 1.

Left out on purpose: penalties for drifting from the base model; K, the learning rate and the number
of steps are what bounds it here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import scorers
from data.errors import UserError
from data.profile import Profile
from scorers.protocol import Scorer
from scorers.shared import sharing
from train.reward.omni_reward import NAME as OMNISCORE
from train.reward.omni_reward import OmniReward

RewardLoss = Callable[[Float[Tensor, " b"], float], Float[Tensor, ""]]
LOSSES: dict[str, RewardLoss] = {
    "negative-mean": lambda rewards, target: -rewards.mean(),  # noqa: ARG005
    "distance": lambda rewards, target: (target - rewards).abs().mean(),
    "hinge": lambda rewards, target: (target - rewards).clamp(min=0).mean(),
}
"""Loss of a batch's rewards and a target, to be descended, by the name that `train.vader` takes."""


def parse(text: str) -> dict[str, float]:
    """`"hps:1,aesthetic:0.1"` to weights by scorer with its options; one without a weight has 1.

    Raises:
        UserError: empty, a weight that is no finite number or is 0, or a name twice.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition(":")
        try:
            weight = float(number or 1)
        except ValueError:
            weight = math.nan
        if not name or name in weights or not math.isfinite(weight) or weight == 0:
            raise UserError(
                f"--reward is {text!r}; write scorer[?option=value][:weight],... with each scorer "
                "once and weights other than 0, for example hpsv2.1:1,aesthetic:0.1"
            )
        weights[name] = weight
    return weights


def loaded(
    spec: str,
    device: torch.device | str,
    *,
    gradients: bool = True,
    dtype: torch.dtype | None = None,
    weights_dir: str | None = None,
) -> Scorer:
    """The scorer that `scorer?option=value&option=value` names; with `gradients`, a reward.

    Raises:
        UserError: no such scorer or option, an option without a value, or one without gradients.
    """
    name, _, rest = spec.partition("?")
    demand_no_judge([name])
    parts = [part.partition("=") for part in rest.split("&") if part]
    if bad := [option for option, _, value in parts if not value]:
        raise UserError(f"--reward {spec!r}: option {bad[0]!r} has no value; write {bad[0]}=VALUE")
    texts = {option: value for option, _, value in parts}
    options = scorers.typed(name, texts) if texts else {}
    load = scorers.load_reward if gradients else scorers.load
    return load(name, device=device, dtype=dtype, weights_dir=weights_dir, **options)


def demand_no_judge(names: Iterable[str]) -> None:
    """Refuse judges of pairs as rewards.

    Raises:
        UserError: one of `names` compares two clips.
    """
    if judges := sorted({*names} & {*scorers.JUDGES}):
        name = judges[0]
        raise UserError(
            f"{name} compares two clips and gives no gradients, so it cannot be a reward here. "
            f"Train on its labels instead: python -m scorers --judge {name}, then python -m "
            f"data.pair --profile {name} and python -m train.dpo --labels auto"
        )


class Mixture:
    """A weighted sum of rewards, loaded and frozen."""

    def __init__(
        self,
        weights: Mapping[str, float],
        *,
        device: torch.device | str,
        omniscore: Profile | None = None,
        checkpointed: bool = False,
        gradients: bool = True,
        dtype: torch.dtype | None = None,
        weights_dir: str | None = None,
    ) -> None:
        """Load every scorer of `weights`; the name `omniscore` stands for that profile's total.

        Args:
            weights: By scorer with its options, from `parse`.
            device: Where the scorers' weights go.
            omniscore: Profile that the name `omniscore` stands for.
            checkpointed: Make each scorer's activations again on the way back: less memory.
            gradients: Every scorer has to have them.
            dtype: Of the scorers' networks; None is torch.float32. Rewards are float32.
            weights_dir: Folder in which their weights are looked for first.

        Raises:
            UserError: no such scorer, or one without gradients.
        """
        self.weights, self._checkpointed = dict(weights), checkpointed
        how: dict[str, Any] = {"gradients": gradients, "dtype": dtype, "weights_dir": weights_dir}
        self._scorers = {
            spec: OmniReward(omniscore, device=device, **how)
            if omniscore is not None and spec == OMNISCORE
            else loaded(spec, device, **how)
            for spec in weights
        }
        whole = self._scorers.get(OMNISCORE)
        self.silent = whole.silent if isinstance(whole, OmniReward) else ()
        """Dimensions of OmniScore that are left out, for want of gradients."""

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: float
    ) -> Float[Tensor, " b"]:
        """Reward per clip of frames in [0, 1], differentiable.

        What several scorers read of the frames is made once, unless it is made again on the way
        back: then each makes its own (`scorers.shared`).

        Raises:
            UserError: a scorer cannot judge these clips.
        """
        total = frames.new_zeros(len(frames))
        with nullcontext() if self._checkpointed else sharing():
            said = {name: self.judged(name, frames, prompts, fps) for name in self.weights}
        for name, values in said.items():
            if not bool(torch.isfinite(values).all()):
                wrong = prompts[int((~torch.isfinite(values)).nonzero()[0])]
                raise UserError(
                    f"reward {name} cannot judge a clip of {frames.shape[1]} frames at "
                    f"{frames.shape[-1]}x{frames.shape[-2]} with the prompt {wrong!r}; choose "
                    "another reward, size or prompts (an action that prompts do not name: "
                    "action?label=NAME)"
                )
            total = total + self.weights[name] * values
        return total

    def judged(
        self, name: str, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: float
    ) -> Float[Tensor, " b"]:
        """One scorer's mean over its dimensions; NaN where it cannot judge."""

        def judge(seen: Tensor) -> Tensor:
            return self._scorers[name](seen, prompts, [fps] * len(seen)).mean(1)

        if not (self._checkpointed and frames.requires_grad):
            return judge(frames)
        return checkpoint(judge, frames, use_reentrant=False, preserve_rng_state=False)

    def recomputed(self, *, on: bool) -> Mixture:
        """The same scorers, their activations made again on the way back or not."""
        other = copy.copy(self)
        other._checkpointed = on
        return other
