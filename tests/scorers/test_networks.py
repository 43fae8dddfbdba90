"""Scorers with weights: what their definitions say, on real architectures with random weights.

Nothing here says that a published number comes out: no published weights were at hand.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms import v2 as torchvision

from data.errors import UserError
from scorers import features, load, resize, weights
from scorers.action import Action
from scorers.aesthetic import linear
from scorers.chunks import in_groups
from scorers.dino import class_tokens, positions
from scorers.halfway import left_out
from scorers.nets import musiq, viclip
from scorers.nets.stored import fill, tensors
from scorers.raft import moving
from scorers.viclip import middles
from scorers.vjepa import VJepa, hidden
from scorers.yolos import scorer as yolos
from scorers.yolos import undetected, unlikely
from tests.scorers import tiny
from tests.scorers.clips import drawn, noise


class TestResize:
    frames = noise(2, 3, 40, 61)

    def test_vbench_is_torchvisions_resize_and_crop(self):
        theirs = torchvision.Compose([
            torchvision.Resize(24, torchvision.InterpolationMode.BICUBIC, antialias=False),
            torchvision.CenterCrop(24),
        ])  # fmt: skip
        assert torch.equal(resize.vbench(self.frames, 24), theirs(self.frames))
        whole = (self.frames * 255).round()
        expected = theirs(whole).round().clamp(0, 255)  # what torchvision does with uint8 frames
        ours = resize.vbench_uint8(whole / 255, 24) * 255
        apart = (ours - expected).abs()
        assert float(apart.max()) <= 1.001  # a value on the half may round to the other side
        assert float((apart > 0.5).float().mean()) < 0.01

    def test_official_antialiases(self):
        theirs = torchvision.Compose([
            torchvision.Resize(24, torchvision.InterpolationMode.BICUBIC, antialias=True),
            torchvision.CenterCrop(24),
        ])  # fmt: skip
        ours = resize.official(self.frames, 24)
        assert float((ours - theirs(self.frames).clamp(0, 1)).abs().max()) <= 0.5 / 255 + 1e-6

    def test_letterbox_keeps_everything_and_adds_black(self):
        small = resize.letterbox(torch.ones(1, 3, 20, 40), 20)
        assert small.shape == (1, 3, 20, 20)
        assert torch.equal(
            small[0, 0, :, 0] > 0.5, torch.arange(20).ge(5) & torch.arange(20).lt(15)
        )

    def test_vader_squashes(self):
        assert resize.vader(self.frames, 24).shape == (2, 3, 24, 24)

    def test_rounding_lets_the_gradient_through(self):
        x = torch.tensor([0.1, 0.5004], requires_grad=True)
        resize.rounded(x).sum().backward()
        assert x.grad is not None
        assert torch.equal(x.grad, torch.ones(2))
        assert resize.rounded(x.detach())[1] == pytest.approx(128 / 255)

    @pytest.mark.parametrize("name", resize.DIALECTS)
    def test_every_dialect_gives_a_square(self, name: str):
        for shape in ((16, 90), (90, 16), (33, 33)):
            assert resize.DIALECTS[name](noise(1, 3, *shape), 32).shape == (1, 3, 32, 32)


class TestConsistency:
    def test_by_hand(self):
        """Frames at 0, 60 and 180 degrees: (cos 60 + cos 60)/2, then (0 + 0)/2: cosines below 0."""
        angles = torch.tensor([0.0, math.pi / 3, math.pi])
        found = features.consistency(torch.stack([angles.cos(), angles.sin()], 1)[None] * 7)
        assert found.tolist() == pytest.approx([(0.5 + 0.0) / 2])

    def test_one_frame_cannot_be_judged(self):
        assert features.consistency(torch.ones(1, 1, 4)).isnan().all()


class TestDino:
    def test_positions_at_the_size_of_training_are_the_table(self):
        table = noise(1, 17, 8)
        assert torch.equal(positions(table, 64, 64, 16), table)

    def test_positions_at_other_sizes_follow_the_tenth(self):
        """4 x 6 patches on a table of 4 x 4: scales 4.1/4 and 6.1/4, not 1 and 1.5."""
        table = noise(1, 17, 8)
        found = positions(table, 64, 97, 16)
        assert found.shape == (1, 25, 8)
        assert torch.equal(found[:, 0], table[:, 0])
        grid = table[:, 1:].reshape(1, 4, 4, 8).permute(0, 3, 1, 2)
        plain = F.interpolate(grid, size=(4, 6), mode="bicubic")
        assert not torch.allclose(found[:, 1:], plain.flatten(2).transpose(1, 2), atol=1e-3)

    def test_the_tenth_by_hand(self):
        """A table of 2 x 2 that rises by 1 to the right, one row of 2 patches: scale 2.1 / 2.

        Bicubic at (i + 1/2) / 1.05 - 1/2, that is 0 - 1/42 and 1 - 1/14, and not at 0 and 1.
        """
        rising = torch.tensor([9.0, 0, 1, 0, 1])[None, :, None]
        left, right = positions(rising, 32, 33, 16)[0, 1:3, 0].tolist()
        assert left < 0 < right < 1

    def test_as_many_patches_and_not_square_is_stretched_too(self):
        """64 x 70 px: 4 x 4 patches, and DINO's own rule asks for equal sides besides."""
        table = noise(1, 17, 8)
        assert not torch.allclose(positions(table, 64, 70, 16), table, atol=1e-3)
        assert torch.equal(positions(table, 70, 70, 16), table)

    def test_at_the_size_of_training_it_is_the_librarys_model(self):
        network = tiny.vit()
        pixels = noise(2, 3, 48, 48)
        ours = class_tokens(network, pixels)
        assert torch.allclose(ours, network(pixels).last_hidden_state[:, 0], atol=1e-6)


