"""Which frames are scored, and that decoding them alone gives the same frames and gradients."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderKLWan

from data.errors import UserError
from train import models
from train.models import wan_decode
from train.models.unet import FrameVae
from train.reward.frames import Scoring, chosen, decoded, spacing

GROUPS = [range(1), range(1, 5), range(5, 9)]  # three latent frames of a causal VAE


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLWan:
    """Nine frames from three latent ones, with everything the decoder remembers by."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = AutoencoderKLWan(
            base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, attn_scales=[],
            temperal_downsample=[False, True, True], latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
        )  # fmt: skip
    return made.eval().requires_grad_(requires_grad=False)


@pytest.fixture
def latents() -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(2, 4, 3, 2, 3, generator=draw).requires_grad_()


def gradient(frames: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(frames.square().sum(), latents)[0]


def test_the_decode_is_the_librarys(vae: AutoencoderKLWan, latents: torch.Tensor):
    ours, theirs = wan_decode.decode(vae, latents), vae.decode(latents).sample
    assert torch.equal(ours.clamp(-1, 1), theirs)
    assert ours.shape[2] == 9


def test_checkpointed_frames_and_gradients_are_the_plain_ones_bit_for_bit(
    vae: AutoencoderKLWan, latents: torch.Tensor
):
    plain = wan_decode.decode(vae, latents)
    again = wan_decode.decode(vae, latents, checkpointed=True)
    assert torch.equal(plain, again)
    one, other = gradient(plain, latents), gradient(again, latents)
    assert one.abs().amin(dim=(0, 1, 3, 4)).min() > 0  # every latent frame has its part
    assert torch.equal(one, other)


def saved_bytes(run) -> int:
    """Of tensors that are kept for the way back."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(kept.values())


def test_a_checkpointed_decode_keeps_less(vae: AutoencoderKLWan, latents: torch.Tensor):
    plain = saved_bytes(lambda: wan_decode.decode(vae, latents))
    again = saved_bytes(lambda: wan_decode.decode(vae, latents, checkpointed=True))
    assert again < plain / 2


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("wanted", [(0,), (3,), (2, 4, 8), (5, 6, 7, 8)])
def test_some_frames_alone_are_those_of_the_whole(
    vae: AutoencoderKLWan, latents: torch.Tensor, wanted: tuple[int, ...], checkpointed: bool
):
    whole = wan_decode.decode(vae, latents)[:, :, list(wanted)]
    some = wan_decode.decode(vae, latents, wanted=wanted, checkpointed=checkpointed)
    assert torch.equal(whole, some)
    torch.testing.assert_close(gradient(whole, latents), gradient(some, latents))


def test_only_chosen_latent_frames_get_a_gradient_where_that_is_asked(
    vae: AutoencoderKLWan, latents: torch.Tensor
):
    exact = wan_decode.decode(vae, latents, wanted=(6,))
    cut = wan_decode.decode(vae, latents, wanted=(6,), exact=False)
    assert torch.equal(exact, cut)
    found = gradient(cut, latents)
    assert found[:, :, :2].abs().sum() == 0
    assert found[:, :, 2].abs().sum() > 0
    assert gradient(exact, latents)[:, :, 1].abs().sum() > 0


def test_nothing_after_the_last_frame_is_decoded(vae: AutoencoderKLWan, monkeypatch):
    calls = []
    forward = vae.decoder.forward
    monkeypatch.setattr(vae.decoder, "forward", lambda *a, **k: calls.append(1) or forward(*a, **k))
    wan_decode.decode(vae, torch.zeros(1, 4, 3, 2, 2), wanted=(0,))
    assert len(calls) == 1


def test_frames_by_name():
    assert chosen("all", GROUPS, 0.0) is None
    assert chosen("first", GROUPS, 0.9) == (0,)
    assert chosen("random", GROUPS, 0.5) == (4,)
    assert chosen("every:4", GROUPS, 0.0) == (0, 4, 8)
    assert chosen("8,0,8", GROUPS, 0.0) == (0, 8)
    assert chosen("latent:first", GROUPS, 0.0) == (0,)
    assert chosen("latent:random", GROUPS, 0.99) == (5, 6, 7, 8)
    assert chosen("latent:0,2", GROUPS, 0.0) == (0, 5, 6, 7, 8)
    assert chosen("latent:all", GROUPS, 0.0) == tuple(range(9))
    assert (spacing("every:4"), spacing("first"), spacing("latent:every:2")) == (4, 1, 1)


@pytest.mark.parametrize("spec", ["some", "every:0", "every:x", "9", "latent:3", "-1", ""])
def test_frames_that_are_not_there_are_refused(spec: str):
    with pytest.raises(UserError, match="--score-frames"):
        chosen(spec, GROUPS, 0.0)


def test_a_model_decodes_what_is_scored(tiny_model: models.VideoModel):
    latents = torch.randn(2, *tiny_model.latent_shape(tiny_model.sample_defaults))
    whole = tiny_model.decode(latents)
    assert torch.equal(decoded(tiny_model, latents, Scoring(), 0.0), whole)
    some = decoded(tiny_model, latents, Scoring(spec="every:4", checkpointed=True), 0.0)
    assert torch.equal(some, whole[:, ::4])


def test_a_model_that_decodes_whole_clips_only(tiny_model: models.VideoModel, monkeypatch):
    monkeypatch.setattr(tiny_model, "autoencoder", None)
    monkeypatch.setattr(tiny_model, "decode", lambda latents: torch.arange(9.0).view(1, 9, 1, 1, 1))
    assert decoded(tiny_model, torch.zeros(1), Scoring(spec="8"), 0.0).item() == 8
    with pytest.raises(UserError, match="decodes whole clips only"):
        decoded(tiny_model, torch.zeros(1), Scoring(spec="latent:first"), 0.0)


def test_an_image_autoencoder_decodes_chosen_frames_alone():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        own = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4).eval()
    one = FrameVae(vae=own, multiple=8)
    latents = torch.randn(2, 4, 3, 8, 8, requires_grad=True)
    whole = one.decode(latents)[:, [0, 2]]
    assert one.groups(latents) == [range(1), range(1, 2), range(2, 3)]
    for checkpointed in (False, True):
        some = one.decode_some(latents, (0, 2), exact=True, checkpointed=checkpointed)
        torch.testing.assert_close(some, whole)
        torch.testing.assert_close(gradient(some, latents), gradient(whole, latents))
        whole = one.decode(latents)[:, [0, 2]]
