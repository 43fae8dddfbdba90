"""The cache on disk: what is found again, what is not, and what a damaged entry does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.records import Candidate, Preference
from data.store import Store
from tests.train import tiny, world
from train import dpo, models, policy
from train.models import Conditions, VideoModel
from train.preference import dpo_parts
from train.preference.batches import Material, prepare
from train.preference.cache import Kept, Shelf, folder_of, identity, padded, trimmed
from train.preference.objective import Objective
from train.preference.reference import ReferenceErrors, context

GIB = 2**30


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "prefs.cache", GIB)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Clips by hash and prompts by id, of two pairs."""
    db = world.build(tmp_path_factory.mktemp("cache"), [world.prompt(i) for i in range(2)])
    with Store.open(db) as store:
        made = {one.sha256: one for one in store.all("candidates") if isinstance(one, Candidate)}
        return made, {one.id: one for one in store.all("prompts")}


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> VideoModel:
    return models.load(str(tiny_folder))


def files(shelf: Shelf, kind: str = "*") -> list[Path]:
    return sorted(shelf.folder.glob(f"{kind}/*/*.tensors"))


class TestShelf:
    def test_gives_back_what_it_was_given(self, shelf: Shelf) -> None:
        value = {"a": torch.randn(2, 3), "b": torch.ones(1, dtype=torch.bfloat16)}
        shelf.put("kind/0123", value)
        found = shelf.get("kind/0123")
        assert found is not None
        assert all(torch.equal(found[name], value[name]) for name in value)
        assert found["b"].dtype == torch.bfloat16
        assert shelf.get("kind/4567") is None

    @pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
    def test_a_damaged_entry_is_none(self, shelf: Shelf, damage: str) -> None:
        shelf.put("kind/0123", {"a": torch.arange(8)})
        (path,) = files(shelf)
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes({"cut": bytes(raw[:-9]), "changed": bytes(raw), "empty": b""}[damage])
        assert shelf.get("kind/0123") is None
        assert shelf.damaged == 1
        assert not files(shelf)
        shelf.put("kind/0123", {"a": torch.arange(8)})
        assert shelf.get("kind/0123") is not None

    def test_past_its_limit_it_loses_the_oldest_but_nothing_of_this_run(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        earlier = Shelf(tmp_path, GIB)
        for i in range(4):
            earlier.put(f"kind/{i}{i}00", {"a": torch.zeros(1000)})
            os.utime(files(earlier)[i], (i, i))
        each = files(earlier)[0].stat().st_size
        now = Shelf(tmp_path, 2 * each)
        assert now.get("kind/0000") is not None  # the oldest, used now
        assert now.trim() == 2
        assert [path.stem for path in files(now)] == ["0000", "3300"]
        assert "2 old entries dropped" in capsys.readouterr().out
        for i in range(3):
            now.put(f"kind/{i}900", {"a": torch.zeros(1000)})
        left = files(now)[0].with_suffix(".7.part")
        left.write_bytes(b"half of it")
        os.utime(left, (0, 0))
        now.trim()
        assert not left.exists()  # of a run that was killed
        assert len(files(now)) == 4  # one more than two would allow, and all of this run
        assert "needs more for this run alone" in capsys.readouterr().out

    def test_a_disk_that_refuses_is_said_once_and_stops_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "prefs.cache").write_text("a file where the folder should be")
        shelf = Shelf(tmp_path / "prefs.cache", GIB)
        for i in range(2):
            shelf.put(f"kind/{i}000", {"a": torch.zeros(1)})
        assert capsys.readouterr().out.count("the run goes on without") == 1


