"""Open-Sora 1.2's own modules by hand and by name, and the folder made of published files."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import Tensor

from data.errors import UserError
from tests.train import families, tiny
from tests.train.families import opensora as tiny_sora
from train import models
from train.models.opensora import OpenSoraPipeline, transform
from train.nets import open_sora
from train.nets.stdit3 import STDiT3, places, turned, waves
from train.nets.temporal_vae import TemporalVae

WIDTH, TOKENS = 1152, 300


class TestNumbers:
    def test_waves_are_cosines_then_sines(self) -> None:
        # two channels each: frequencies 1 and 1 / 10000^(1/2) = 0.01
        expected = [math.cos(2), math.cos(0.02), math.sin(2), math.sin(0.02)]
        assert waves(torch.tensor([2.0]), 4)[0].tolist() == pytest.approx(expected)

    def test_places_are_columns_then_rows(self) -> None:
        # 2 x 2 patches at scale 2: positions 0 and 1/2; four channels have one frequency, 1
        found = places(2, 2, 4, 2.0)
        sin, cos = math.sin(0.5), math.cos(0.5)
        assert found[1].tolist() == pytest.approx([sin, cos, 0, 1])  # row 0, column 1
        assert found[2].tolist() == pytest.approx([0, 1, sin, cos])  # row 1, column 0

    def test_places_of_a_wide_picture_are_stretched_to_the_square_of_its_area(self) -> None:
        # 2 x 8 patches: the square has side 4; the last row is at 1 * 4/2, the last column 7 * 4/8
        found = places(2, 8, 4, 1.0)
        assert found[-1].tolist() == pytest.approx(
            [math.sin(3.5), math.cos(3.5), math.sin(2.0), math.cos(2.0)]
        )

    def test_turning_is_by_neighbours(self) -> None:
        x = torch.tensor([1.0, 0.0, 0.0, 2.0]).view(1, 1, 1, 4)
        found = turned(x, torch.tensor([[math.pi / 2, math.pi]]))
        assert found.flatten().tolist() == pytest.approx([0.0, 1.0, 0.0, -2.0], abs=1e-6)

    def test_the_transform_is_the_published_one(self) -> None:
        # 512 x 512 pixels, 4 latent frames: s = 1 * 2; half way is 2 * 0.5 / (1 + 0.5)
        flow = transform(8)
        levels = flow.schedule(2, (4, 4, 64, 64))
        assert levels.tolist() == pytest.approx([1.0, 2 / 3, 0.0])
        # 256 x 256: half the side, so s = 1 and nothing is shifted
        assert flow.schedule(2, (4, 4, 32, 32)).tolist() == pytest.approx([1.0, 0.5, 0.0])


class TestPublishedNames:
    """As the published code's modules are called, with their shapes; no weights were at hand."""

    def test_denoiser(self) -> None:
        with torch.device("meta"):
            shapes = {name: tuple(x.shape) for name, x in STDiT3().state_dict().items()}
        block = {
            "scale_shift_table": (6, WIDTH), "attn.qkv.weight": (3 * WIDTH, WIDTH),
            "attn.q_norm.weight": (72,), "attn.k_norm.weight": (72,),
            "attn.proj.bias": (WIDTH,), "cross_attn.q_linear.weight": (WIDTH, WIDTH),
            "cross_attn.kv_linear.weight": (2 * WIDTH, WIDTH), "cross_attn.proj.bias": (WIDTH,),
            "mlp.fc1.weight": (4 * WIDTH, WIDTH), "mlp.fc2.weight": (WIDTH, 4 * WIDTH),
        }  # fmt: skip
        expected = {
            "x_embedder.proj.weight": (WIDTH, 4, 1, 2, 2), "t_embedder.mlp.0.weight": (WIDTH, 256),
            "fps_embedder.mlp.2.bias": (WIDTH,), "t_block.1.weight": (6 * WIDTH, WIDTH),
            "y_embedder.y_embedding": (TOKENS, 4096), "y_embedder.y_proj.fc1.weight": (WIDTH, 4096),
            "y_embedder.y_proj.fc2.weight": (WIDTH, WIDTH), "rope.freqs": (36,),
            "final_layer.scale_shift_table": (2, WIDTH), "final_layer.linear.weight": (32, WIDTH),
        }  # fmt: skip
        for kind in ("spatial", "temporal"):
            expected |= {f"{kind}_blocks.27.{name}": shape for name, shape in block.items()}
        assert {name: shapes.get(name) for name in expected} == expected
        # a block: seven layers with biases, a table, two norms; then what is not in blocks
        assert len(shapes) == 2 * 28 * (2 * 7 + 3) + 2 + 2 * 4 + 2 + 4 + 1 + 1 + 3

    def test_autoencoder_over_time(self) -> None:
        with torch.device("meta"):
            shapes = {name: tuple(x.shape) for name, x in TemporalVae().state_dict().items()}
        expected = {
            "encoder.conv_in.conv.weight": (128, 4, 3, 3, 3),
            "encoder.block_res_blocks.1.0.conv3.conv.weight": (256, 128, 1, 1, 1),
            "encoder.conv_blocks.1.conv.weight": (256, 256, 3, 3, 3),
            "encoder.conv_blocks.2.conv.bias": (256,),
            "encoder.res_blocks.3.norm2.weight": (512,),
            "encoder.conv2.conv.weight": (8, 512, 1, 1, 1),
            "quant_conv.conv.weight": (8, 8, 1, 1, 1),
            "post_quant_conv.conv.bias": (4,),
            "decoder.conv1.conv.weight": (512, 4, 3, 3, 3),
            "decoder.block_res_blocks.2.0.conv3.conv.weight": (256, 512, 1, 1, 1),
            "decoder.conv_blocks.2.conv.weight": (1024, 512, 3, 3, 3),
            "decoder.conv_out.conv.weight": (4, 128, 3, 3, 3),
        }
        assert {name: shapes.get(name) for name in expected} == expected
        assert "encoder.conv_blocks.0.conv.weight" not in shapes  # the first level keeps its frames
        assert "encoder.conv_in.conv.bias" not in shapes


