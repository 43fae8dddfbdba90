"""VideoCrafter2's UNet against diffusers' own of the same design, and its published names."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from diffusers import UNet3DConditionModel
from peft import LoraConfig
from torch import Tensor, nn

from tests.train.families import modelscope
from tests.train.families.videocrafter import UNET
from train.models.modelscope import make_checkpointable
from train.nets.videocrafter import VideoCrafterUNet

STAGES = {
    "down_blocks.0": "input_blocks.1", "down_blocks.1": "input_blocks.3",
    "mid_block": "middle_block", "up_blocks.0": "output_blocks", "up_blocks.1": "output_blocks",
}  # fmt: skip
RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
WHOLE = {
    "conv_in": "input_blocks.0.0", "transformer_in": "init_attn.0",
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0", "conv_out": "out.2",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.1.conv",
}  # fmt: skip


def published_name(name: str) -> str:
    """What diffusers' two-level `UNet3DConditionModel` calls `name`, in the published names."""
    for theirs, ours in WHOLE.items():
        if name.startswith(theirs + "."):
            return ours + name.removeprefix(theirs)
    found = re.match(r"(down_blocks\.\d|mid_block|up_blocks\.\d)\.(\w+)\.(\d)\.(.+)", name)
    assert found, name
    block, kind, number, rest = found[1], found[2], int(found[3]), found[4]
    stage = STAGES[block]
    if block.startswith("up"):
        stage += f".{2 * int(block[-1]) + number}"
    first = 3 * number if block == "mid_block" else 0  # both residual blocks are in one stage
    layer, _, tail = rest.partition(".")
    return {
        "resnets": f"{stage}.{first}.{RESNET.get(layer, layer)}.{tail}",
        "temp_convs": f"{stage}.{first}.temopral_conv.{rest}",
        "attentions": f"{stage}.1.{rest}",
        "temp_attentions": f"{stage}.2.{rest}",
    }[kind]


@pytest.fixture(scope="module")
def ours() -> VideoCrafterUNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = VideoCrafterUNet(**UNET).eval()
        for weight in network.parameters():  # norms too: as made, one is like another
            weight.data += 0.05 * torch.randn(weight.shape)
        return network


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 3, 8, 8, generator=draw)
    return x, torch.tensor([7.0, 801.0]), torch.randn(2, 5, 16, generator=draw)


def test_it_is_diffusers_unet_with_a_frame_rate(ours: VideoCrafterUNet) -> None:
    """One frame rate for all is a constant in the time embedding's last bias."""
    theirs = UNet3DConditionModel(
        in_channels=4, out_channels=4, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        norm_num_groups=32, cross_attention_dim=16, attention_head_dim=16,
    ).eval()  # fmt: skip
    names = {name: published_name(name) for name in theirs.state_dict()}
    state = ours.state_dict()
    unused = state.keys() - names.values()
    assert all(name.startswith("fps_embedding") for name in unused)
    moved = {
        name: state[own].view_as(theirs.get_parameter(name)).clone()  # 1-wide convolutions there
        for name, own in names.items()
    }
    x, t, text = inputs()
    fps = torch.full((2,), 28.0)
    with torch.no_grad():
        moved["time_embedding.linear_2.bias"] += ours.fps_embedding(ours._sinusoids(fps))[0]
        theirs.load_state_dict(moved)
        expected = theirs(x, t, encoder_hidden_states=text).sample
        assert torch.allclose(ours(x, t, text, fps=fps), expected, atol=1e-5)
        assert not torch.allclose(ours(x, t, text, fps=fps / 2), expected, atol=1e-5)


