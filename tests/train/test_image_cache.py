"""The cache on disk for image-to-video: served again byte for byte, and never for another image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.records import Candidate, Pair, Preference, Prompt
from data.store import Store
from tests.train import families
from tests.train.test_image_conditions import labels, picture
from train import dpo, models, policy, sample
from train.models import Conditions, VideoModel
from train.preference import dpo_parts
from train.preference.batches import Material, joined, prepare
from train.preference.cache import Kept, Shelf
from train.preference.objective import Objective
from train.preference.reference import ReferenceErrors
from train.sampling import first_image

TEXTS = ("a red circle", "a blue square")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny image-to-video model, and two pictures."""
    made = tmp_path_factory.mktemp("image-cache")
    families.module("ti2v_image").save(made / "model")
    picture(made / "red.png", (200, 40, 40))
    picture(made / "blue.png", (40, 40, 200))
    (made / "prompts.csv").write_text(
        "prompt,image\na red circle,red.png\na blue square,blue.png\n"
    )
    return made


@pytest.fixture(scope="module")
def clips(folder: Path) -> dict[str, Candidate]:
    """Two per prompt, by hash."""
    made = sample.run(
        sample.Config(
            db=str(folder / "prefs.duckdb"), model=str(folder / "model"), n=2, sampler_steps=1,
            guidance=1.0, prompts=str(folder / "prompts.csv"),
        )
    )  # fmt: skip
    return {clip.sha256: clip for clip in made}


@pytest.fixture(scope="module")
def model(folder: Path) -> VideoModel:
    return models.load(str(folder / "model"))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "prefs.cache", 2**30)


def made(model: VideoModel, clips: dict[str, Candidate], shelf: Shelf | None) -> Material:
    prompts = {one.id: one for one in (Prompt(text=text) for text in TEXTS)}
    settings = model.sample_defaults
    kept = Kept(shelf, model, settings) if shelf else None
    return prepare(model, clips, prompts, settings, labels(list(clips.values())), kept)


def silent(monkeypatch: pytest.MonkeyPatch, model: VideoModel) -> None:
    """From here on, an encoder that is asked fails."""

    def never(*_: Any) -> Any:
        raise AssertionError("encoded again")

    for name in ("encode", "embed"):
        monkeypatch.setattr(type(model), name, never)


def entries(shelf: Shelf) -> list[Path]:
    return sorted(shelf.folder.glob("image/*/*.tensors"))