@pytest.fixture(scope="module")
def vae() -> TemporalVae:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TemporalVae(**tiny_sora.TIME).eval()


class TestAutoencoderOverTime:
    @torch.no_grad()
    def test_seventeen_frames_are_five(self, vae: TemporalVae) -> None:
        z = vae.encode(torch.randn(1, 4, 17, 2, 2))
        assert z.shape == (1, 4, 5, 2, 2)
        assert vae.decode(z, 17).shape == (1, 4, 17, 2, 2)

    @torch.no_grad()
    def test_a_later_frame_changes_no_earlier_latent_through_a_convolution(
        self, vae: TemporalVae
    ) -> None:
        x = torch.randn(1, 4, 8, 2, 2)
        later = x.clone()
        later[:, :, 4:] += 1
        one, other = (vae.encoder.conv_in(clip) for clip in (x, later))
        assert torch.equal(one[:, :, :4], other[:, :, :4])
        assert not torch.allclose(one[:, :, 4], other[:, :, 4])


class TestFolder:
    def published(self, folder: Path) -> open_sora.Config:
        """Tiny files with the names of the published ones."""
        made = OpenSoraPipeline.from_pretrained(families.module("opensora").save(folder / "made"))
        state: dict[str, Tensor] = {"shift": torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 4, 1, 1, 1)}
        for prefix, part in (
            ("spatial_vae.module.", made.vae),
            ("temporal_vae.", made.temporal_vae),
        ):
            state |= {prefix + name: value for name, value in part.state_dict().items()}
        for name, weights in (("vae", state), ("stdit", dict(made.transformer.state_dict()))):
            (folder / name).mkdir()
            save_file(weights, folder / name / "model.safetensors")
        told = tiny_sora.DENOISER | {"model_type": "STDiT3", "qk_norm": True, "drop_path": 0.0}
        (folder / "stdit" / "config.json").write_text(json.dumps(told))
        made.text_encoder.save_pretrained(folder / "t5")
        tiny.tokenizer(8).save_pretrained(folder / "t5")
        return open_sora.Config(
            denoiser=str(folder / "stdit"), autoencoder=str(folder / "vae"),
            text=str(folder / "t5"), out=str(folder / "out"),
        )  # fmt: skip

    def test_published_files_make_a_model(self, tmp_path: Path) -> None:
        config = self.published(tmp_path)
        open_sora.run(config, sizes={"image": tiny_sora.IMAGE, "time": tiny_sora.TIME})
        model = models.load(config.out)
        assert model.pipeline.vae.config.scaling_factor == 0.18215
        assert model.pipeline.temporal_vae.config.shift == pytest.approx([0.1, 0.2, 0.3, 0.4])
        own = models.load(str(tmp_path / "made"))
        assert model.sample_defaults.frames == 51
        told, x = own.embed(["a red circle"]), torch.randn(1, 4, 5, 8, 16)
        for level in (0.2, 0.9):
            t = torch.tensor([level])
            with torch.no_grad():
                assert torch.equal(model.predict(x, t, told), own.predict(x, t, told))
        with pytest.raises(UserError, match="exists already"):
            open_sora.run(config)

    def test_other_files_are_refused_by_what_does_not_fit(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"not the published TemporalVae .* Missing key"):
            open_sora.fill(TemporalVae(**tiny_sora.TIME), {}, "somewhere")
        with pytest.raises(UserError, match="Download it"):
            open_sora.run(
                open_sora.Config(autoencoder=str(tmp_path / "a"), out=str(tmp_path / "o"))
            )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> models.VideoModel:
    folder = tmp_path_factory.mktemp("models") / "open-sora"
    return models.load(str(families.module("opensora").save(folder)))


def test_the_prediction_is_turned_round(model: models.VideoModel) -> None:
    x, t, told = torch.randn(1, 4, 5, 8, 16), torch.tensor([0.5]), model.embed(["a red circle"])
    with torch.no_grad():
        raw = model.network(
            x, torch.tensor([500.0]), told.tensors["text"], told.tensors["mask"],
            torch.tensor([24.0]), (16, 32),
        )  # fmt: skip
        assert raw.shape[1] == 8  # the second half is a variance
        assert torch.equal(model.predict(x, t, told), -raw[:, :4])


def test_the_empty_prompt_is_the_null_caption_and_padding_does_not_count(
    model: models.VideoModel,
) -> None:
    told = model.embed(["", "a red circle"]).tensors
    null: Any = model.network.y_embedder
    assert torch.equal(told["text"][0], null.y_embedding)
    assert told["mask"].sum(1).tolist() == [8, 4]  # all; three words and the end
    x, t = torch.randn(1, 4, 5, 8, 16), torch.tensor([0.5])
    changed = models.Conditions({"text": told["text"].clone(), "mask": told["mask"]})
    changed.tensors["text"][1, 4:] += 1
    both = [models.Conditions(told)[1:], changed[1:]]
    with torch.no_grad():
        assert torch.equal(*(model.predict(x, t, one) for one in both))


def test_frames_come_in_groups(model: models.VideoModel) -> None:
    with pytest.raises(UserError, match="17n frames"):
        model.check(replace(model.sample_defaults, frames=16))
    assert model.latent_shape(replace(model.sample_defaults, frames=51)) == (4, 15, 8, 16)
    assert isinstance(model.pipeline.vae, AutoencoderKL)