def test_a_chain_of_linear_layers_is_one():
    chain = nn.Sequential(nn.Linear(6, 5), nn.Dropout(), nn.Linear(5, 3), nn.Linear(3, 1)).eval()
    folded = linear({f"layers.{k}": v for k, v in chain.state_dict().items()}, "official")
    x = noise(4, 6)
    assert torch.allclose(x @ folded.weight + folded.bias, chain(x)[:, 0], atol=1e-6)


class TestMovement:
    def test_vbenchs_count_by_hand(self):
        """N = 9 frames of 256 px: round(9 / 4) = 2 pairs must exceed 6 px."""
        slow, fast = 5.9, 6.1
        assert moving(torch.tensor([slow] * 7 + [fast]), 256)[0] == 0.0
        assert moving(torch.tensor([slow] * 6 + [fast] * 2), 256)[0] == 1.0
        assert moving(torch.tensor([3.0, 9.0]), 256)[1] == pytest.approx(1.0)

    def test_halves_round_to_even(self):
        """N = 10: 2.5 is 2, as in Python."""
        assert moving(torch.tensor([7.0] * 2 + [0.0] * 7), 256)[0] == 1.0

    def test_the_threshold_scales_with_the_picture(self):
        assert moving(torch.tensor([3.1] * 8), 128)[0] == 1.0
        assert moving(torch.tensor([3.1] * 8), 256)[0] == 0.0


class TestHalfway:
    def test_by_hand(self):
        """Levels 0, 60, 201: the middle made by averaging is 100 (cut from 100.5), 40 off."""
        frames = torch.tensor([0.0, 60.0, 201.0])[None, :, None, None, None] / 255
        clip = frames.expand(1, 3, 3, 16, 16)
        found = left_out(clip, lambda a, b: (a.astype(np.float32) + b) / 2)
        assert found.item() == pytest.approx(1 - 40 / 255)

    def test_still_is_full_and_noise_is_not(self):
        judge, still = load("halfway"), drawn()[:, :1].expand(1, 9, -1, -1, -1)
        loud = judge(noise(1, 9, 3, 48, 48), [""], [8.0]).item()
        assert judge(still, [""], [8.0]).item() == pytest.approx(1.0)
        assert loud < judge(drawn(), [""], [8.0]).item() < 1

    def test_steady_motion_is_smoother_than_shuffled(self):
        clip = drawn(speed="quickly")
        order = [4, 0, 7, 2, 8, 1, 6, 3, 5]
        steady, shuffled = (
            load("halfway")(one, [""], [8.0]).item() for one in (clip, clip[:, order])
        )
        assert steady > shuffled


