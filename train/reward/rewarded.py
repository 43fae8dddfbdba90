"""From noise to rewards in one forward: sample, decode what is scored, score it.

One module, so that a wrapper that joins the gradients of several processes sees the forward
(VADER's code samples through the bare network, and its processes never meet).

Clips longer than an image-to-video model makes at once come in `rounds`: the last frame of one is
the first image of the next (VADER 4, three rounds of Stable Video Diffusion). Every round keeps the
graph of its own chosen steps; none goes through the frame that is handed on, which the model reads
without gradient. A later round's first frame, which repeats that image, is not scored twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from data.errors import UserError
from train import bank
from train.models import SampleSettings
from train.models.protocol import FirstFrames
from train.policy import Policy
from train.reward import frames
from train.reward.backprop import Backprop, Draws, Rolled, rolled
from train.reward.rewards import Mixture
from train.sampling.rollout import Guidance


@dataclass(frozen=True)
class Rewarded:
    """What one rollout gave."""

    rewards: Float[Tensor, " n"]
    """With a graph back to the adapter; several per clip with `inner` draws."""
    drift: float
    """Mean squared difference of policy and reference predictions where the gradient begins."""
    saturated: float
    """Share of pixel values at 0 or 1, in [0, 1]."""


class RolloutAndReward(nn.Module):
    """One batch of clips, from what is drawn to what they are worth."""

    def __init__(
        self,
        policy: Policy,
        rewards: Mixture,
        settings: SampleSettings,
        plan: Backprop,
        scoring: frames.Scoring | None = None,
        rounds: int = 1,
    ) -> None:
        """Wires the parts; the policy's network is a submodule.

        Args:
            policy: What is trained.
            rewards: Of frames in [0, 1].
            settings: Size and guidance of the clips; the plan has the steps.
            plan: Where the gradient goes.
            scoring: Which frames are decoded and scored; None for all of them, exactly.
            rounds: Clips that continue one another.

        Raises:
            UserError: several rounds of a model that takes no first image, or of `inner` draws.
        """
        super().__init__()
        if rounds > 1 and (plan.inner or not policy.model.image_conditioned):
            raise UserError(
                f"--rounds is {rounds}: the last frame of a clip begins the next one, for which "
                f"{policy.model.name} must be an image-to-video model, and --inner 0"
            )
        self.network = policy.model.network
        self._policy, self._rewards = policy, rewards
        self._settings, self._plan = settings, plan
        self._scoring, self._rounds = scoring or frames.Scoring(), rounds

    def forward(self, draws: Draws) -> Rewarded:
        """One clip per draw, from noise of its own."""
        model, settings = self._policy.model, self._settings
        guidance = Guidance.of(model, draws.prompts, settings.guidance)
        made = self._sampled(guidance, draws, 0)
        seen, drift = [self._seen(made, draws)], self._drift(made, guidance)
        for number in range(1, self._rounds):
            guidance = Guidance.of(
                model, draws.prompts, settings.guidance, first=self._last_frame(made)
            )
            made = self._sampled(guidance, draws, number)
            later = self._seen(made, draws)
            seen.append(later[:, 1:] if self._scoring.spec == "all" else later)
        whole = torch.cat(seen, dim=1)
        prompts = draws.prompts * (len(whole) // len(draws.clips))
        pixels = whole.detach()
        fps = settings.fps / frames.spacing(self._scoring.spec)
        return Rewarded(
            rewards=self._rewards(whole, prompts, fps),
            drift=drift,
            saturated=((pixels <= 0) | (pixels >= 1)).float().mean().item(),
        )

    def _sampled(self, guidance: Guidance, draws: Draws, number: int) -> Rolled:
        model, purpose = self._policy.model, f"vader {number}" if number else "vader"
        noise = draws.noise(purpose, model, model.latent_shape(self._settings))
        return rolled(model, noise, guidance, self._plan, draws)

    def _seen(self, made: Rolled, draws: Draws) -> Float[Tensor, "n t c h w"]:
        u = bank.uniform(draws.seed, "score-frames", draws.step)
        return frames.decoded(self._policy.model, made.latents, self._scoring, u)

    @torch.no_grad()
    def _last_frame(self, made: Rolled) -> FirstFrames:
        whole = self._policy.model.decode(made.latents.detach())
        return FirstFrames(whole[:, -1], self._settings.frames)

    @torch.no_grad()
    def _drift(self, made: Rolled, guidance: Guidance) -> float:
        with self._policy.reference():
            theirs = guidance.predict(self._policy.model, made.late, made.level)
        return (made.prediction - theirs).square().mean().item()
