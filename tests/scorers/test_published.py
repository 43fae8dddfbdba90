"""MUSIQ and ViCLIP once more, step by step as their authors describe them, against the modules.

Both sides have the same random weights: they agree about the arithmetic, not about a published
number. Here everything is spelt out that the modules leave to the library or leave out: padding of
the sequence, masks, attention, one patch at a time.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from scorers import musiq as musiq_scorer
from tests.scorers import tiny
from tests.scorers.clips import noise


def padded_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's SAME: ceil(side / stride) values; of an odd number of zeros more behind."""
    for axis in (2, 3):
        side = x.shape[axis]
        total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        before, after = ([*x.shape] for _ in range(2))
        before[axis], after[axis] = total // 2, total - total // 2
        x = torch.cat([x.new_zeros(before), x, x.new_zeros(after)], axis)
    return x


def plain_attention(state: dict[str, Tensor], name: str, x: Tensor, seen: Tensor, heads: int):
    """softmax(q k / sqrt d) v per head; what is not `seen` gets -1000 before the softmax."""
    q, k, v = (F.linear(x, state[f"{name}.{part}.weight"], state[f"{name}.{part}.bias"])
               for part in ("query", "key", "value"))  # fmt: skip
    width, found = x.shape[2] // heads, []
    both = seen[:, :, None] * seen[:, None, :]
    for head in range(heads):
        at = slice(head * width, (head + 1) * width)
        logits = q[..., at] @ k[..., at].transpose(1, 2) / math.sqrt(width)
        found.append(torch.where(both == 0, -1e3, logits).softmax(-1) @ v[..., at])
    together = torch.cat(found, -1)
    return F.linear(together, state[f"{name}.out.weight"], state[f"{name}.out.bias"])