class TestMusiq:
    def test_cells_of_the_table_of_places(self):
        """2 x 3 patches on a 10 x 10 table: rows 0 and 5, columns 0, 3 and 6."""
        assert musiq.hashed(2, 3, 10).tolist() == [0, 3, 6, 50, 53, 56]

    def test_padding_puts_the_odd_one_behind(self):
        """5 px, kernel 2, stride 2: one behind; 4 px, kernel 7, stride 2: 2 before and 3 behind."""
        assert musiq.same(torch.ones(1, 1, 5, 5), 2, 2).shape == (1, 1, 6, 6)
        assert musiq.same(torch.ones(1, 1, 5, 5), 2, 2)[0, 0, 5].sum() == 0
        assert (
            musiq.same(torch.ones(1, 1, 4, 4), 7, 2)[0, 0].sum(0).tolist()
            == [0] * 2 + [4] * 4 + [0] * 3
        )

    def test_the_published_network(self):
        """27.1 million weights, under the names of the published checkpoint."""
        with torch.device("meta"):
            names = {name: tuple(value.shape) for name, value in musiq.Musiq().state_dict().items()}
        assert sum(math.prod(shape) for shape in names.values()) / 1e6 == pytest.approx(
            27.1, abs=0.1
        )
        block = "transformer_encoder.transformer.encoderblock_13"
        assert names["conv_root.weight"] == (64, 3, 7, 7)
        assert names["block1.gn_proj.weight"] == (256,)
        assert names["transformer_encoder.posembed_input.position_emb"] == (1, 100, 384)
        assert names["transformer_encoder.scaleembed_input.scale_emb"] == (3, 384)
        assert names[f"{block}.attention.query.weight"] == (384, 384)
        assert names[f"{block}.mlp.fc1.weight"] == (1152, 384)
        assert names["head.weight"] == (1, 384)

    def test_standardised_weights(self):
        conv = musiq.StandardisedConv(2, 3, 3, bias=False)
        x = noise(1, 2, 6, 6)
        scaled = musiq.StandardisedConv(2, 3, 3, bias=False)
        scaled.load_state_dict({"weight": conv.weight * 5 + 3})
        assert torch.allclose(
            conv(x), scaled(x), rtol=1e-3, atol=1e-3
        )  # mean and size of weights: no matter

    def test_a_picture_of_one_patch_is_read(self):
        assert tiny.musiq()(noise(1, 3, 16, 16)).isfinite().all()


