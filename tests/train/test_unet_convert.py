"""From published files to folders that train: VideoCrafter2's checkpoint, T2V-Turbo's LoRA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from data.errors import UserError
from tests.train import families
from tests.train.families.videocrafter import UNET
from tests.train.published_unet import checkpoint
from tests.train.tiny_unet import TEXT, VAE
from train import models, policy
from train.nets import convert, turbo_lora
from train.nets import videocrafter_checkpoint as published
from train.nets.videocrafter import VideoCrafterUNet

SIZES: dict[str, Any] = {"unet": UNET, "vae": VAE, "text_encoder": TEXT}
PROMPTS = ["a red circle", "blue"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> models.VideoModel:
    folder = tmp_path_factory.mktemp("made") / "videocrafter"
    return models.load(str(families.module("videocrafter").save(folder)))


@pytest.fixture(scope="module")
def file(original: models.VideoModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "model.ckpt"
    torch.save({"state_dict": checkpoint(original.pipeline)}, path)
    return path


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What cloneofsimo's LoRA would write for the tiny network, of rank 6 where it fits."""
    draw = torch.Generator().manual_seed(1)
    weights = []
    for module in VideoCrafterUNet(**UNET, guidance_width=256).modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
            out, given, *kernel = module.weight.shape
            rank = min(6, out, given)  # 4 at the first and the last convolution
            weights.append(torch.randn(out, rank, *[1] * len(kernel), generator=draw) * 0.07)
            weights.append(torch.randn(rank, given, *kernel, generator=draw) * 0.07)
    path = tmp_path_factory.mktemp("turbo") / "unet_lora.pt"
    torch.save(weights, path)
    return path


def made(file: Path, out: Path, original: models.VideoModel, **options: Any) -> Path:
    config = convert.Config(
        checkpoint=str(file), out=str(out), tokenizer=f"{original.source}/tokenizer", **options
    )
    return convert.run(config, sizes=SIZES)


def prediction(model: models.VideoModel) -> Tensor:
    x = torch.randn(2, 4, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return model.predict(x, torch.tensor([19.0, 999.0]), model.embed(PROMPTS))


def test_a_published_checkpoint_becomes_the_same_model(
    original: models.VideoModel, file: Path, tmp_path: Path
) -> None:
    model = models.load(str(made(file, tmp_path / "out", original)))
    assert torch.equal(
        model.embed(PROMPTS).tensors["text"], original.embed(PROMPTS).tensors["text"]
    )
    assert torch.equal(prediction(model), prediction(original))
    frames = torch.rand(1, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    ours, latents = model.pipeline.vae.config.scaling_factor, original.encode(frames)
    assert ours == 0.5  # of the tiny sizes; 0.18215 as published
    assert torch.allclose(model.encode(frames), latents, atol=1e-6)
    assert torch.allclose(model.decode(latents), original.decode(latents), atol=1e-6)
    # published numbers: 28 frames per second are told, scaling ends at 0.7
    assert (model.pipeline.config.fps, model.pipeline.config.scale) == (28.0, 0.7)


def test_the_same_under_deepspeed_s_names(file: Path, tmp_path: Path) -> None:
    inner = torch.load(file)["state_dict"]
    path = tmp_path / "deepspeed.ckpt"
    torch.save({"module": {f"_forward_module.{k}": v for k, v in inner.items()}}, path)
    assert published.read(path).keys() == inner.keys()


def test_turbo_merged_is_turbo_unmerged_with_its_adapter(
    original: models.VideoModel, file: Path, lora: Path, tmp_path: Path
) -> None:
    merged = models.load(str(made(file, tmp_path / "merged", original, turbo=str(lora))))
    apart = made(file, tmp_path / "apart", original, turbo=str(lora), unmerged=True)
    base = models.load(str(apart))
    bare = prediction(base)
    policy.load(base, apart / "adapter")
    assert torch.allclose(prediction(base), prediction(merged), atol=1e-4)
    assert (prediction(base) - bare).abs().max() > 0.1


def test_hand_worked_merge() -> None:
    linear, conv = nn.Linear(2, 1, bias=False), nn.Conv2d(1, 1, (1, 2), bias=False)
    network = nn.ModuleDict({"linear": linear, "conv": conv})
    for weight in network.parameters():
        nn.init.ones_(weight)
    weights = [
        torch.tensor([[2.0]]), torch.tensor([[3.0, 5.0]]),
        torch.tensor([[[[2.0]]]]), torch.tensor([[[[7.0, 11.0]]]]),
    ]  # fmt: skip
    turbo_lora.merge(turbo_lora.named(weights, network), network)
    assert linear.weight.tolist() == [[7.0, 11.0]]  # 1 + 2 * 3, 1 + 2 * 5
    assert conv.weight.flatten().tolist() == [15.0, 23.0]  # 1 + 2 * 7, 1 + 2 * 11


class TestRefusals:
    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="No file"):
            published.read(tmp_path / "model.ckpt")

    def test_another_kind_of_file(self, tmp_path: Path) -> None:
        (tmp_path / "model.ckpt").write_text("not tensors")
        with pytest.raises(UserError, match="no file of tensors"):
            published.read(tmp_path / "model.ckpt")

    def test_a_part_of_the_file(self) -> None:
        with pytest.raises(UserError, match="the whole model"):
            published.unet({"input_blocks.0.0.weight": torch.zeros(1)})

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("input_blocks.1.1.transformer_blocks.0.attn2.to_k_ip.weight", "image-to-video"),
            ("motion_cond_proj.weight", "version 2"),
        ],
    )
    def test_a_relative(self, name: str, says: str) -> None:
        with pytest.raises(UserError, match=says):
            published.unet({published.UNET + name: torch.zeros(1)})

    def test_a_missing_weight_is_named(self, original: models.VideoModel) -> None:
        state = checkpoint(original.pipeline)
        del state[f"{published.UNET}out.2.bias"]
        with pytest.raises(UserError, match=r"1 names differ.*out\.2\.bias"):
            published.unet(state, **UNET)

    def test_a_folder_that_exists(
        self, file: Path, original: models.VideoModel, tmp_path: Path
    ) -> None:
        with pytest.raises(UserError, match="exists already"):
            made(file, tmp_path, original)

    def test_unmerged_what(self, file: Path, original: models.VideoModel, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="--turbo"):
            made(file, tmp_path / "out", original, unmerged=True)

    def test_a_lora_of_another_network(self) -> None:
        with pytest.raises(UserError, match="2 matrices"):
            turbo_lora.named([torch.zeros(1, 1)] * 2, VideoCrafterUNet(**UNET))
        with pytest.raises(UserError, match=r"changes 0 by \(1, 1\)"):
            turbo_lora.named([torch.zeros(1, 1)] * 2, nn.Sequential(nn.Linear(2, 2)))

    def test_help_is_fast_and_one_line_says_what_is_wrong(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert convert.main(["--checkpoint", str(tmp_path / "no.ckpt"), "--out", "x"]) == 2
        assert "no.ckpt" in capsys.readouterr().err
