"""What an image-to-video model is told: tables of images, memory of clips, pairs, whole runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.errors import UserError
from data.records import Candidate, Pair, Preference, Prompt
from data.store import Store
from tests.train import families, tiny, world
from train import dpo, models, sample
from train.preference import beginnings
from train.preference.batches import prepare
from train.sampling import first_image, prompt_table, prompts

SETTINGS = models.SampleSettings(frames=9, height=16, width=16, fps=8.0, steps=1, guidance=1.0)
PROMPTS = {"a red circle": "red.png", "a blue square": "blue.png"}


def picture(path: Path, colour: tuple[int, int, int]) -> Path:
    """A gradient of one colour, 24 x 16."""
    ramp = np.linspace(0.3, 1, 24)[None, :, None] * np.array(colour)
    Image.fromarray(np.broadcast_to(ramp, (16, 24, 3)).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny TI2V-5B as image-to-video, two pictures and a table of prompts."""
    made = tmp_path_factory.mktemp("images")
    families.module("ti2v_image").save(made / "model")
    picture(made / "red.png", (200, 40, 40))
    picture(made / "blue.png", (40, 40, 200))
    rows = "".join(f"{text},{image}\n" for text, image in PROMPTS.items())
    (made / "prompts.csv").write_text(f"prompt,image\n{rows}")
    return made


@pytest.fixture(scope="module")
def config(folder: Path) -> sample.Config:
    return sample.Config(
        db=str(folder / "prefs.duckdb"), model=str(folder / "model"), n=2, sampler_steps=1,
        guidance=1.0, prompts=str(folder / "prompts.csv"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def sampled(config: sample.Config) -> list[Candidate]:
    return sample.run(config)


def labels(clips: list[Candidate]) -> list[Preference]:
    """One label per prompt, of its two clips."""
    by_prompt: dict[str, list[Candidate]] = {}
    for clip in clips:
        by_prompt.setdefault(clip.prompt, []).append(clip)
    return [
        Preference(pair=key, prompt=key, chosen=one.sha256, rejected=other.sha256,
                   probability=1.0, source="human")
        for key, (one, other) in by_prompt.items()
    ]  # fmt: skip


def in_material(
    folder: Path, clips: list[Candidate], size: tuple[int, int] = (16, 16)
) -> tuple[models.VideoModel, models.SampleSettings, dict[str, Candidate], dict[str, Prompt]]:
    model = models.load(str(folder / "model"))
    settings = replace(model.sample_defaults, height=size[0], width=size[1])
    texts = {one.id: one for one in (Prompt(text=text) for text in PROMPTS)}
    return model, settings, {clip.sha256: clip for clip in clips}, texts


class TestSampling:
    def test_a_clip_remembers_its_image_and_begins_with_it(
        self, folder: Path, sampled: list[Candidate]
    ) -> None:
        assert len(sampled) == 4
        for clip in sampled:
            text = next(text for text in PROMPTS if Prompt(text=text).id == clip.prompt)
            kept = Path(clip.settings["image"])
            assert kept.parent == folder / "prefs.clips" / "images"
            assert kept.read_bytes() == (folder / PROMPTS[text]).read_bytes()
            assert first_image.of_clip(clip) == kept

    def test_the_same_command_makes_nothing_and_another_image_makes_anew(
        self, config: sample.Config, sampled: list[Candidate], tmp_path: Path
    ) -> None:
        assert sample.run(config) == []
        (tmp_path / "p.txt").write_text("a red circle\n")
        green = picture(tmp_path / "green.png", (40, 200, 40))
        other = replace(config, prompts=str(tmp_path / "p.txt"), image=str(green), n=1)
        (made,) = sample.run(other)
        assert made.sha256 not in {clip.sha256 for clip in sampled}
        assert made.seed in {clip.seed for clip in sampled}

    def test_images_where_none_are_taken_and_none_where_they_are(
        self, config: sample.Config, tiny_folder: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "p.txt").write_text("a red circle\n")
        bare = replace(config, prompts=str(tmp_path / "p.txt"))
        with pytest.raises(UserError, match="1 prompts have none"):
            sample.run(bare)
        with pytest.raises(UserError, match="takes no first image"):
            sample.run(replace(config, model=str(tiny_folder)))
        with pytest.raises(UserError, match="cannot be read"):
            sample.run(replace(bare, image=str(tmp_path / "p.txt")))


class TestTables:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("p.csv", "Caption,first_frame\none,1.png\ntwo,\n"),
            ("p.tsv", "prompt\timage\none\t1.png\ntwo\t\n"),
            ("p.jsonl", '{"text": "one", "image": "1.png"}\n{"prompt": "two"}\n'),
        ],
    )
    def test_formats(self, tmp_path: Path, name: str, text: str) -> None:
        path = tmp_path / name
        path.write_text(text)
        assert prompt_table.read(str(path)) == {"one": str(tmp_path / "1.png"), "two": ""}
        found = prompts.read(str(path), "train", db=str(tmp_path / "prefs.duckdb"))
        assert [prompt.text for prompt in found] == ["one", "two"]

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("prompt,image\none,1.png\none,2.png\n", "two images"),
            ("image\n1.png\n", "has no prompt"),
            ("prompt,image\n", "no rows"),
        ],
    )
    def test_refusals(self, tmp_path: Path, text: str, says: str) -> None:
        (tmp_path / "p.csv").write_text(text)
        with pytest.raises(UserError, match=says):
            prompt_table.read(str(tmp_path / "p.csv"))