class TestViClip:
    def test_middles(self):
        """16 frames in 8 parts of 2: (0 + 2 - 1) // 2 = 0, then every second one."""
        assert middles(16, 8) == [0, 2, 4, 6, 8, 10, 12, 14]
        assert middles(8, 8) == list(range(8))
        assert middles(81, 8) == [4, 14, 24, 34, 44, 54, 64, 75]

    def test_of_few_frames_the_last_one_again(self):
        """VBench takes as many parts as there are frames, and repeats the last."""
        assert middles(3, 8) == [0, 1, 2, 2, 2, 2, 2, 2]
        assert middles(1, 8) == [0] * 8

    def test_the_published_network(self):
        """304 + 124 million weights, under the names of the published checkpoint."""
        with torch.device("meta"):
            network = viclip.ViClip()
        count = [sum(p.numel() for p in part.parameters()) / 1e6
                 for part in (network.vision_encoder, network.text_encoder)]  # fmt: skip
        assert count == pytest.approx([304, 124], abs=1)
        names = network.state_dict().keys()
        assert "vision_encoder.transformer.resblocks.23.attn.in_proj_weight" in names
        assert "vision_encoder.temporal_positional_embedding" in names
        assert "text_encoder.transformer.resblocks.11.mlp.c_proj.bias" in names
        assert {"temp", "text_encoder.text_projection", "vision_encoder.proj"} <= names

    def test_text_looks_back_only(self):
        """What follows the end of the text changes nothing."""
        network = tiny.viclip()
        ids = torch.randint(1, 49000, (1, 32), generator=torch.Generator().manual_seed(0))
        ids[0, 9] = 49407
        other = ids.clone()
        other[0, 10:] = 5
        assert torch.allclose(network.text_encoder(ids), network.text_encoder(other), atol=1e-6)

    def test_the_number_of_a_frame_is_seen(self):
        network = tiny.viclip()
        nn.init.normal_(network.vision_encoder.temporal_positional_embedding)
        clip = noise(1, 8, 3, 28, 28)
        there, back = network.vision_encoder(clip), network.vision_encoder(clip.flip(1))
        assert not torch.allclose(there, back, atol=1e-4)


