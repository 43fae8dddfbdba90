"""VideoReward from its published files, on a tiny network with seeded random weights.

Nothing here says that a published number comes out: the published weights were not at hand.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import Qwen2VLConfig, Qwen2VLModel

import scorers
from data.omniscore import PROFILES, aggregate
from scorers import listing, weights
from scorers.nets import qwen2vl
from scorers.nets import videoreward as published
from scorers.nets.qwen2vl import Sight
from scorers.resize import CLIP_MEAN, CLIP_STD
from scorers.run import available
from scorers.videoreward import VideoReward
from scorers.weights import MissingWeightsError
from tests.scorers import qwen
from tests.scorers.clips import PROMPT, drawn, noise

VQ, MQ, TA = range(3)


@pytest.fixture(scope="module")
def judge() -> VideoReward:
    return qwen.video_reward()


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny network's sizes in place of the 2B's, and its limits of area."""
    monkeypatch.setattr(published, "BASE", qwen.SIZES)
    monkeypatch.setattr(published, "sight", lambda settings: qwen.SMALL)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Published files, and the model with adapters that they were saved from."""
    folder, model = tmp_path_factory.mktemp("weights"), qwen.adapted()
    qwen.publish(folder, model)
    return folder, model


def plainly(network: Any, frames: torch.Tensor, prompt: str) -> torch.Tensor:
    """The scorer again, spelt out: 9 frames of 48 px at 8 fps are 4 frames of 56 px."""
    shown = F.interpolate(frames[0, [0, 3, 5, 8]], (56, 56), mode="bicubic", antialias=True)
    shown = (shown.clamp(0, 1) * 255).round() / 255
    mean, std = torch.tensor(CLIP_MEAN), torch.tensor(CLIP_STD)
    shown = (shown - mean[:, None, None]) / std[:, None, None]
    patches = []
    for pair in (shown[:2], shown[2:]):
        for top, left in ((0, 0), (0, 28), (28, 0), (28, 28)):  # a 28 px block becomes one token
            for y, x in ((0, 0), (0, 14), (14, 0), (14, 14)):
                patch = pair[:, :, top + y : top + y + 14, left + x : left + x + 14]
                patches.append(patch.transpose(0, 1).flatten())  # channel, time, row, column
    text = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        f"<|vision_start|>{'<|video_pad|>' * 8}<|vision_end|>"
        f"{qwen.WORDS.replace('{text_prompt}', prompt)}<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = qwen.tokens().encode(text).ids
    states = network(
        input_ids=torch.tensor([ids]),
        pixel_values_videos=torch.stack(patches),
        video_grid_thw=torch.tensor([[2, 4, 4]]),
        position_ids=torch.arange(len(ids)).repeat(3, 1, 1),
    ).last_hidden_state[0]
    at = [ids.index(qwen.tokens().token_to_id(mark)) for mark in published.ASKED]
    return torch.stack([states[place] @ qwen.head() for place in at])


@pytest.mark.usefixtures("base")
def test_published_files_give_what_the_adapters_gave(files: tuple[Path, Any]):
    """Adapters folded in by us and run beside their maps by peft are the same function."""
    folder, model = files
    judge = scorers.load("videoreward", weights_dir=folder)
    frames = drawn()
    with torch.no_grad():
        found, expected = judge(frames, [PROMPT], [8.0])[0], plainly(model, frames, PROMPT)
        bare = plainly(qwen.seeded(Qwen2VLModel), frames, PROMPT)
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found, bare, atol=0.1), "the adapters do something"


@pytest.mark.usefixtures("base")
def test_in_bfloat16_the_head_stays_in_float32(files: tuple[Path, Any]):
    half = scorers.load("videoreward", weights_dir=files[0], dtype=torch.bfloat16)
    judge = half.scorer  # type: ignore[attr-defined]
    whole = scorers.load("videoreward", weights_dir=files[0])
    found, exact = (one(drawn(), [PROMPT], [8.0]) for one in (judge, whole))
    assert found.dtype == torch.float32
    assert (judge._head.dtype, judge._network.dtype) == (torch.float32, torch.bfloat16)
    assert half.version == f"{whole.version}-bfloat16"
    assert float((found - exact).abs().max()) < 0.1 * float(exact.abs().max())


def test_the_2b_has_the_1123_tensors_that_were_published():
    """Reference, section 3.3: 391 visual, 338 of text, 28 x 7 x 2 of adapters, two heads."""
    text = {**published.BASE["text_config"], "vocab_size": 151660}
    with torch.device("meta"):
        network = Qwen2VLModel(Qwen2VLConfig(**{**published.BASE, "text_config": text}))
    state: dict[str, torch.Tensor] = {}
    for name, value in network.state_dict().items():
        old = re.sub(r"^language_model\.", "model.", name)
        if linear := re.fullmatch(r"(model\.layers.*_proj)\.(weight|bias)", old):
            map_, kind = linear.groups()
            state[f"base_model.model.{map_}.base_layer.{kind}"] = value
            if kind == "weight":
                shapes = {"A": (64, value.shape[1]), "B": (value.shape[0], 64)}
                for which, shape in shapes.items():
                    key = f"base_model.model.{map_}.lora_{which}.default.weight"
                    state[key] = torch.empty(shape, device="meta")
        else:
            state[f"base_model.model.{old}"] = value
    state["base_model.model.lm_head.weight"] = torch.empty(151660, 1536, device="meta")
    assert len(state) + 1 == 1123, "and the reward head"
    size = 2 * (1536 + sum(value.numel() for value in state.values()))
    assert size == pytest.approx(5_031_072_529, rel=1e-4), "the published file, in bfloat16"
    folded = published.folded(state, 2.0, torch.bfloat16)
    assert {name: value.shape for name, value in folded.items()} == {
        name: value.shape for name, value in network.state_dict().items()
    }


def test_only_alignment_knows_the_prompt(judge: VideoReward):
    """The prompt stands after the first two marks, and the network only looks back."""
    frames = torch.cat([drawn()] * 2)
    one, other = judge(frames, [PROMPT, "a zebra on the moon, at night"], [8.0, 8.0])
    assert torch.allclose(one[[VQ, MQ]], other[[VQ, MQ]], atol=1e-5)
    assert abs(float(one[TA] - other[TA])) > 1e-2


def test_a_single_frame_is_shown_twice_and_has_no_motion(judge: VideoReward):
    still = drawn()[:, :1]
    alone, twice = judge(still, [PROMPT], [8.0])[0], judge(still[:, [0, 0]], [PROMPT], [8.0])[0]
    assert bool(alone[MQ].isnan())
    assert torch.equal(alone[[VQ, TA]], twice[[VQ, TA]])


def test_playing_backwards_is_another_clip(judge: VideoReward):
    forth, back = judge(torch.cat([drawn(), drawn().flip(1)]), [PROMPT] * 2, [8.0] * 2)
    assert not torch.allclose(forth, back, atol=1e-3)


def test_markup_in_a_prompt_is_words(judge: VideoReward):
    for mark in ("<|TA_reward|>", "<|video_pad|>", "<|im_end|>", "{text_prompt}"):
        assert bool(judge(drawn(), [f"a red {mark} circle"], [8.0]).isfinite().all())


@pytest.mark.parametrize(
    ("count", "fps", "expected"),
    [
        (16, 8.0, [0, 5, 10, 15]),  # 2 s at 2 fps
        (81, 16.0, [0, 9, 18, 27, 36, 44, 53, 62, 71, 80]),  # 10.1: even, so 10
        (49, 8.0, 12),  # 12.25
        (5, 8.0, [0, 1, 3, 4]),  # 1.25, but four at least
        (3, 8.0, [0, 2]),  # no more than there are, and even
        (2, 30.0, [0, 1]),
        (1, 8.0, [0, 0]),
        (40000, 25.0, 768),  # no more than 768
    ],
)
def test_which_frames_are_shown(count: int, fps: float, expected: list[int] | int):
    found = Sight().frames(count, fps)
    assert (found if isinstance(expected, list) else len(found)) == expected
    assert found[0] == 0
    assert found[-1] == count - 1


def test_how_large_frames_are_shown():
    """448 x 448 = 200704 px at most, 128 x 784 = 100352 at least, both sides multiples of 28.

    480 x 832: times sqrt(200704 / 399360) is 340.3 x 589.8, cut to 336 x 588.
    32 x 32: sqrt(100352) is 316.8, up to 336. 320 x 512: 11.4 and 18.3 blocks of 28.
    """
    sight = published.sight({"data_config": {"fps": 2.0, "max_frame_pixels": 200704}})
    assert sight.fps == 2.0
    assert sight.size(480, 832, 28) == (336, 588)
    assert sight.size(32, 32, 28) == (336, 336)
    assert sight.size(320, 512, 28) == (308, 504)


def test_bars_are_videoaligns_standardisation():
    """Raw at the mean plus three deviations is full: 3.6757 + 3 x 2.2476 = 10.4185.

    Standardised values 3, 0 and -1.5 sum to 1.5, VideoAlign's overall; 0.5 + 1.5 / 18 = 0.5833.
    """
    profile = PROFILES["judge"]
    raw = {"visual_quality": 10.4185, "motion_quality": 1.1646,
           "text_alignment": 2.8105 - 1.5 * 2.5121}  # fmt: skip
    omni = aggregate(raw, profile)
    assert omni.normalised == pytest.approx(
        {"visual_quality": 1.0, "motion_quality": 0.5, "text_alignment": 0.25}
    )
    assert omni.total == pytest.approx(0.5 + 1.5 / 18)
    assert profile.lacks == ()
    assert PROFILES["vbench-judge"].scorers[-1] == "videoreward"


class TestFilesThatAreNotThereOrDamaged:
    def test_missing_ones_are_named_with_the_command(self, tmp_path: Path):
        with pytest.raises(
            MissingWeightsError, match=r"no weights videoreward \(5040 MB.*--fetch videoreward"
        ):
            scorers.load("videoreward", weights_dir=tmp_path)

    def test_what_is_fetched(self):
        assert listing.wanted("judge") == ["videoreward", "videoreward-words"]
        assert listing.wanted("versus") == ["qwen2-vl-2b"]

    def test_the_others_are_still_scored(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv(weights.HOME, str(tmp_path))
        profile = PROFILES["vbench-judge"]
        judges, absent = available(profile, "cpu", str(tmp_path))
        assert "flicker" in judges
        assert "--fetch videoreward" in absent["videoreward"]

    @pytest.mark.usefixtures("base")
    @pytest.mark.parametrize(
        ("file", "content", "said"),
        [
            ("videoreward/checkpoint-11352/model.pth", b"PK\x03\x04 cut off", "UnpicklingError|Ru"),
            ("videoreward/model_config.json", b'{"data_config": ', "JSONDecodeError"),
            ("videoreward/checkpoint-11352/tokenizer/tokenizer.json", b"{", "JSONDecodeError"),
            ("videoreward-words/prompt_template.py", b"x = 1", "ValueError: no DETAILED_PROMPT"),
        ],
    )
    def test_damage_names_the_file_and_the_command(
        self, tmp_path: Path, file: str, content: bytes, said: str
    ):
        qwen.publish(tmp_path, qwen.adapted())
        (tmp_path / file).write_bytes(content)
        row = file.partition("/")[0]
        with pytest.raises(MissingWeightsError, match=rf"is damaged.*({said}).*--fetch {row}$"):
            scorers.load("videoreward", weights_dir=tmp_path)

    @pytest.mark.usefixtures("base")
    def test_another_models_checkpoint_is_refused(self, tmp_path: Path):
        qwen.publish(tmp_path, qwen.adapted())
        path = tmp_path / "videoreward" / published.CHECKPOINT / "model.pth"
        state = torch.load(path)
        del state["base_model.model.model.norm.weight"]
        torch.save(state, path)
        with pytest.raises(MissingWeightsError, match=r"1 names do not fit, such as language_mod"):
            scorers.load("videoreward", weights_dir=tmp_path)


def test_long_clips_are_shown_by_few_frames(judge: VideoReward):
    """Ten seconds at 8 fps: 20 frames of 80; what lies between them plays no part."""
    frames = noise(1, 80, 3, 32, 32)
    changed = frames.clone()
    seen = qwen.SMALL.frames(80, 8.0)
    changed[:, sorted(set(range(80)) - set(seen))] = 0
    assert torch.equal(judge(frames, ["noise"], [8.0]), judge(changed, ["noise"], [8.0]))


def test_uint8_frames_are_whole_levels():
    """What the resize makes is rounded to 8 bits, as in the published pipeline."""
    reader = qwen.video_reward()._reader
    read = reader(qwen2vl.VIDEO, [drawn()[0]], [8.0])
    std = torch.tensor(CLIP_STD).repeat_interleave(2 * 14 * 14)
    mean = torch.tensor(CLIP_MEAN).repeat_interleave(2 * 14 * 14)
    levels = (read.patches * std + mean).numpy() * 255
    assert np.abs(levels - levels.round()).max() < 1e-3
