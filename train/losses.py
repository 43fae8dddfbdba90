"""Preference losses on denoising errors. Pure: torch only, no model, no file.

Every loss of a pair is a function of u, the pair's margin (`margins`), and of p, the probability
that the chosen clip is the better one. `diffusion_dpo` is the one that both papers' users train
with; the others by name are in `LOSSES`, `sft` adds the chosen clip's own error to any, and
`anchored` the distance to the reference's predictions.

An error is one number per clip (`clip_error`), or one per clip and segment: each segment then has a
margin and a loss of its own. `train.preference.objective` has the ways to cut a clip.

Left out on purpose: a reference that moves, and weights inside the logarithm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Metrics = dict[str, float]


def clip_error(
    prediction: Float[Tensor, " b *latent"], target: Float[Tensor, " b *latent"]
) -> Float[Tensor, " b"]:
    """Squared error per clip: the mean over everything but the batch, in float32."""
    return (prediction.float() - target.float()).square().flatten(1).mean(1)


def diffusion_dpo(
    chosen: Float[Tensor, " b *s"],
    rejected: Float[Tensor, " b *s"],
    ref_chosen: Float[Tensor, " b *s"],
    ref_rejected: Float[Tensor, " b *s"],
    *,
    beta: float | Float[Tensor, " b"],
    weight: Float[Tensor, " b"],
    probability: Float[Tensor, " b"],
) -> tuple[Float[Tensor, ""], Metrics]:
    """Weighted Diffusion-DPO on a batch of pairs: a scalar loss to descend, and what to log.

    With u = -beta/2 * [(chosen - ref_chosen) - (rejected - ref_rejected)], the loss of a pair is w
    * [-p * log sigmoid(u) - (1 - p) * log sigmoid(-u)], and that of the batch their mean over
    pairs. The mean divides by the number of pairs, never by the sum of the batch's weights:
    weights that are to have mean 1 are normalised over the whole data set beforehand, so that a
    pair counts the same in every batch. At u = 0 and w = 1 a pair's loss is exactly ln 2, for
    every p.

    Source: Wallace et al. 2023, Diffusion-DPO, equation 14 (with its 1/2; beta is the paper's for
    errors averaged, not summed, over elements); weights outside the logarithm as in VideoDPO (Liu
    et al. 2024). Differs: a soft label p (cDPO, Mitchell 2023; p = 1 is the paper's), and one
    error per clip where VideoDPO's code keeps one per latent column. Computed in float64: at beta
    1000 a float32 rounding of the errors is already a thousandth of u.

    Args:
        chosen: Error of the policy on each chosen clip, >= 0; may have an axis of segments.
        rejected: The same on the rejected clips, at the same noise and noise level.
        ref_chosen: Error of the reference on the chosen clips. No gradient flows into it.
        ref_rejected: The same on the rejected clips.
        beta: Strength of the pull towards the reference, above 0; 1000 for `shapes`, 2000 to 5000
            published. One number, or one per pair where it depends on the noise level.
        weight: Pair weight w >= 0.
        probability: That the chosen clip is the better one, in [0, 1].

    Returns:
        The loss, and under these keys the batch's `loss`; `accuracy`, the share of pairs (and
        segments) with u > 0, ties as half; `margin`, mean u; `gap`, mean |rise of chosen - rise of
        rejected|, the margin without its sign and beta; `chosen_rise` and `rejected_rise`, mean
        error above the reference's; `ess`, effective sample size (sum w)^2 / sum w^2 in pairs.
    """
    return _weighed(
        sigmoid, chosen, rejected, ref_chosen, ref_rejected,
        beta=beta, weight=weight, probability=probability,
    )  # fmt: skip


PairLoss = Callable[[Float[Tensor, " b *s"], Float[Tensor, " b *s"]], Float[Tensor, " b *s"]]
"""Margins u and probabilities p to the loss per pair (and segment)."""


def sigmoid(u: Float[Tensor, " b *s"], p: Float[Tensor, " b *s"]) -> Float[Tensor, " b *s"]:
    """-p log s(u) - (1 - p) log s(-u): Diffusion-DPO for p = 1, cDPO for a soft label."""
    return (1 - p) * u - F.logsigmoid(u)  # exactly ln 2 at u = 0, for every p


def hinge(u: Float[Tensor, " b *s"], p: Float[Tensor, " b *s"]) -> Float[Tensor, " b *s"]:
    """SLiC (Zhao et al. 2023): p max(0, 1 - u) + (1 - p) max(0, 1 + u); exactly 1 at u = 0."""
    return p * (1 - u).clamp(min=0) + (1 - p) * (1 + u).clamp(min=0)


def ipo(u: Float[Tensor, " b *s"], p: Float[Tensor, " b *s"]) -> Float[Tensor, " b *s"]:
    """(u - (2 p - 1) / 2)^2: IPO (Azar et al. 2023) with tau = beta / 2, scaled by (beta / 2)^2.

    The margin is pulled to a value and not to infinity. Errors are means over elements, as IPO's
    authors ask for.
    """
    return (u - (2 * p - 1) / 2).square()


def robust(
    u: Float[Tensor, " b *s"], p: Float[Tensor, " b *s"], *, flips: float
) -> Float[Tensor, " b *s"]:
    """((1 - e) l(u, p) - e l(u, 1 - p)) / (1 - 2 e): robust DPO (Chowdhury et al. 2024).

    Args:
        u: Margins.
        p: Probabilities.
        flips: e, the share of labels that are the wrong way round, in [0, 1/2). The mean over such
            flips is then the loss without them.
    """
    return ((1 - flips) * sigmoid(u, p) - flips * sigmoid(u, 1 - p)) / (1 - 2 * flips)


def cdpo(
    u: Float[Tensor, " b *s"], p: Float[Tensor, " b *s"], *, flips: float
) -> Float[Tensor, " b *s"]:
    """`sigmoid` on labels that are wrong with a share of `flips` (Mitchell 2023)."""
    return sigmoid(u, p * (1 - flips) + (1 - p) * flips)


LOSSES: dict[str, Callable[..., Float[Tensor, " b *s"]]] = {
    "diffusion-dpo": sigmoid,
    "hinge": hinge,
    "ipo": ipo,
    "cdpo": cdpo,
    "robust": robust,
}
"""Losses per pair by the name that `train.dpo --loss` takes; `kto` is not one of pairs."""
_WITH_FLIPS = ("cdpo", "robust")
NAMES = (*LOSSES, "kto")
"""What `make` knows."""


def make(
    name: str, *, flips: float = 0.1, sft: float = 0.0
) -> Callable[..., tuple[Tensor, Metrics]]:
    """A loss of a batch, called like `diffusion_dpo`.

    Args:
        name: One of `NAMES`.
        flips: For `cdpo` and `robust`: share of labels that are the wrong way round, in [0, 1/2).
        sft: Weight of the chosen clips' own errors, >= 0: the policy has to go on denoising what
            people prefer (Reg-DPO, arXiv 2511.01450).

    Raises:
        ValueError: no such loss, or a number out of its range.
    """
    if name not in NAMES or not 0 <= flips < 0.5 or sft < 0:
        raise ValueError(f"loss {name!r} (one of {', '.join(NAMES)}), flips {flips} in [0, 0.5), "
                         f"sft {sft} >= 0")  # fmt: skip
    if name == "kto":
        batch = kto
    else:
        each = partial(LOSSES[name], flips=flips) if name in _WITH_FLIPS else LOSSES[name]
        batch = partial(_weighed, each)
    return partial(_with_sft, batch, sft) if sft else batch


def margins(
    rise_chosen: Float[Tensor, " b *s"],
    rise_rejected: Float[Tensor, " b *s"],
    beta: float | Float[Tensor, " b"],
) -> Float[Tensor, " b *s"]:
    """The margin u = -beta/2 (rise of the chosen clip's error - rise of the rejected one's)."""
    return -_beside(beta, rise_chosen) / 2 * (rise_chosen - rise_rejected)


def kto(
    chosen: Float[Tensor, " b *s"], rejected: Float[Tensor, " b *s"],
    ref_chosen: Float[Tensor, " b *s"], ref_rejected: Float[Tensor, " b *s"], *,
    beta: float | Float[Tensor, " b"], weight: Float[Tensor, " b"],
    probability: Float[Tensor, " b"],
) -> tuple[Float[Tensor, ""], Metrics]:  # fmt: skip
    """Diffusion-KTO (Li et al. 2024, arXiv 2404.04465) on the clips of pairs; as `diffusion_dpo`.

    A clip's gain is g = -beta/2 (its error - the reference's). With z the batch's mean gain, not
    below 0 and without gradient, a liked clip costs 1 - sigmoid(g - z), a disliked one
    1 - sigmoid(z - g). The clips of a pair count as liked with probability p and 1 - p. Differs
    from the paper: beta/2 as in `diffusion_dpo`, and clips come in pairs.
    """
    rises = _rises(chosen, rejected, ref_chosen, ref_rejected)
    gains = [-_beside(beta, rise) / 2 * rise for rise in rises]
    level = torch.cat(gains).mean().clamp(min=0).detach()
    p, w = _beside(probability.double(), chosen), _beside(weight.double(), chosen)
    costs = [
        p * torch.sigmoid(level - gains[0]) + (1 - p) * torch.sigmoid(gains[0] - level),
        p * torch.sigmoid(gains[1] - level) + (1 - p) * torch.sigmoid(level - gains[1]),
    ]
    loss = (w * (costs[0] + costs[1])).mean()
    return loss, _metrics(loss, margins(rises[0], rises[1], beta), rises, weight)


def anchored(
    loss: Float[Tensor, ""],
    metrics: Metrics,
    apart: Float[Tensor, " c"],
    *,
    anchor: float,
    weight: Float[Tensor, " b"],
) -> tuple[Float[Tensor, ""], Metrics]:
    """A loss with `anchor` times the mean squared distance of predictions to the reference's.

    The pull towards the reference that beta exerts only on the difference of two clips, an anchor
    exerts on each clip. A pair's weight counts here as in the loss.

    Source: `anchor_alpha` of SimpleTuner's flow-matching DPO; the same distance is the KL term of
    DRaFT+ and DiffusionNFT.

    Args:
        loss: Of the batch.
        metrics: Of the batch.
        apart: Squared distance of the policy's prediction to the reference's, mean over elements:
            the `b` chosen clips and then the `b` rejected ones.
        anchor: Weight of it, >= 0.
        weight: Pair weight.
    """
    distance = (weight.double().repeat(2) * apart.double()).mean()
    whole = loss + anchor * distance
    return whole, {"preference": loss.item(), **metrics,
                   "loss": whole.item(), "distance": apart.double().mean().item()}  # fmt: skip


def _weighed(
    each: PairLoss, chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, *,
    beta: float | Tensor, weight: Tensor, probability: Tensor,
) -> tuple[Float[Tensor, ""], Metrics]:  # fmt: skip
    """Mean over pairs of w times the pair's loss, in float64."""
    rises = _rises(chosen, rejected, ref_chosen, ref_rejected)
    u = margins(rises[0], rises[1], beta)
    loss = (_beside(weight.double(), u) * each(u, _beside(probability.double(), u))).mean()
    return loss, _metrics(loss, u, rises, weight)