class TestMaterial:
    def made(self, model: VideoModel, clips: Any, shelf: Shelf, **size: int) -> Material:
        settings = replace(model.sample_defaults, **size)
        kept = Kept(shelf, model, settings)
        return prepare(model, clips[0], clips[1], settings, kept=kept)

    def test_is_the_same_from_the_disk_without_encoding(
        self, model: VideoModel, clips: Any, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain = prepare(model, clips[0], clips[1], model.sample_defaults)
        first = self.made(model, clips, shelf)

        def never(*_: Any) -> Any:
            raise AssertionError("encoded again")

        monkeypatch.setattr(type(model), "encode", never)
        monkeypatch.setattr(type(model), "embed", never)
        again = self.made(model, clips, shelf)
        for found in (first, again):
            for sha, latents in plain.latents.items():
                assert torch.equal(found.latents[sha], latents)
            for key, told in plain.conditions.items():
                for name, value in told.tensors.items():
                    assert torch.equal(found.conditions[key].tensors[name], value)

    def test_another_size_or_model_is_another_entry(
        self, model: VideoModel, clips: Any, shelf: Shelf, tmp_path: Path
    ) -> None:
        self.made(model, clips, shelf)
        assert (len(files(shelf, "latents")), len(files(shelf, "text"))) == (4, 2)
        self.made(model, clips, shelf, frames=5)
        assert (len(files(shelf, "latents")), len(files(shelf, "text"))) == (8, 2)
        self.made(models.load(str(tiny.save(tmp_path / "other", seed=1))), clips, shelf)
        assert (len(files(shelf, "latents")), len(files(shelf, "text"))) == (12, 4)

    def test_a_damaged_entry_is_encoded_again(
        self, model: VideoModel, clips: Any, shelf: Shelf
    ) -> None:
        first = self.made(model, clips, shelf)
        files(shelf, "latents")[0].write_bytes(b"damaged")
        files(shelf, "text")[0].write_bytes(b"damaged")
        again = self.made(model, clips, shelf)
        assert shelf.damaged == 2
        for sha in first.latents:
            assert torch.equal(first.latents[sha], again.latents[sha])
        assert len(files(shelf)) == 6

    def test_identity_is_that_of_the_encoders(self, model: VideoModel, tiny_folder: Path) -> None:
        assert identity(model) == identity(models.load(str(tiny_folder)))
        policy.attach(trained := models.load(str(tiny_folder)), rank=2, alpha=2, seed=0)
        assert identity(trained) == identity(model)  # an adapter encodes nothing
        half = models.load(str(tiny_folder), dtype=torch.bfloat16)
        assert identity(half) != identity(model)

    def test_text_is_kept_without_its_padding(self) -> None:
        text = torch.zeros(1, 512, 4)
        text[0, :7] = 1.0
        mask = torch.ones(1, 512, dtype=torch.bool)
        kept = trimmed(Conditions({"text": text, "mask": mask, "scale": torch.ones(1)}))
        assert kept["text"].shape == (1, 7, 4)
        back = padded(kept).tensors
        assert torch.equal(back["text"], text)
        assert torch.equal(back["mask"], mask)
        assert torch.equal(back["scale"], torch.ones(1))
        nothing = Conditions({"text": torch.zeros(1, 3, 2)})
        assert torch.equal(padded(trimmed(nothing)).tensors["text"], torch.zeros(1, 3, 2))

    def test_lies_beside_the_database(self) -> None:
        assert folder_of("some/prefs.duckdb") == Path("some/prefs.cache")


class TestReferenceErrors:
    @pytest.fixture
    def parts(self, tiny_model: VideoModel) -> tuple[Any, ...]:
        trained = policy.attach(tiny_model, rank=2, alpha=2, seed=0)
        shape = tiny_model.latent_shape(tiny_model.sample_defaults)
        material = Material(
            latents={name: torch.full(shape, i / 2) for i, name in enumerate("xy")},
            conditions={"p": tiny_model.embed(["a red circle"])},
        )
        label = Preference(
            pair="pair", prompt="p", chosen="x", rejected="y", probability=1.0, source="auto"
        )
        return trained, material, label

    def measure(
        self, known: ReferenceErrors, parts: tuple[Any, ...], objective: Objective, k: int = 0
    ) -> Any:
        trained, material, label = parts
        batch = material.batch([label], [k], bank_seed=0, device=torch.device("cpu"))
        return known(trained, objective, batch, [label], [k])

    @pytest.mark.parametrize("objective", [Objective(), Objective(segments=3)])
    def test_are_exact_from_the_disk(
        self, parts: tuple[Any, ...], tmp_path: Path, objective: Objective
    ) -> None:
        path = tmp_path / "reference" / "errors.jsonl"
        first = self.measure(ReferenceErrors(path), parts, objective)
        again = ReferenceErrors(path)
        found = self.measure(again, parts, objective)
        assert again.passes == 0
        assert torch.equal(found.chosen, first.chosen)
        assert torch.equal(found.rejected, first.rejected)
        self.measure(again, parts, objective, k=1)
        assert again.passes == 1  # another draw

    def test_a_damaged_line_is_measured_again(self, parts: tuple[Any, ...], tmp_path: Path) -> None:
        path = tmp_path / "errors.jsonl"
        first = self.measure(ReferenceErrors(path), parts, Objective())
        whole = path.read_bytes()
        for broken in (whole[:-5], whole.replace(b'"x"', b'"z"'), whole[3:]):
            path.write_bytes(broken)
            again = ReferenceErrors(path)
            assert again.damaged == 1
            assert torch.equal(self.measure(again, parts, Objective()).chosen, first.chosen)
            assert again.passes == 1

    def test_an_anchor_needs_predictions_and_keeps_nothing(
        self, parts: tuple[Any, ...], tmp_path: Path
    ) -> None:
        known = ReferenceErrors(tmp_path / "errors.jsonl")
        for _ in range(2):
            assert self.measure(known, parts, Objective(anchor=1.0)).predictions is not None
        assert known.passes == 2
        assert not (tmp_path / "errors.jsonl").exists()

    def test_context_tells_apart_what_must_not_be_shared(
        self, model: VideoModel, tiny_folder: Path, tmp_path: Path
    ) -> None:
        size = model.sample_defaults
        trained = policy.attach(models.load(str(tiny_folder)), rank=2, alpha=2, seed=0)
        adapter = trained.save(tmp_path / "adapter").parent
        other = models.load(str(tiny.save(tmp_path / "other", seed=1)))
        names = [
            context(model, size, None),
            context(model, replace(size, frames=5), None),
            context(other, size, None),
            context(model, size, str(adapter)),
        ]
        assert len(set(names)) == 4
        assert names[0] == context(models.load(str(tiny_folder)), size, None)


def test_runs_share_what_was_computed(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One draw per pair: the first epoch measures the reference, and a second run nothing."""
    used: list[ReferenceErrors] = []
    made = dpo_parts.reference

    def noted(*given: Any, **named: Any) -> ReferenceErrors:
        used.append(made(*given, **named))
        return used[-1]

    monkeypatch.setattr(dpo_parts, "reference", noted)
    config = dpo.Config(
        db=str(world.build(tmp_path, [world.prompt(i) for i in range(3)])),
        model=str(tiny_folder), labels="auto", steps=3, batch=3, draws=1, rank=2, grid=0,
        held_out=0.0, device="cpu", out=str(tmp_path / "runs"),
    )  # fmt: skip
    runs = [Path(dpo.run(config).folder) for _ in range(2)]
    assert [known.passes for known in used] == [1, 0]
    adapters = {(run / "adapter" / policy.WEIGHTS).read_bytes() for run in runs}
    assert len(adapters) == 1
    assert {path.name for path in (tmp_path / "prefs.cache").iterdir()} == {
        "latents", "text", "reference"
    }  # fmt: skip