class TestYolos:
    logits = torch.tensor([[[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [-9.0, -9.0, 9.0]]])
    """Three queries; classes circle, square, "no object"."""

    def test_by_hand(self):
        """P(circle): e2/(e2+1+e), 1/(2+e3), about 0; -log of their sum."""
        e = math.e
        sums = e**2 / (e**2 + 1 + e) + 1 / (2 + e**3) + e**-9 / (2 * e**-9 + e**9)
        assert unlikely(self.logits, 0).item() == pytest.approx(-math.log(sums), abs=1e-6)

    def test_the_papers_form_by_hand(self):
        """Detections: circle with e2/(e2+1+e); the third query sees nothing (score about 0)."""
        score = math.e**2 / (math.e**2 + 1 + math.e)
        assert undetected(self.logits, 0).item() == pytest.approx(1 - score, abs=1e-6)
        assert undetected(self.logits[:, 1:], 0).item() == 1.0

    def test_a_frame_without_detections_forgets_nothing(self):
        both = torch.cat([self.logits, self.logits[:, [2, 2, 2]]])
        score = math.e**2 / (math.e**2 + 1 + math.e)
        assert undetected(both, 0).tolist() == pytest.approx([1 - score, 1.0])

    def test_unknown_things_are_refused(self):
        with pytest.raises(UserError, match="knows no 'cat'; it knows circle, red circle, square"):
            yolos(tiny.yolos(), "cat", "smooth")
        with pytest.raises(UserError, match="no form 'rough'"):
            yolos(tiny.yolos(), "circle", "rough")


class TestAction:
    def test_the_longest_name_in_the_prompt_counts(self):
        judge = Action(tiny.video_mae())
        clip = drawn()
        named = [
            Action(tiny.video_mae(), label)(clip, ["x"], [8.0]).item()
            for label in tiny.LABELS.values()
        ]
        assert sum(named) == pytest.approx(1)
        assert judge(clip, ["a Red Circle moves"], [8.0]).item() == pytest.approx(named[2])
        assert judge(clip, ["a circle moves"], [8.0]).item() == pytest.approx(named[0])
        assert judge(clip, ["nothing"], [8.0]).isnan().all()
        with pytest.raises(UserError, match="knows no 'dance'"):
            Action(tiny.video_mae(), "dance")

    def test_resampling_by_hand(self):
        """Three frames 0, 1, 4 at five places: 0, .5, 1, 2.5, 4."""
        clip = torch.tensor([0.0, 1.0, 4.0])[None, :, None, None, None].expand(1, 3, 3, 2, 2)
        assert resize.resampled(clip, 5)[0, :, 0, 0, 0].tolist() == [0, 0.5, 1, 2.5, 4]
        assert resize.resampled(clip, 3) is clip


class TestVJepa:
    def test_without_a_mask_the_encoder_is_the_librarys(self):
        network = tiny.jepa()
        clip = noise(1, 4, 3, 64, 64)
        patches = network.encoder.embeddings(clip)
        ours = VJepa(network, frames=4)._encoded(patches, torch.arange(patches.shape[1]))
        assert torch.allclose(ours, network.encoder(clip).last_hidden_state, atol=1e-5)

    def test_nothing_hidden_reaches_the_prediction(self):
        """Other pixels behind the mask change the target, and not what is expected there."""
        network, judge = tiny.jepa(), VJepa(tiny.jepa(), frames=4)
        mask = torch.zeros(2, 4, 4, dtype=torch.bool)
        mask[:, 1:3, 1:3] = True
        clip = noise(1, 4, 3, 64, 64)
        other = clip.clone()
        other[..., 16:48, 16:48] = 1 - other[..., 16:48, 16:48]
        zero = torch.zeros(1, 32, 48)
        for one in (clip, other):
            assert network.encoder.embeddings(one).shape[1] == mask.numel()
        first, second = (
            judge._missed(network.encoder.embeddings(one), zero, mask.flatten())
            for one in (clip, other)
        )
        assert first.item() == pytest.approx(second.item(), abs=1e-7)
        moved = judge._missed(network.encoder.embeddings(1 - clip), zero, mask.flatten())
        assert moved.item() != pytest.approx(first.item(), abs=1e-6)

    def test_masks_go_through_time_and_follow_the_seed(self):
        one, again, other = (
            hidden(16, 8, 8, 0.15, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
        )
        assert torch.equal(one, again)
        assert not torch.equal(one, other)
        assert bool((one.reshape(8, 16, 16) == one.reshape(8, 16, 16)[0]).all())
        assert not hidden(4, 2, 9, 1.0, torch.Generator().manual_seed(0)).all()


def test_groups_change_neither_values_nor_gradients():
    layer = nn.Linear(6, 3)
    x = noise(11, 6).requires_grad_()
    whole, parts = layer(x), in_groups(layer, x, at_once=4)
    assert torch.allclose(whole, parts)
    first, second = (torch.autograd.grad(one.square().sum(), x)[0] for one in (whole, parts))
    assert torch.allclose(first, second)


class TestWeights:
    @pytest.fixture(autouse=True)
    def nowhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv(weights.HOME, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def test_where_they_are_looked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        for place in ("given", "environment"):
            (tmp_path / place / "laion-v1").mkdir(parents=True)
            (tmp_path / place / "laion-v1" / weights.TABLE["laion-v1"].files[0]).touch()
        monkeypatch.setenv(weights.HOME, str(tmp_path / "environment"))
        assert weights.find("laion-v1") == tmp_path / "environment" / "laion-v1"
        assert weights.find("laion-v1", tmp_path / "given") == tmp_path / "given" / "laion-v1"
        with pytest.raises(weights.MissingWeightsError, match="--fetch musiq-spaq, or name"):
            weights.find("musiq-spaq")
        with pytest.raises(weights.MissingWeightsError, match="Nobody may pass it on"):
            weights.find("amt-s")

    def test_a_hubs_model_in_either_format(self, tmp_path: Path):
        row = weights.TABLE["dino-vitb16"]
        (tmp_path / "config.json").touch()
        assert not row.there(tmp_path)
        (tmp_path / "pytorch_model.bin").touch()
        assert row.there(tmp_path)

    def test_a_damaged_file_is_named_with_the_command(self, tmp_path: Path):
        folder = tmp_path / "laion-v1"
        folder.mkdir()
        path = folder / weights.TABLE["laion-v1"].files[0]
        path.write_bytes(b"not a checkpoint")
        with pytest.raises(weights.MissingWeightsError, match=r"is damaged.*--fetch laion-v1"):
            tensors(path)
        torch.save({"other.weight": torch.ones(1)}, path)
        with pytest.raises(weights.MissingWeightsError, match="belongs to another model"):
            fill(nn.Linear(2, 1), tensors(path), path)
