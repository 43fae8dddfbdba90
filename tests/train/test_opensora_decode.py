"""Open-Sora decodes the groups that are wanted, and gives the frames of the whole decode."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.train.families import opensora as tiny
from tests.train.slopes import demand_same_gradient
from train import bank, models
from train.models import opensora_decode
from train.reward.frames import Scoring, decoded

FRAMES = 34  # two groups of 17, of 5 latent frames each


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> models.VideoModel:
    return models.load(str(tiny.save(tmp_path_factory.mktemp("opensora"))))


def clip() -> torch.Tensor:
    return bank.noise("test", "sora", 0, (1, 4, 10, 4, 6)).requires_grad_()


def test_each_group_begins_with_one_frame(model: models.VideoModel) -> None:
    # the decoder gives 20 frames of 5 latent ones, and the first 3 are dropped
    found = opensora_decode.groups(10, 5, 17, 4)
    assert [len(some) for some in found] == [1, 4, 4, 4, 4] * 2
    assert found[5:7] == [range(17, 18), range(18, 22)]
    assert (found[0], found[-1].stop) == (range(1), FRAMES)


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("wanted", [None, (3, 16), (2, 16, 17, 33)])
def test_frames_and_gradients_are_those_of_the_whole_decode(
    model: models.VideoModel, wanted: tuple[int, ...] | None, checkpointed: bool
) -> None:
    vae: Any = model.autoencoder  # pyright: ignore[reportAttributeAccessIssue]
    z, other = clip(), clip()
    shift, scale = vae._scales(z)
    pictures = [vae.time.decode(one, 17) for one in (z * scale + shift).split(5, dim=2)]
    whole = vae.frames.decode(torch.cat(pictures, dim=2))[:, list(wanted or range(FRAMES))]
    some = vae.decode_some(other, wanted, exact=True, checkpointed=checkpointed)
    assert torch.allclose(some, whole, atol=1e-6)
    demand_same_gradient((some, other), (whole, z))


def test_only_what_is_scored_runs_and_learns(
    model: models.VideoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    vae: Any = model.autoencoder  # pyright: ignore[reportAttributeAccessIssue]
    seen: list[int] = []
    decode = vae.time.decode
    monkeypatch.setattr(vae.time, "decode", lambda z, n: seen.append(z.shape[2]) or decode(z, n))
    z = clip()
    # 0.65 of 10 latent frames: number 6, the second of the second group
    exact = decoded(model, z, Scoring(spec="latent:random"), 0.65)
    cut = decoded(model, z, Scoring(spec="latent:random", exact=False), 0.65)
    assert (seen, exact.shape[1]) == ([5, 5], 4)
    assert torch.equal(exact, cut)
    reached = [
        torch.autograd.grad(frames.sum(), z)[0].abs().amax((0, 1, 3, 4)) > 0
        for frames in (exact, cut)
    ]
    assert reached[0].tolist() == [False] * 5 + [True] * 5
    assert reached[1].nonzero().flatten().tolist() == [6]
