"""CogVideoX decodes no further than it must, and gives the frames of the whole decode."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.train.families import cogvideox as tiny
from tests.train.slopes import demand_same_gradient
from train import bank
from train.models import cogvideox, cogvideox_decode
from train.models.generator import Generator
from train.reward.frames import PartialDecoder, Scoring, decoded

FRAMES = 17


@pytest.fixture(scope="module", params=[None, 2], ids=["1", "1.5"])
def model(request: pytest.FixtureRequest) -> Generator:
    made = tiny.pipeline(patch_size_t=request.param)
    return cogvideox.build(made, source="", name="tiny")


def clip(model: Generator) -> torch.Tensor:
    """17 frames: 5 latent frames, and the lead of 1.5."""
    lead = model.autoencoder.lead  # pyright: ignore[reportAttributeAccessIssue]
    return bank.noise("test", "cog", 0, (1, 4, 5 + lead, 4, 4)).requires_grad_()


def test_calls_are_those_of_diffusers(model: Generator) -> None:
    vae = model.pipeline.vae
    # 3 and 2 latent frames; one at a time only where there is but one
    assert cogvideox_decode.calls(vae, 5) == [range(3), range(3, 5)]
    assert cogvideox_decode.calls(vae, 1) == [range(1)]
    assert [len(some) for some in cogvideox_decode.groups(vae, 5)] == [1, 4, 4, 4, 4]


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("wanted", [None, (0,), (2, 8), (8, 9), (12, 16)])
def test_frames_and_gradients_are_those_of_the_whole_decode(
    model: Generator, wanted: tuple[int, ...] | None, checkpointed: bool
) -> None:
    vae: Any = model.autoencoder
    assert isinstance(vae, PartialDecoder)
    z, other = clip(model), clip(model)
    whole = model.decode(z)[:, list(wanted or range(FRAMES))]
    some = vae.decode_some(other, wanted, exact=True, checkpointed=checkpointed)
    assert torch.equal(some, whole)
    demand_same_gradient((some, other), (whole, z))


def test_only_what_is_needed_runs(model: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    decoder = model.pipeline.vae.decoder
    forward = decoder.forward

    def counted(z: torch.Tensor, **rest: Any) -> Any:
        seen.append(z.shape[2])
        return forward(z, **rest)

    monkeypatch.setattr(decoder, "forward", counted)
    z = clip(model)
    frames = decoded(model, z, Scoring(spec="latent:first"), 0.0)
    assert (seen, frames.shape[1]) == ([3], 1)
    seen.clear()
    # the last latent frame's four; without `exact` the first call keeps no graph
    last = decoded(model, z, Scoring(spec="latent:4", exact=False), 0.0)
    assert (seen, last.shape[1]) == ([3, 2], 4)
    (gradient,) = torch.autograd.grad(last.sum(), z)
    reached = gradient.abs().amax((0, 1, 3, 4)) > 0
    assert reached.tolist() == [False] * (len(reached) - 2) + [True, True]