class TestTraining:
    def test_both_clips_of_a_pair_are_told_the_image_they_were_sampled_from(
        self, folder: Path, sampled: list[Candidate]
    ) -> None:
        model, settings, clips, texts = in_material(folder, sampled)
        wanted = labels(sampled)
        found = prepare(model, clips, texts, settings, wanted)
        assert len(found.conditions) == 2
        batch = found.batch(wanted, [0, 0], bank_seed=0, device=model.device)
        for row, label in enumerate(wanted):
            image = first_image.fitted(folder / PROMPTS[texts[label.prompt].text], 16, 16)
            expected = model.encode(image[None, None])
            assert torch.equal(batch.conditions.tensors["known"][row], expected[0])

    def test_a_pair_of_two_images_is_refused_by_name(
        self, folder: Path, sampled: list[Candidate]
    ) -> None:
        model, settings, clips, texts = in_material(folder, sampled)
        (label, *_) = labels(sampled)
        other = next(c for c in sampled if c.prompt != label.prompt)
        changed = replace(clips[label.chosen], settings=other.settings)
        with pytest.raises(UserError, match=r"begins with image .* leave it out"):
            prepare(model, clips | {label.chosen: changed}, texts, settings, [label])

    def test_a_changed_image_is_refused(self, sampled: list[Candidate], tmp_path: Path) -> None:
        moved = picture(tmp_path / "other.png", (1, 2, 3))
        clip = replace(sampled[0], settings={**sampled[0].settings, "image": str(moved)})
        with pytest.raises(UserError, match="has changed"):
            first_image.of_clip(clip)
        gone = replace(clip, settings={**clip.settings, "image": str(tmp_path / "gone.png")})
        with pytest.raises(UserError, match="is gone"):
            first_image.of_clip(gone)

    def test_clips_that_remember_nothing_share_the_first_frame_of_the_smallest_hash(
        self, folder: Path, sampled: list[Candidate]
    ) -> None:
        bare = [replace(clip, settings={}) for clip in sampled]
        model, settings, clips, texts = in_material(folder, bare)
        found = prepare(model, clips, texts, settings, labels(bare))
        assert len(found.conditions) == 2
        for label in labels(bare):
            smallest = clips[min(label.chosen, label.rejected)]
            told = found.conditions[found.names[label.rejected]].tensors["known"]
            first = beginnings.album([smallest], texts, settings)([texts[label.prompt].text])
            assert torch.equal(told, model.encode(first.pixels[:, None]))

    def test_unlike_beginnings_of_one_prompt_are_refused(self, sampled: list[Candidate]) -> None:
        one, other = (replace(clip, settings={}) for clip in sampled[:2])
        seen = beginnings.Beginnings()
        grey = torch.full((3, 16, 16), 0.5)
        assert seen.new(one, grey)
        assert not seen.new(other, grey + 0.05)  # a VAE's round trip
        with pytest.raises(UserError, match=r"begin differently \(mean difference 0\.10"):
            seen.new(other, grey + 0.1)


def test_a_whole_run_on_image_to_video(
    folder: Path, config: sample.Config, sampled: list[Candidate], tmp_path: Path
) -> None:
    """Sampling, votes, training, a grid of samples, the adapter, sampling from it."""
    for label in labels(sampled):
        best = min(label.chosen, label.rejected)
        with Store.open(config.db) as store:
            store.add([Pair.of(label.chosen, label.rejected, prompt=label.prompt, best=best,
                               profile="lite", margin=0.1)])  # fmt: skip
    world.vote(Path(config.db))
    run = dpo.run(
        dpo.Config(db=config.db, model=config.model, steps=2, batch=2, rank=2, grid=1,
                   held_out=0.0, weights="none", out=str(tmp_path))
    )  # fmt: skip
    assert (Path(run.folder) / "samples" / "sheet.png").is_file()
    tuned = sample.run(replace(config, adapter=run.id, n=1))
    assert {clip.adapter for clip in tuned} == {run.id}
    assert tuned[0].frames == tiny.FRAMES
