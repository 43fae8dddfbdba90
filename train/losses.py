"""Preference losses on denoising errors. Pure: torch only, no model, no file.

Left out on purpose: the variants of section 2.7 of the design's reference (hinge, IPO, robust,
KTO) and the reduction of VideoDPO's released code, which leaves one logistic loss per latent
column.
"""

from __future__ import annotations

from collections.abc import Callable

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
    chosen: Float[Tensor, " b"],
    rejected: Float[Tensor, " b"],
    ref_chosen: Float[Tensor, " b"],
    ref_rejected: Float[Tensor, " b"],
    *,
    beta: float,
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
        chosen: Error of the policy on each chosen clip, >= 0.
        rejected: The same on the rejected clips, at the same noise and noise level.
        ref_chosen: Error of the reference on the chosen clips. No gradient flows into it.
        ref_rejected: The same on the rejected clips.
        beta: Strength of the pull towards the reference, above 0; 1000 for `shapes`, 2000 to 5000
        published.
        weight: Pair weight w >= 0.
        probability: That the chosen clip is the better one, in [0, 1].

    Returns:
        The loss, and under these keys the batch's `loss`; `accuracy`, the share of pairs with u >
        0, ties as half; `margin`, mean u; `chosen_rise` and `rejected_rise`, mean error above the
        reference's; `ess`, effective sample size (sum w)^2 / sum w^2 in pairs.
    """
    rise_chosen = (chosen - ref_chosen.detach()).double()
    rise_rejected = (rejected - ref_rejected.detach()).double()
    u = -beta / 2 * (rise_chosen - rise_rejected)
    w, p = weight.double(), probability.double()
    # -p log s(u) - (1-p) log s(-u) = -log s(u) + (1-p) u, which is exact at u = 0
    loss = (w * ((1 - p) * u - F.logsigmoid(u))).mean()
    metrics = {
        "loss": loss,
        "accuracy": ((u > 0).double() + 0.5 * (u == 0).double()).mean(),
        "margin": u.mean(),
        "chosen_rise": rise_chosen.mean(),
        "rejected_rise": rise_rejected.mean(),
        "ess": w.sum().square() / w.square().sum().clamp(min=torch.finfo(w.dtype).tiny),
    }
    return loss, {name: value.item() for name, value in metrics.items()}


LOSSES: dict[str, Callable[..., tuple[Tensor, Metrics]]] = {"diffusion-dpo": diffusion_dpo}
"""Pair losses by the name that `train.dpo --loss` takes, all called like `diffusion_dpo`."""
