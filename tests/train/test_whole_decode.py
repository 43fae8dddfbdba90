"""`--checkpointing decoder` where an autoencoder decodes whole clips only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.train import families
from train import bank, models
from train.reward.frames import PartialDecoder, Scoring, decoded


def kept(model: models.VideoModel, z: torch.Tensor, scoring: Scoring) -> tuple[torch.Tensor, int]:
    """The scored frames, and the bytes that are kept for the way back to them."""
    found: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        frames = decoded(model, z, scoring, 0.0)
    return frames, sum(found.values())


@pytest.mark.parametrize("family", ["svd", "hunyuan", "hunyuan15", "mochi", "ltx"])
def test_gradients_are_the_same_and_less_is_kept(family: str, tmp_path: Path) -> None:
    model = models.load(str(families.module(family).save(tmp_path)))
    assert not isinstance(getattr(model, "autoencoder", None), PartialDecoder)
    shape = (1, *model.latent_shape(model.sample_defaults))
    plain, again = (bank.noise("test", "whole", 0, shape).requires_grad_() for _ in range(2))
    frames, much = kept(model, plain, Scoring(spec="0,2"))
    same, little = kept(model, again, Scoring(spec="0,2", checkpointed=True))
    assert torch.equal(frames, same)
    assert little < much / 10
    one, other = (
        torch.autograd.grad(seen.square().sum(), z)[0]
        for seen, z in ((frames, plain), (same, again))
    )
    assert one.abs().max() > 0
    assert torch.equal(one, other)