class PlainMusiq:
    """Ke et al. 2021 with sequences padded to the longest that a scale can have, and masked."""

    def __init__(self, state: dict[str, Tensor], *, groups: int, heads: int) -> None:
        self.state, self.groups, self.heads = state, groups, heads

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        flat = weight.flatten(1)
        deviation = ((flat - flat.mean(1, keepdim=True)) ** 2).sum(1) / (flat.shape[1] - 1)
        flat = (flat - flat.mean(1, keepdim=True)) / (deviation.sqrt()[:, None] + 1e-5)
        return F.conv2d(
            padded_same(x, weight.shape[2], stride), flat.view_as(weight), stride=stride
        )

    def norm(self, name: str, x: Tensor, eps: float = 1e-4) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return F.group_norm(x, self.groups, weight, bias, eps)

    def token(self, patch: Tensor) -> Tensor:
        """One 32 px patch; zeros around the pool do not win, because they follow a ReLU."""
        x = F.relu(self.norm("gn_root", self.conv("conv_root", patch[None], 2), 1e-6))
        x = F.max_pool2d(padded_same(x, 3, 2), 3, 2)
        beside = self.norm("block1.gn_proj", self.conv("block1.conv_proj", x))
        inner = F.relu(self.norm("block1.gn1", self.conv("block1.conv1", x)))
        inner = F.relu(self.norm("block1.gn2", self.conv("block1.conv2", inner)))
        x = F.relu(self.norm("block1.gn3", self.conv("block1.conv3", inner)) + beside)
        flat = x[0].permute(1, 2, 0).flatten()  # the channel runs fastest, as in TensorFlow
        return F.linear(flat, self.state["embedding.weight"], self.state["embedding.bias"])

    def scale(self, picture: Tensor, number: int, most: int | None) -> tuple[Tensor, Tensor]:
        """Tokens with place and scale of one picture, and which of them are real."""
        high, wide = (math.ceil(side / 32) for side in picture.shape[1:])
        x = padded_same(picture[None], 32, 32)[0]
        table = self.state["transformer_encoder.posembed_input.position_emb"][0]
        scales = self.state["transformer_encoder.scaleembed_input.scale_emb"]
        rows, columns = (
            F.interpolate(torch.arange(10.0)[None, None], size=count, mode="nearest")[0, 0].int()
            for count in (high, wide)
        )
        tokens = [
            self.token(x[:, 32 * i : 32 * i + 32, 32 * j : 32 * j + 32])
            + table[10 * rows[i] + columns[j]] + scales[number]
            for i in range(high) for j in range(wide)
        ]  # fmt: skip
        empty = (most or len(tokens)) - len(tokens)
        junk = torch.full((empty, tokens[0].shape[0]), 7.0)  # must make no difference
        real = torch.cat([torch.ones(len(tokens)), torch.zeros(empty)])
        return torch.cat([torch.stack(tokens), junk]), real

    def __call__(self, picture: Tensor, sides: tuple[int, ...]) -> Tensor:
        centred, parts = picture * 2 - 1, []
        for number, side in enumerate(sides):
            ratio = side / max(picture.shape[1:])
            size = [round(length * ratio) for length in picture.shape[1:]]
            small = F.interpolate(centred[None], size, mode="bicubic", align_corners=False)[0]
            parts.append(self.scale(small, number, math.ceil(side / 32) ** 2))
        parts.append(self.scale(centred, len(sides), None))
        tokens, seen = (torch.cat(one)[None] for one in zip(*parts, strict=True))
        state, name = self.state, "transformer_encoder"
        x = torch.cat([state[f"{name}.cls"], tokens], 1)
        seen = torch.cat([torch.ones(1, 1), seen], 1)
        layers = len({key.split(".")[2] for key in state if "encoderblock" in key})
        for number in range(layers):
            x = self.block(f"{name}.transformer.encoderblock_{number}", x, seen)
        x = self.layer_norm(f"{name}.encoder_norm", x)
        return F.linear(x[0, 0], state["head.weight"], state["head.bias"])[0]

    def block(self, name: str, x: Tensor, seen: Tensor) -> Tensor:
        inner = self.layer_norm(f"{name}.norm1", x)
        x = x + plain_attention(self.state, f"{name}.attention", inner, seen, self.heads)
        inner = self.layer_norm(f"{name}.norm2", x)
        for part in ("fc1", "fc2"):
            weight, bias = (self.state[f"{name}.mlp.{part}.{kind}"] for kind in ("weight", "bias"))
            inner = F.linear(inner, weight, bias)
            inner = inner * torch.special.ndtr(inner) if part == "fc1" else inner  # exact GELU
        return x + inner

    def layer_norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return F.layer_norm(x, x.shape[-1:], weight, bias, 1e-6)


