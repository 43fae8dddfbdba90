"""The comparison on an image-to-video model: whose image, refusals, and the whole command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data import video
from data.errors import UserError
from data.records import Candidate, Pair, Prompt
from data.store import Store
from tests.train import families, world
from tests.train.test_image_conditions import picture
from train import compare, models, policy, sample
from train.comparison.duels import BASE
from train.comparison.images import begun
from train.sampling import first_image

HELD_OUT = ("a red circle moving left", "a blue square moving right")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, an adapter, pictures, and a database with a pair, a vote and test prompts."""
    made = tmp_path_factory.mktemp("image-compare")
    families.module("ti2v_image").save(made / "model")
    trained = policy.attach(models.load(str(made / "model")), rank=2, alpha=2, seed=1)
    for weight in trained.parameters:
        weight.data += 0.3
    trained.save(made / "mine")
    for name, colour in {"red": (200, 40, 40), "blue": (40, 40, 200), "grey": (90, 90, 90)}.items():
        picture(made / f"{name}.png", colour)
    table(made / "train.csv", {"a red square": "grey.png"})
    table(made / "test.csv", dict(zip(HELD_OUT, ("red.png", "blue.png"), strict=True)))
    config = sample.Config(
        db=str(made / "prefs.duckdb"), model=str(made / "model"), n=2, sampler_steps=1,
        guidance=1.0, prompts=str(made / "train.csv"),
    )  # fmt: skip
    one, other = sample.run(config)
    with Store.open(config.db) as store:
        store.add([Prompt(text=text, split="test") for text in HELD_OUT])
        store.add([Pair.of(one.sha256, other.sha256, prompt=one.prompt, best=one.sha256,
                           profile="lite", margin=0.1)])  # fmt: skip
    world.vote(Path(config.db))
    return made


def table(path: Path, images: dict[str, str]) -> Path:
    rows = "".join(f"{text},{image}\n" for text, image in images.items())
    path.write_text(f"prompt,image\n{rows}")
    return path


@pytest.fixture
def config(folder: Path, tmp_path: Path) -> compare.Config:
    return compare.Config(
        db=str(folder / "prefs.duckdb"), model=str(folder / "model"), arms=str(folder / "mine"),
        samples=1, steps=1, batch=4, out=str(tmp_path),
    )  # fmt: skip


def remember(config: compare.Config, text: str, image: Path, sha256: str) -> None:
    """A clip of a held-out prompt that was made from an image."""
    with Store.open(config.db) as store:
        store.add([Candidate(
            sha256=sha256, prompt=Prompt(text=text).id, path="p.mkv", model="m", fps=8.0, frames=9,
            width=16, height=16, settings=first_image.kept(config.db, image),
        )])  # fmt: skip


class TestWhoseImage:
    def test_the_table_before_the_option_before_what_clips_remember(
        self, config: compare.Config, folder: Path, tmp_path: Path
    ) -> None:
        with Store.open(config.db) as store:
            db = str(tmp_path / "prefs.duckdb")
            records = [*store.all("prompts"), *store.all("candidates")]
        with Store.open(db, create=True) as store:
            store.add(records)
        own = replace(config, db=db)
        with pytest.raises(UserError, match=r"2 prompts have none .*--prompts FILE.csv"):
            begun(own, HELD_OUT)
        remember(own, HELD_OUT[0], folder / "red.png", "1" * 64)
        remember(own, HELD_OUT[1], folder / "red.png", "2" * 64)

        def bytes_of(some: compare.Config) -> list[bytes]:
            return [Path(one["image"]).read_bytes() for one in begun(some, HELD_OUT).values()]

        red, blue, grey = (
            (folder / f"{name}.png").read_bytes() for name in ("red", "blue", "grey")
        )
        assert bytes_of(own) == [red, red]
        assert bytes_of(replace(own, image=str(folder / "grey.png"))) == [grey, grey]
        rows = table(folder / "half.csv", {HELD_OUT[0]: "", HELD_OUT[1]: "blue.png"})
        assert bytes_of(replace(own, prompts=str(rows))) == [red, blue]
        some = replace(own, prompts=str(rows), image=str(folder / "grey.png"))
        assert bytes_of(some) == [grey, blue]
        remember(own, HELD_OUT[0], folder / "blue.png", "3" * 64)
        with pytest.raises(UserError, match="were made from different images"):
            begun(own, HELD_OUT)

    def test_images_where_none_are_taken(
        self, config: compare.Config, folder: Path, tiny_folder: Path
    ) -> None:
        plain = replace(config, model=str(tiny_folder))
        assert begun(plain, HELD_OUT) == {}
        with pytest.raises(UserError, match="takes no first image"):
            begun(replace(plain, image=str(folder / "red.png")), HELD_OUT)

    def test_a_missing_image_is_found_out_before_anything_is_made(
        self, config: compare.Config, tmp_path: Path
    ) -> None:
        with pytest.raises(UserError, match="2 prompts have none"):
            compare.run(replace(config, arms="auto", out=str(tmp_path / "runs")))
        assert not (tmp_path / "runs").exists()


def test_whether_a_model_begins_with_an_image_is_known_without_its_weights(
    folder: Path, tiny_folder: Path
) -> None:
    assert models.begins_with_image(str(folder / "model"))
    assert not models.begins_with_image(str(tiny_folder))
    assert not models.begins_with_image("shapes")


def test_the_whole_comparison_from_images(config: compare.Config, folder: Path) -> None:
    """One arm is trained and one is given; clips, report and the people's campaign."""
    asked = replace(config, arms=f"human,{config.arms}", prompts=str(folder / "test.csv"), people=1)
    found = compare.run(asked).folder
    facts = json.loads((found / "report.json").read_text())
    images = {text: Path(path) for text, path in facts["images"].items()}
    for text, name in zip(HELD_OUT, ("red.png", "blue.png"), strict=True):
        assert images[text].read_bytes() == (folder / name).read_bytes()
    assert {clip["arm"] for clip in facts["clips"]} == {"human", str(folder / "mine"), BASE}
    begins = {text: [] for text in HELD_OUT}
    for clip in facts["clips"]:
        begins[clip["prompt"]].append(video.read(clip["path"])[0][0])
    red, blue = begins.values()  # this family gives its image back as the first frame
    assert all(np.array_equal(frame, some[0]) for some in (red, blue) for frame in some)
    assert not np.array_equal(red[0], blue[0])
    page = (found / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2 * (1 + 3)
    assert page.count("first image</b> given to every arm") == 2
    with Store.open(asked.db) as store:
        judged = [one for one in store.all("candidates") if "compare" in one.settings]
        (campaign,) = [one for one in store.all("decisions") if one.topic == "campaign"]
    texts = {Prompt(text=text).id: text for text in HELD_OUT}
    assert judged
    for clip in judged:
        assert first_image.of_clip(clip) == images[texts[clip.prompt]]
    assert campaign.values["title"].startswith("Both clips begin with the same image")
    compare.finish(str(found))
    assert (found / "report.html").read_text().count("first image</b>") == 2
