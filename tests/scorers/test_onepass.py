"""One pass: what is shared changes no number, and what is loaded fits its budget."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import scorers
from data import shapes
from data.errors import UserError
from data.omniscore import PROFILES
from scorers import aesthetic, clipscore, inmemory, laion, shared, weights
from scorers.judging import batched, measured, opinions
from scorers.nets import musiq, musiq_jax
from scorers.pool import Pool
from scorers.shared import levels, once, sharing
from scorers.weights import MissingWeightsError
from tests.scorers import tiny
from tests.scorers.clips import PROMPT, drawn, noise

GIVEN = {"a": 100, "b": 300, "c": 300}  # MB


def clips(count: int = 2) -> list[np.ndarray]:
    draw = np.random.default_rng(7)
    return [shapes.render(shapes.random_scene(draw), 5, 48) for _ in range(count)]


class TestSharing:
    def test_once_for_one_tensor_and_key(self):
        frames, made = noise(1, 2, 3, 16, 16), []

        def make() -> int:
            made.append(1)
            return len(made)

        with sharing():
            assert [once(frames, key, make) for key in ("x", "x", "y")] == [1, 1, 2]
            assert once(frames.clone(), "x", make) == 3, "equal values are another tensor"
        assert once(frames, "x", make) == 4, "outside of it nothing is kept"

    def test_a_block_within_a_block_is_part_of_it(self):
        frames = noise(1, 2, 3, 16, 16)
        with sharing():
            with sharing():
                once(frames, "x", lambda: 1)
            assert once(frames, "x", lambda: 2) == 1
        assert once(frames, "x", lambda: 3) == 3

    def test_a_tensor_that_is_gone_is_not_mistaken_for_the_next(self):
        with sharing():
            seen = [once(torch.full((1,), float(k)), "v", lambda k=k: k) for k in range(50)]
        assert seen == list(range(50))

    @pytest.mark.parametrize("profile", ["lite", "shapes"])
    def test_the_numbers_are_those_of_each_alone(self, profile: str):
        judges = {name: scorers.load(name) for name in PROFILES[profile].scorers}
        judges["halfway"] = scorers.load("halfway")
        two, texts, rates = clips(), [PROMPT, "a blue square"], [8.0, 12.0]
        together = opinions(judges, two, texts, rates, "cpu")
        for name, judge in judges.items():
            assert together[name] == measured(judge, batched(two, "cpu"), texts, rates)

    def test_levels_of_a_decoded_clip_are_its_own(self):
        (clip,) = clips(1)
        assert np.array_equal(levels(batched([clip], "cpu"))[0], clip)

    def test_levels_of_a_decoded_clip_are_not_made_again(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(shared, "_levels", lambda _: pytest.fail("made from floating point"))
        judges = {"flow": scorers.load("flow")}
        assert opinions(judges, clips(1), [PROMPT], [8.0], "cpu")["flow"][0][0] > 0

    def test_one_pass_per_tower_and_dialect(self):
        """v1 reads `vbench`; v2 and CLIPScore read `official`: two passes, not three."""
        tower, passes = tiny.tower(), []
        tower.register_forward_hook(lambda *_: passes.append(1))
        judges = {
            "laion": laion.scorer(tower, tiny.head(0.1)),
            "aesthetic": aesthetic.scorer(tower, tiny.head()),
            "clipscore": clipscore.scorer(tower, tiny.text_tower(), tiny.words(), "official"),
        }
        alone = {name: measured(judge, batched(clips(), "cpu"), [PROMPT] * 2, [8.0] * 2)
                 for name, judge in judges.items()}  # fmt: skip
        assert len(passes) == 3
        assert opinions(judges, clips(), [PROMPT] * 2, [8.0] * 2, "cpu") == alone
        assert len(passes) == 3 + 2

    def test_gradients_go_through_what_is_shared(self):
        tower, frames = tiny.tower(), drawn().requires_grad_()
        judge = aesthetic.scorer(tower, tiny.head())
        (alone,) = torch.autograd.grad(judge(frames, [PROMPT], [8.0]).sum(), frames)
        with sharing():
            twice = sum(judge(frames, [PROMPT], [8.0]).sum() for _ in range(2))
        (both,) = torch.autograd.grad(twice, frames)  # type: ignore[arg-type]
        torch.testing.assert_close(both, 2 * alone)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny CLIP L/14 and both heads of LAION, as they are published."""
    tiny.clip_model().save_pretrained(tmp_path / "clip-vit-l-14")
    for row in ("laion-v1", "laion-v2"):
        (tmp_path / row).mkdir()
        torch.save(nn.Linear(24, 1).state_dict(), tmp_path / row / weights.TABLE[row].files[0])
    return tmp_path