@pytest.mark.parametrize(("height", "width"), [(70, 131), (131, 70), (33, 32), (96, 96)])
def test_musiq_is_its_padded_and_masked_definition(height: int, width: int):
    """Odd sizes, portrait, a picture smaller than its scales: sequences of 4 and 9 are not full."""
    network = tiny.musiq()
    plain = PlainMusiq(dict(network.state_dict()), groups=4, heads=2)
    pictures = noise(2, 3, height, width)
    expected = [plain(picture, network.sizes.scales) for picture in pictures]
    assert torch.allclose(network(pictures), torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_places_are_those_of_nearest_resizing():
    """The published table of places is made by resizing 0..9; up to 512 px there are 16 patches."""
    from scorers.nets.musiq import hashed

    for count in range(1, 65):
        resized = F.interpolate(torch.arange(10.0)[None, None], size=count, mode="nearest")
        assert hashed(1, count, 10).tolist() == resized[0, 0].int().tolist()
        assert hashed(count, 1, 10).tolist() == (resized[0, 0].int() * 10).tolist()


def test_frames_are_cut_to_512_px_and_not_rounded():
    """VBench's mode `longer`: int(512 / 832 * 480) = int(295.4); 480 px stay.

    Its int() of both sides makes 511 of 512 / 833 * 833, which is 511.99... in floating point.
    """
    assert musiq_scorer.reduced(noise(1, 3, 480, 832)).shape[2:] == (295, 512)
    assert musiq_scorer.reduced(noise(1, 3, 480, 833)).shape[2:] == (295, 511)
    assert musiq_scorer.reduced(noise(1, 3, 900, 601)).shape[2:] == (512, 341)  # 341.9
    assert musiq_scorer.reduced(noise(1, 3, 480, 512)).shape[2:] == (480, 512)


def plain_clip_block(state: dict[str, Tensor], name: str, x: Tensor, heads: int, mask: Tensor):
    def norm(part: str, x: Tensor) -> Tensor:
        weight, bias = state[f"{name}.{part}.weight"], state[f"{name}.{part}.bias"]
        return F.layer_norm(x, x.shape[-1:], weight, bias)

    inner = norm("ln_1", x)
    whole = F.linear(
        inner, state[f"{name}.attn.in_proj_weight"], state[f"{name}.attn.in_proj_bias"]
    )
    q, k, v = (part.unflatten(1, (heads, -1)).transpose(0, 1) for part in whole.chunk(3, -1))
    logits = q @ k.transpose(1, 2) / math.sqrt(q.shape[2]) + mask
    seen = (logits.softmax(-1) @ v).transpose(0, 1).flatten(1)
    x = x + F.linear(
        seen, state[f"{name}.attn.out_proj.weight"], state[f"{name}.attn.out_proj.bias"]
    )
    inner = F.linear(
        norm("ln_2", x), state[f"{name}.mlp.c_fc.weight"], state[f"{name}.mlp.c_fc.bias"]
    )
    inner = inner * torch.sigmoid(1.702 * inner)
    return x + F.linear(inner, state[f"{name}.mlp.c_proj.weight"], state[f"{name}.mlp.c_proj.bias"])


def test_viclip_sees_a_clip_as_published():
    """One class token for the clip, with place 0 and no frame number; it alone is projected."""
    network = tiny.viclip()
    torch.nn.init.normal_(network.vision_encoder.temporal_positional_embedding)
    state, sizes = dict(network.vision_encoder.state_dict()), network.sizes
    clip = noise(1, 8, 3, 28, 28)
    tokens = [state["class_embedding"] + state["positional_embedding"][0]]
    for place in range(4):
        top, left = place // 2 * 14, place % 2 * 14
        for frame in range(8):
            patch = clip[0, frame, :, top : top + 14, left : left + 14].flatten()
            tokens.append(state["conv1.weight"].flatten(1) @ patch
                          + state["positional_embedding"][1 + place]
                          + state["temporal_positional_embedding"][0, frame])  # fmt: skip
    x = torch.stack(tokens)
    x = F.layer_norm(x, x.shape[1:], state["ln_pre.weight"], state["ln_pre.bias"])
    for number in range(sizes.layers):
        x = plain_clip_block(
            state, f"transformer.resblocks.{number}", x, sizes.heads, torch.zeros(())
        )
    x = F.layer_norm(x[0], x.shape[1:], state["ln_post.weight"], state["ln_post.bias"])
    assert torch.allclose(network.vision_encoder(clip)[0], x @ state["proj"], atol=1e-4)


def test_viclip_reads_a_text_as_published():
    """Each word looks back; the place of the largest number, which ends the text, is projected."""
    network = tiny.viclip()
    state, sizes = dict(network.text_encoder.state_dict()), network.sizes
    ids = torch.randint(1, 49000, (32,), generator=torch.Generator().manual_seed(3))
    ids[0], ids[11] = 49406, 49407
    x = state["token_embedding.weight"][ids] + state["positional_embedding"]
    mask = torch.full((32, 32), float("-inf")).triu(1)
    for number in range(sizes.text_layers):
        x = plain_clip_block(state, f"transformer.resblocks.{number}", x, sizes.text_heads, mask)
    x = F.layer_norm(x[11], x.shape[1:], state["ln_final.weight"], state["ln_final.bias"])
    found = network.text_encoder(ids[None])[0]
    assert torch.allclose(found, x @ state["text_projection"], atol=1e-4)