def _rises(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor
) -> list[Tensor]:
    """Errors above the reference's, which takes no gradient, in float64."""
    return [(chosen - ref_chosen.detach()).double(), (rejected - ref_rejected.detach()).double()]


def _beside(each: float | Tensor, errors: Tensor) -> Any:
    """A number per pair, as it is multiplied with errors that may have an axis of segments."""
    if not isinstance(each, Tensor) or each.ndim == errors.ndim:
        return each
    return each.view(-1, *[1] * (errors.ndim - 1)).expand_as(errors)


def _with_sft(
    batch: Callable[..., tuple[Tensor, Metrics]], sft: float, chosen: Tensor, *others: Tensor,
    weight: Tensor, **options: Any,
) -> tuple[Float[Tensor, ""], Metrics]:  # fmt: skip
    loss, metrics = batch(chosen, *others, weight=weight, **options)
    whole = loss + sft * (_beside(weight, chosen).double() * chosen.double()).mean()
    return whole, metrics | {"loss": whole.item(), "preference": loss.item()}


def _metrics(loss: Tensor, u: Tensor, rises: Sequence[Tensor], w: Tensor) -> Metrics:
    found = {
        "loss": loss,
        "accuracy": ((u > 0).double() + 0.5 * (u == 0).double()).mean(),
        "margin": u.mean(),
        "gap": (rises[0] - rises[1]).abs().mean(),
        "chosen_rise": rises[0].mean(),
        "rejected_rise": rises[1].mean(),
    }
    return {name: value.item() for name, value in found.items()} | {"ess": effective(w)}


def effective(w: Float[Tensor, " b"]) -> float:
    """Effective sample size (sum w)^2 / sum w^2 in pairs; 0 where every weight is."""
    w = w.double()
    return (w.sum().square() / w.square().sum().clamp(min=torch.finfo(w.dtype).tiny)).item()
