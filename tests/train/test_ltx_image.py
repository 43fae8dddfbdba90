"""LTX-Video from a first image: clocks, positions and what the first latent frame is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.train import families, tiny_image
from train import bank, models
from train.models import VideoModel, ltx_image


@pytest.fixture(scope="module", params=["ltx_image", "ltx_condition"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VideoModel:
    folder = tmp_path_factory.mktemp("ltx") / request.param
    return models.load(str(families.module(request.param).save(folder)))


def drawn(model: VideoModel) -> Tensor:
    return bank.noise("x", "ltx", 0, (2, *model.latent_shape(model.sample_defaults)))


def test_the_network_sees_the_image_at_level_0(model: VideoModel) -> None:
    """Latents are 3 frames of 4 x 8 tokens of one position, at 25 frames per second."""
    told = model.embed(["a"], tiny_image.first(model.sample_defaults)).repeat(2)
    seen: dict[str, Any] = {}

    def network(hidden_states: Tensor, **rest: Any) -> tuple[Tensor]:
        seen.update(rest, hidden_states=hidden_states)
        return (hidden_states,)

    call = model.call  # pyright: ignore[reportAttributeAccessIssue]
    call(network, drawn(model), torch.tensor([0.5, 0.25]), told)
    assert seen["timestep"].tolist() == [[0.0] * 32 + [500.0] * 64, [0.0] * 32 + [250.0] * 64]
    first = seen["hidden_states"][:, :32].transpose(1, 2).reshape(2, -1, 1, 4, 8)
    assert torch.equal(first, told.tensors["known"])
    if "video_coords" in seen:  # frames 0, 1 and 5; rows and columns of 4 pixels
        seconds, rows, columns = seen["video_coords"][0].view(3, 3, 4, 8)
        assert torch.allclose(seconds[:, 0, 0], torch.tensor([0.0, 0.04, 0.2]))
        assert rows[0, :, 0].tolist() == [0, 8, 16, 24]
        assert columns[0, 0].tolist() == [0, 8, 16, 24, 32, 40, 48, 56]


def test_the_first_latent_frame_drops_out_of_the_margin(model: VideoModel) -> None:
    """Of a clip that begins with the image the way to it is the very target."""
    told = model.embed(["a red circle"], tiny_image.first(model.sample_defaults)).repeat(2)
    noise, t = drawn(model), torch.tensor([0.4, 0.8])
    x = torch.cat([told.tensors["known"], noise.flip(1)[:, :, 1:]], dim=2)
    noisy = model.noised(x, noise, t)
    with torch.no_grad():
        found = model.predict(noisy, t, told)
    assert torch.allclose(found[:, :, 0], model.target(x, noise, t)[:, :, 0], atol=1e-4)
    assert torch.allclose(model.clean(found, noisy, t)[:, :, :1], told.tensors["known"], atol=1e-4)


def test_levels_of_the_newer_pipeline_fall_linearly_and_then_quadratically() -> None:
    # two steps of .0125 down to .975, then two to 0: linear part 0, .0125; quadratic .025, ...
    levels = ltx_image._falling(4)
    assert levels[:3] == pytest.approx([1.0, 0.9875, 0.975])
    assert 0 < levels[3] < 0.975
