"""`python -m train.sample` on a model with random weights and a real database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data import clips, shapes, video
from data.errors import UserError
from data.records import Prompt
from data.store import Store
from train import models, options, policy, sample
from train.sampling import origin, prompts
from train.sampling.rollout import clip_seed


@pytest.fixture
def config(tmp_path: Path, tiny_folder: Path) -> sample.Config:
    (tmp_path / "prompts.txt").write_text("a red circle\n\na blue square\na red circle\n")
    return sample.Config(
        db=str(tmp_path / "prefs.duckdb"),
        model=str(tiny_folder),
        prompts=str(tmp_path / "prompts.txt"),
        n=2,
        batch=3,
        sampler_steps=2,
    )


def everything(db: str) -> dict[tuple[str, int | None], str]:
    with Store.open(db) as store:
        return {(clip.prompt, clip.seed): clip.sha256 for clip in store.all("candidates")}


def test_clips_are_made_recorded_and_never_made_twice(config: sample.Config):
    made = sample.run(config)
    assert len(made) == 4
    assert sample.run(config) == []
    with Store.open(config.db) as store:
        assert {prompt.text for prompt in store.all("prompts")} == {"a red circle", "a blue square"}
        assert {clip.id for clip in store.all("candidates")} == {clip.id for clip in made}
        (run,) = store.all("runs")
    assert (run.kind, run.metrics["clips"]) == ("sample", 4)
    clip = made[0]
    assert clip.seed == clip_seed(0, "a red circle", 0)
    assert clip.settings["steps"] == 2
    assert clip.settings["guidance"] == 2.0
    frames, fps = clips.read(clip)
    assert frames.shape == (9, 16, 16, 3)
    assert fps == clip.fps == 8
    assert clips.playable(config.db, clip.sha256).is_file()


def test_an_interrupted_job_makes_what_is_missing(config: sample.Config):
    few = sample.run(replace(config, n=1))
    more = sample.run(config)
    assert len(few) == len(more) == 2
    assert {clip.seed for clip in few}.isdisjoint(clip.seed for clip in more)


def test_the_same_command_makes_the_same_bytes(config: sample.Config, tmp_path: Path):
    sample.run(config)
    other = replace(config, db=str(tmp_path / "other" / "prefs.duckdb"))
    Path(other.db).parent.mkdir()
    sample.run(other)
    assert everything(config.db) == everything(other.db)


def test_originals_are_lossless(config: sample.Config):
    from train.sampling.rollout import generate

    made = sample.run(replace(config, batch=1))
    model = models.load(config.model)
    settings = origin.sampler_settings(model, config)
    assert made[0].seed is not None
    (drawn,) = generate(model, ["a red circle"], [made[0].seed], settings, batch=1)
    stored, _ = video.read(made[0].path)
    assert np.array_equal(drawn, stored)


def test_an_adapter_is_recorded_and_its_clips_are_new(config: sample.Config, tmp_path: Path):
    base = sample.run(config)
    trained = policy.attach(models.load(config.model), rank=2, alpha=2, seed=1)
    for weight in trained.parameters:
        weight.data += 0.5
    trained.save(tmp_path / "adapter")
    tuned = sample.run(replace(config, adapter=str(tmp_path / "adapter")))
    assert len(tuned) == 4
    assert {clip.seed for clip in tuned} == {clip.seed for clip in base}  # the same noise
    assert {clip.sha256 for clip in tuned}.isdisjoint(clip.sha256 for clip in base)
    assert tuned[0].adapter == str(tmp_path / "adapter" / policy.WEIGHTS)
    assert "adapter_digest" in tuned[0].settings
    assert sample.run(replace(config, adapter=str(tmp_path / "adapter"))) == []
    with pytest.raises(UserError, match="no adapter at 'nowhere'"):
        sample.run(replace(config, adapter="nowhere"))


def test_a_retrained_model_of_the_same_name_is_another_model(config: sample.Config):
    model = models.load(config.model)
    before = origin.fingerprint(model)
    next(model.network.parameters()).data += 1e-3
    assert origin.fingerprint(model) != before
    assert before == origin.fingerprint(models.load(config.model))


def test_builtin_prompts_are_many_different_and_split_apart(tmp_path: Path):
    db = str(tmp_path / "prefs.duckdb")
    train = prompts.read("builtin:200", "train", db=db)
    assert len({prompt.text for prompt in train}) == 200
    assert all(shapes.parse(prompt.text).keys() >= {"colour", "shape"} for prompt in train)
    assert prompts.read("builtin:20", "train", db=db) == train[:20]
    with Store.open(db) as store:
        store.add(train)
    test = prompts.read("builtin:200", "test", db=db)
    assert {prompt.text for prompt in test}.isdisjoint(prompt.text for prompt in train)
    assert {prompt.split for prompt in test} == {"test"}


def test_a_prompt_keeps_its_split(tmp_path: Path):
    db = str(tmp_path / "prefs.duckdb")
    (tmp_path / "p.txt").write_text("a red circle\n")
    with Store.open(db) as store:
        store.add([Prompt(text="a red circle", split="train")])
    with pytest.raises(UserError, match="keeps its split"):
        prompts.read(str(tmp_path / "p.txt"), "test", db=db)
    assert len(prompts.read(str(tmp_path / "p.txt"), "train", db=db)) == 1


@pytest.mark.parametrize("source", ["builtin:0", "builtin:x", "builtin:99999", ""])
def test_wrong_prompt_sources_say_what_to_give(source: str, tmp_path: Path):
    with pytest.raises(UserError, match=r"builtin:N|text file"):
        prompts.read(source, "train", db=str(tmp_path / "prefs.duckdb"))


@pytest.mark.parametrize("wrong", [{"n": 0}, {"batch": 0}, {"sampler_steps": 0}])
def test_impossible_numbers_are_refused(wrong: dict[str, Any]):
    with pytest.raises(UserError, match="at least 1"):
        sample.Config(**wrong)


def test_the_help_shows_one_name_of_each_option_and_older_names_work():
    made = options.parser(sample.Config, "sample", "")
    shown = made.format_help()
    for name in ("  -n N  ", "--sampler-steps SAMPLER_STEPS"):
        assert name in shown
    for name in ("--n N", "--steps STEPS"):
        assert name not in shown
    new, old = (vars(made.parse_args(words.split())) for words in (
        "-n 2 --sampler-steps 3", "--n 2 --steps 3"
    ))  # fmt: skip
    assert new == old == {"n": 2, "sampler_steps": 3}


def test_a_prompt_file_that_cannot_be_read_is_named_with_its_option(tmp_path: Path):
    (tmp_path / "empty.csv").write_text("prompt\n")
    (tmp_path / "empty.txt").write_text("")
    for name in ("nowhere.txt", "nowhere.csv", "empty.csv", "empty.txt"):
        with pytest.raises(UserError, match=rf"^--prompts: .*{name}"):
            prompts.read(str(tmp_path / name), "train", db=str(tmp_path / "prefs.duckdb"))


def test_the_command_says_what_went_wrong_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    db = str(tmp_path / "prefs.duckdb")
    words = ["--model", "nowhere", "-n", "1", "--db", db, "--prompts", "builtin:1"]
    assert sample.main(words) == 2
    assert "'nowhere' is neither built in" in capsys.readouterr().err