@pytest.mark.parametrize("remembers", [True, False])
def test_a_second_run_encodes_nothing_and_has_the_same_bytes(
    model: VideoModel, clips: dict[str, Candidate], shelf: Shelf, remembers: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    some = {sha: clip if remembers else replace(clip, settings={}) for sha, clip in clips.items()}
    plain, first = made(model, some, None), made(model, some, shelf)
    assert len(entries(shelf)) == 2
    silent(monkeypatch, model)
    again = made(model, some, shelf)
    assert plain.names == again.names
    assert plain.images == again.images
    for found in (first, again):
        assert all(torch.equal(found.latents[sha], plain.latents[sha]) for sha in clips)
        for name, told in plain.conditions.items():
            for key, value in told.tensors.items():
                assert torch.equal(found.conditions[name].tensors[key], value)


def test_a_changed_image_is_a_miss_and_a_copy_of_it_is_not(
    model: VideoModel, clips: dict[str, Candidate], shelf: Shelf, tmp_path: Path
) -> None:
    first = made(model, clips, shelf)
    db = str(tmp_path / "prefs.duckdb")
    bmp = picture(tmp_path / "red.bmp", (200, 40, 40))  # the same pixels in another file
    red = Prompt(text=TEXTS[0]).id

    def begun(image: Path) -> dict[str, Candidate]:
        memory = first_image.kept(db, image)
        return {
            sha: replace(clip, settings={**clip.settings, **memory}) if clip.prompt == red else clip
            for sha, clip in clips.items()
        }

    copy = made(model, begun(bmp), shelf)
    assert len(entries(shelf)) == 2
    other = made(model, begun(picture(tmp_path / "green.png", (40, 200, 40))), shelf)
    assert len(entries(shelf)) == 3
    sha = next(sha for sha, clip in clips.items() if clip.prompt == red)
    known = [one.conditions[one.names[sha]].tensors["known"] for one in (first, copy, other)]
    assert torch.equal(known[0], known[1])
    assert not torch.allclose(known[0], known[2], atol=1e-2)


def test_another_number_of_frames_is_another_entry(
    model: VideoModel, clips: dict[str, Candidate], shelf: Shelf
) -> None:
    told = made(model, clips, None).conditions
    name, content = next(iter(told)), "0" * 64
    size = model.sample_defaults
    Kept(shelf, model, size).keep_conditions("a", told[name], content)
    assert Kept(shelf, model, size).conditions("a", content) is not None
    for other in (replace(size, frames=5), replace(size, height=32)):
        assert Kept(shelf, model, other).conditions("a", content) is None
    assert Kept(shelf, model, size).conditions("a", "1" * 64) is None
    assert Kept(shelf, model, size).conditions("b", content) is None


def test_processes_share_the_image_of_the_first() -> None:
    """Clips that remember none: two processes each read one, and all take the smallest hash's."""
    parts = [
        Material(
            latents={sha: torch.zeros(1)}, names={sha: "p/"}, images={"p/": sha},
            conditions={"p/": Conditions({"known": torch.full((1,), value)})},
        )
        for sha, value in (("1", 0.25), ("2", 0.75))
    ]  # fmt: skip
    found = joined(parts)
    assert (found.names, found.images) == ({"1": "p/", "2": "p/"}, {"p/": "1"})
    assert found.conditions["p/"].tensors["known"].item() == 0.25


class TestReferenceErrors:
    def errors(
        self, known: ReferenceErrors, trained: policy.Policy, material: Material,
        label: Preference,
    ) -> torch.Tensor:  # fmt: skip
        batch = material.batch([label], [0], bank_seed=0, device=torch.device("cpu"))
        return known(trained, Objective(), batch, [label], [0]).chosen

    def test_are_of_the_image_that_the_clips_begin_with(
        self, folder: Path, clips: dict[str, Candidate], tmp_path: Path
    ) -> None:
        trained = policy.attach(models.load(str(folder / "model")), rank=2, alpha=2, seed=0)
        material, path = made(trained.model, clips, None), tmp_path / "errors.jsonl"
        label = labels(list(clips.values()))[0]
        first = self.errors(ReferenceErrors(path), trained, material, label)
        again = ReferenceErrors(path)
        assert torch.equal(self.errors(again, trained, material, label), first)
        assert again.passes == 0
        red, blue = (material.names[one.chosen] for one in labels(list(clips.values())))
        other = replace(
            material,
            conditions={**material.conditions, red: material.conditions[blue]},
            images={**material.images, red: material.images[blue]},
        )  # the same clips, said to begin with another image
        assert not torch.equal(self.errors(again, trained, other, label), first)
        assert again.passes == 1


def test_runs_on_image_to_video_share_what_was_computed(
    folder: Path, clips: dict[str, Candidate], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    db = folder / "prefs.duckdb"
    with Store.open(db) as store:
        store.add(
            Pair.of(one.chosen, one.rejected, prompt=one.prompt, best=one.chosen, profile="lite",
                    margin=0.1)
            for one in labels(list(clips.values()))
        )  # fmt: skip
    used: list[ReferenceErrors] = []
    start = dpo_parts.reference

    def noted(*given: Any, **named: Any) -> ReferenceErrors:
        used.append(start(*given, **named))
        return used[-1]

    monkeypatch.setattr(dpo_parts, "reference", noted)
    config = dpo.Config(
        db=str(db), model=str(folder / "model"), labels="auto", steps=2, batch=2, draws=1, rank=2,
        grid=0, sampler_steps=1, held_out=0.0, device="cpu", out=str(tmp_path / "runs"),
    )  # fmt: skip
    runs = [Path(dpo.run(config).folder) for _ in range(2)]
    assert [known.passes for known in used] == [1, 0]
    assert len({(run / "adapter" / policy.WEIGHTS).read_bytes() for run in runs}) == 1
    kinds = {path.name for path in (folder / "prefs.cache").iterdir()}
    assert kinds == {"latents", "image", "reference"}