class TestPool:
    def test_those_who_read_one_backbone_hold_one(self, folder: Path):
        pool = Pool(weights_dir=str(folder))
        with torch.random.fork_rng():
            judges, absent = pool.take(["laion", "aesthetic", "clipscore"])
        assert absent == {}
        towers = [judges["laion"].values.keywords["network"],  # type: ignore[attr-defined]
                  judges["aesthetic"].values.keywords["network"],  # type: ignore[attr-defined]
                  judges["clipscore"].seen.args[0]]  # type: ignore[attr-defined]  # fmt: skip
        assert towers[0] is towers[1] is towers[2]
        gone = weakref.ref(towers[0])
        del judges, pool, towers
        gc.collect()
        assert gone() is None, "nobody holds it: its memory is free"

    def test_another_type_is_another_version(self, folder: Path):
        kinds = {dtype: scorers.load("laion", dtype=dtype, weights_dir=folder)
                 for dtype in (None, torch.float32, torch.bfloat16)}  # fmt: skip
        versions = [judge.version for judge in kinds.values()]
        assert versions == ["1", "1", "1-bfloat16"]
        lower = kinds[torch.bfloat16]
        assert (lower.name, lower.dimensions) == ("laion", ("aesthetic_quality",))
        values = [judge(drawn(), [PROMPT], [8.0]).item() for judge in kinds.values()]
        assert values[0] == values[1] != values[2]
        assert values[2] == pytest.approx(values[0], abs=0.01)
        assert scorers.load("colour", dtype=torch.bfloat16).version == "1"

    def table(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Scorer `ab` reads rows a and b; `none` reads none."""
        rows = {name: weights.Weights(files=(name,), megabytes=size, licence="-")
                for name, size in GIVEN.items()}  # fmt: skip
        monkeypatch.setattr(weights, "TABLE", rows)
        monkeypatch.setattr(scorers, "needs", lambda name: tuple(name) if name != "none" else ())
        monkeypatch.setattr(scorers, "load", lambda name, **options: name)

    def test_groups_fit_and_share(self, monkeypatch: pytest.MonkeyPatch):
        """400 MB: ab is 400; c is 300 and does not go with it; `b` adds nothing to ab, a nothing.

        In bfloat16 half of that is needed, 350 MB for all.
        """
        self.table(monkeypatch)
        names = ["ab", "c", "b", "none", "a"]
        assert Pool().groups(names) == [names]
        assert Pool(memory=0.4).groups(names) == [["ab", "b", "none", "a"], ["c"]]
        assert Pool(memory=0.35, dtype=torch.bfloat16).groups(names) == [names]

    def test_the_least_recently_used_is_freed(self, monkeypatch: pytest.MonkeyPatch):
        self.table(monkeypatch)
        pool = Pool(memory=0.6)
        for name in ("a", "b", "a"):
            pool.take([name])
        pool.take(["c"])  # 100 + 300 + 300 are too much: b was used before a
        assert list(pool._kept) == ["a", "c"]
        assert pool.take(["a", "b"])[1] == {}
        assert list(pool._kept) == ["a", "b"]

    def test_what_never_fits_is_named(self, monkeypatch: pytest.MonkeyPatch):
        self.table(monkeypatch)
        pool = Pool(memory=0.2)
        assert pool.groups(["a", "c"]) == [["a"], ["c"]]
        judges, absent = pool.take(["c"])
        assert judges == {}
        assert "needs 0.3 GB of weights, and --memory is 0.2" in absent["c"]


class TestInMemory:
    def test_what_it_cannot_take(self):
        clip = clips(1)[0]
        for wrong, reason in (
            (clip.astype(np.float32), "need uint8 t h w 3"),
            (torch.from_numpy(clip), "need floating point t 3 h w"),
        ):
            with pytest.raises(ValueError, match=reason):
                scorers.score(wrong, PROMPT, 8.0)
        with pytest.raises(ValueError, match="give fps"):
            scorers.score(clip, PROMPT)
        with pytest.raises(UserError, match="--profile is 'best'"):
            scorers.score(clip, PROMPT, 8.0, profile="best")

    def test_a_whole_profile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """Nine dimensions of `vbench` would be eight; without weights two are there."""
        monkeypatch.setenv("HOME", str(tmp_path))
        inmemory._pool.cache_clear()
        opinion = scorers.score(clips(1)[0], PROMPT, 8.0, profile="vbench", weights_dir="nowhere")
        assert set(opinion.raw) == {"temporal_flickering", "motion_smoothness"}
        assert "--fetch dino-vitb16" in opinion.absent["dino"]
        assert opinion.omni.total is None
        assert scorers.score(clips(1)[0], PROMPT, 8.0).omni.total is not None


def as_published(network: musiq.Musiq, heads: int) -> dict[str, np.ndarray]:
    """JAX's paths and axes for this network's weights, written out by hand."""
    found: dict[str, np.ndarray] = {"opt/state/step": np.array(3)}
    for name, value in network.state_dict().items():
        array, parts = value.numpy(), name.split(".")
        at = {"norm1": "LayerNorm_0", "attention": "MultiHeadDotProductAttention_1",
              "norm2": "LayerNorm_2", "mlp": "MlpBlock_3", "fc1": "Dense_0", "fc2": "Dense_1",
              "transformer_encoder": "Transformer", "position_emb": "pos_embedding",
              "scale_emb": "scale_embedding", "block1": "block1/unit1"}  # fmt: skip
        path = [at.get(part, part) for part in parts if part != "transformer"]
        if parts[-1] == "weight":
            path[-1] = "scale" if array.ndim == 1 else "kernel"
        if parts[-2:-1] in (["query"], ["key"], ["value"]):
            array = (array.T.reshape(array.shape[1], heads, -1) if array.ndim == 2
                     else array.reshape(heads, -1))  # fmt: skip
        elif parts[-2] == "out" and array.ndim == 2:
            array = array.T.reshape(heads, -1, array.shape[0])
        elif array.ndim == 4:
            array = array.transpose(2, 3, 1, 0)
        elif array.ndim == 2 and parts[-1] == "weight":
            array = array.T
        elif parts[-2].startswith("gn"):
            array = array.reshape(1, 1, 1, -1)
        elif parts[-1] == "scale_emb":
            array = array[None]
        found["opt/target/" + "/".join(path)] = array
    return found


class TestMusiqOfItsAuthors:
    def test_the_archive_gives_the_network(self):
        network = tiny.musiq()
        arrays = as_published(network, heads=2)
        block = "opt/target/Transformer/encoderblock_1"
        assert arrays[f"{block}/MultiHeadDotProductAttention_1/query/kernel"].shape == (24, 2, 12)
        assert arrays[f"{block}/MultiHeadDotProductAttention_1/out/kernel"].shape == (2, 12, 24)
        assert arrays["opt/target/conv_root/kernel"].shape == (7, 7, 3, 8)
        assert arrays["opt/target/block1/unit1/gn1/scale"].shape == (1, 1, 1, 8)
        found = musiq_jax.state(arrays, network.state_dict())
        assert found.keys() == network.state_dict().keys()
        assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())

    def test_which_file_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.delenv(weights.HOME, raising=False)
        monkeypatch.setattr("scorers.musiq.Network", tiny.musiq)
        with pytest.raises(MissingWeightsError, match="--fetch musiq-spaq, or"):
            scorers.load("musiq", weights_dir=tmp_path)
        row = tmp_path / "musiq-spaq-google"
        row.mkdir()
        np.savez(row / "spaq_ckpt.npz", **as_published(tiny.musiq(), heads=2))
        theirs = scorers.load("musiq", weights_dir=tmp_path)
        assert theirs.version == "1-google"
        (tmp_path / "musiq-spaq").mkdir()
        torch.save({"params": tiny.musiq().state_dict()},
                   tmp_path / "musiq-spaq" / weights.TABLE["musiq-spaq"].files[0])  # fmt: skip
        ours = scorers.load("musiq", weights_dir=tmp_path)
        assert ours.version == "1"
        assert torch.equal(*(judge(drawn(), [""], [8.0]) for judge in (ours, theirs)))
        (row / "spaq_ckpt.npz").write_bytes(b"PK not an archive")
        with pytest.raises(MissingWeightsError, match=r"is damaged.*--fetch musiq-spaq-google"):
            scorers.load("musiq", weights_dir=tmp_path, checkpoint="google")
        with pytest.raises(UserError, match="no checkpoint 'mine'"):
            scorers.load("musiq", weights_dir=tmp_path, checkpoint="mine")