def test_published_size() -> None:
    """The configuration inference_t2v_512_v2.0; no published file was at hand to compare with."""
    with torch.device("meta"):
        network = VideoCrafterUNet()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    expected = {
        "time_embed.0.weight": (1280, 320),
        "fps_embedding.2.weight": (1280, 1280),
        "input_blocks.0.0.weight": (320, 4, 3, 3),
        "init_attn.0.proj_in.weight": (512, 320, 1),  # 8 heads of 64, by a 1-wide convolution
        "init_attn.0.transformer_blocks.0.attn2.to_k.weight": (512, 512),
        "input_blocks.1.0.temopral_conv.conv1.2.weight": (320, 320, 3, 1, 1),
        "input_blocks.1.0.temopral_conv.conv4.3.weight": (320, 320, 3, 1, 1),
        "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
        "input_blocks.3.0.op.weight": (320, 320, 3, 3),
        "input_blocks.4.0.skip_connection.weight": (640, 320, 1, 1),
        "input_blocks.5.2.proj_in.weight": (640, 640),
        "input_blocks.9.0.op.bias": (1280,),
        "input_blocks.11.0.emb_layers.1.weight": (1280, 1280),
        "middle_block.1.transformer_blocks.0.ff.net.0.proj.weight": (10240, 1280),
        "middle_block.3.out_layers.3.weight": (1280, 1280, 3, 3),
        "output_blocks.2.1.conv.weight": (1280, 1280, 3, 3),  # no attention at the deepest level
        "output_blocks.5.3.conv.weight": (1280, 1280, 3, 3),
        "output_blocks.8.0.in_layers.2.weight": (640, 960, 3, 3),  # 640 and 320 from the way down
        "output_blocks.11.2.transformer_blocks.0.norm3.weight": (320,),
        "out.2.weight": (4, 320, 3, 3),
    }
    assert expected.items() <= shapes.items()
    stages = {m[0] for name in shapes if (m := re.match(r"(in|out)put_blocks\.\d+", name))}
    assert len(stages) == 24  # 4 x 2 + 3 downsamplings + the first; 4 x 3
    with torch.device("meta"), torch.no_grad():  # 16 frames of 320 x 512: shapes alone
        x, one = torch.empty(1, 4, 16, 40, 64), torch.empty(1)
        assert network(x, one, torch.empty(1, 77, 1024), fps=one).shape == x.shape


def test_modules_are_made_in_the_published_order() -> None:
    """T2V-Turbo's LoRA has no names: the order of the published constructor is its only key."""
    network = VideoCrafterUNet(**UNET, guidance_width=8)
    assert [name for name, _ in network.named_children()] == [
        "time_embed", "fps_embedding", "time_cond_proj", "input_blocks", "init_attn",
        "middle_block", "output_blocks", "out",
    ]  # fmt: skip
    stage = network.get_submodule("input_blocks.1")
    order = [
        n for n, m in stage.named_modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.Conv3d)
    ]
    block = [f"attn1.to_{p}" for p in ("q", "k", "v", "out.0")]
    block += ["ff.net.0.proj", "ff.net.2", *(n.replace("attn1", "attn2") for n in block)]
    assert order == [
        "0.in_layers.2", "0.emb_layers.1", "0.out_layers.3",
        *(f"0.temopral_conv.conv{i}.{2 if i == 1 else 3}" for i in (1, 2, 3, 4)),
        *(f"{i}.{n}" for i in (1, 2)
          for n in ("proj_in", *(f"transformer_blocks.0.{b}" for b in block), "proj_out")),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["videocrafter", "modelscope"])
def test_checkpointing_saves_memory_and_changes_no_gradient(
    kind: str, ours: VideoCrafterUNet
) -> None:
    network: nn.Module = ours
    if kind == "modelscope":
        network = modelscope.unet().eval()
        make_checkpointable(network)
    x, t, text = inputs()
    others = {"fps": torch.full((2,), 8.0)} if kind == "videocrafter" else {"return_dict": False}

    def run() -> Tensor:
        found = network(x, t, encoder_hidden_states=text, **others)
        return found if isinstance(found, Tensor) else found[0]

    plain, kept = gradients(network, run)
    network.enable_gradient_checkpointing()
    again, fewer = gradients(network, run)
    seen: list[int] = []
    network.enable_gradient_checkpointing(
        lambda block, *given: seen.append(id(block)) or block(*given)
    )
    run(), run()
    network.disable_gradient_checkpointing()
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]  # the same blocks, known by identity
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))
    assert fewer < 0.5 * kept


@pytest.mark.gpu
def test_published_size_trains_on_a_gpu() -> None:
    """16 frames of 320 x 512 in bf16, a pair at once, stages recomputed; random weights."""
    network = VideoCrafterUNet().to("cuda", torch.bfloat16).requires_grad_(requires_grad=False)
    network.add_adapter(LoraConfig(r=4, target_modules=["to_q", "to_k", "to_v"]))
    network.enable_gradient_checkpointing()
    x = torch.randn(2, 4, 16, 40, 64, device="cuda", dtype=torch.bfloat16)
    text = torch.randn(2, 77, 1024, device="cuda", dtype=torch.bfloat16)
    t = torch.tensor([20.0, 980.0], device="cuda")
    network(x, t, text, fps=torch.full_like(t, 28)).float().square().mean().backward()
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    assert all(torch.isfinite(weight.grad).all() for weight in trained if weight.grad is not None)
    assert any(weight.grad is not None and weight.grad.abs().max() > 0 for weight in trained)


def gradients(network: nn.Module, run: Callable[[], Tensor]) -> tuple[list[Tensor], int]:
    """Of every weight, and how many numbers were kept for them."""
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        loss = run().square().mean()
    return list(torch.autograd.grad(loss, list(network.parameters()))), kept
