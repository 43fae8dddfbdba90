"""`train.sample` in parts: several processes, a kill, what was left behind, what is remembered."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data import clips
from data.errors import UserError
from data.records import Candidate, Prompt
from data.store import Store
from train import models, sample
from train.sampling import origin, rollout
from train.sampling.sample_config import Shard


@pytest.fixture
def config(tmp_path: Path, tiny_folder: Path) -> sample.Config:
    (tmp_path / "prompts.txt").write_text("a red circle\na blue square\n")
    return sample.Config(
        db=str(tmp_path / "prefs.duckdb"), model=str(tiny_folder), n=2, sampler_steps=2, batch=1,
        prompts=str(tmp_path / "prompts.txt"),
    )  # fmt: skip


def candidates(db: str) -> list[Candidate]:
    with Store.open(db) as store:
        return store.all("candidates")


def bytes_by_seed(db: str) -> dict[tuple[str, int | None], str]:
    return {(clip.prompt, clip.seed): clip.sha256 for clip in candidates(db)}


def elsewhere(config: sample.Config, folder: Path) -> sample.Config:
    folder.mkdir()
    return replace(config, db=str(folder / "prefs.duckdb"))


@pytest.fixture
def child(config: sample.Config, root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The first of two parts of a job, in a process of its own."""
    given = {"db": config.db, "model": config.model, "prompts": config.prompts, "n": 4}
    words = itertools.chain.from_iterable(
        (f"--{name}", str(value)) for name, value in given.items()
    )
    command = [sys.executable, "-m", "train.sample", *words, "--batch", "1", "--shard", "1/2"]
    command += ["--sampler-steps", "4"]
    started = subprocess.Popen(
        command, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield started
    started.kill()
    started.wait()


def test_a_kill_beside_another_process_loses_and_doubles_nothing(
    config: sample.Config, child: subprocess.Popen[bytes]
) -> None:
    whole = replace(config, n=4, sampler_steps=4)
    second = {clip.sha256 for clip in sample.run(replace(whole, shard="2/2"))}
    assert len(second) == 4
    originals = clips.originals(config.db)
    while len(list(originals.glob("*.mkv"))) < len(second) + 1 and child.poll() is None:
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL  # in the middle of its four
    sample.run(whole)
    assert sample.run(whole) == []
    found = candidates(config.db)
    assert len(found) == len(list(originals.glob("*.mkv"))) == 8
    assert all(clips.read(clip)[0].shape == (9, 16, 16, 3) for clip in found)
    texts = [Prompt(text=text) for text in ("a red circle", "a blue square")]
    planned = sample.plan(texts, "", "", n=4, seed=0, settings={})
    assert set(bytes_by_seed(config.db)) == {(clip.prompt.id, clip.seed) for clip in planned}


def test_a_clip_that_was_written_but_not_recorded_is_taken_as_it_is(
    config: sample.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(config, n=1)
    made = sample.run(few)
    other = elsewhere(few, tmp_path / "other")
    for clip in made[:1]:
        (clips.originals(other.db) / Path(clip.path).name).write_bytes(Path(clip.path).read_bytes())
    sampled: list[int] = []
    clips_of = rollout.clips
    monkeypatch.setattr(
        rollout, "clips", lambda *given: (sampled.extend(given[2]), clips_of(*given))[1]
    )
    assert len(sample.run(other)) == 2
    assert sampled == [made[1].seed]
    assert bytes_by_seed(other.db) == bytes_by_seed(config.db)


class TestShards:
    def test_parts_make_the_whole_once(self, config: sample.Config, tmp_path: Path) -> None:
        parts = [sample.run(replace(config, n=1, shard=part)) for part in ("1/2", "2/2")]
        whole = elsewhere(replace(config, n=1), tmp_path / "whole")
        assert [clip.sha256 for part in parts for clip in part] == [
            clip.sha256 for clip in sample.run(whole)
        ]

    def test_accelerate_says_which(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert Shard.of("") == Shard(0, 1)
        monkeypatch.setenv("RANK", "2")
        monkeypatch.setenv("WORLD_SIZE", "4")
        assert Shard.of("") == Shard(2, 4)
        assert Shard.of("1/2") == Shard(0, 2)

    def test_each_process_has_its_own_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOCAL_RANK", "3")
        assert Shard().device("auto") == ("auto" if not torch.cuda.is_available() else "cuda:0")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        assert Shard().device("auto") == "cuda:1"
        assert Shard().device("cpu") == "cpu"

    @pytest.mark.parametrize("wrong", ["0/2", "3/2", "1", "a/b", "1/0"])
    def test_nonsense_is_refused(self, wrong: str) -> None:
        with pytest.raises(UserError, match="--shard"):
            sample.Config(shard=wrong)


class TestMemory:
    def test_a_negative_prompt_changes_the_clip_and_is_remembered(
        self, config: sample.Config
    ) -> None:
        plain = sample.run(replace(config, n=1))
        away = sample.run(replace(config, n=1, negative_prompt="moving left"))
        assert {clip.seed for clip in plain} == {clip.seed for clip in away}
        assert {clip.sha256 for clip in plain}.isdisjoint(clip.sha256 for clip in away)
        assert away[0].settings["negative_prompt"] == "moving left"
        assert "negative_prompt" not in plain[0].settings  # clips of before the option stay known

    def test_a_negative_prompt_that_can_do_nothing_is_refused(self, config: sample.Config) -> None:
        with pytest.raises(UserError, match="changes nothing"):
            sample.run(replace(config, guidance=1.0, negative_prompt="moving left"))

    def test_precision_is_remembered(self, config: sample.Config) -> None:
        (clip, _) = sample.run(replace(config, n=1, dtype="bfloat16"))
        assert clip.settings["dtype"] == "bfloat16"

    def test_the_revision_is_the_commit_of_the_copy_in_the_cache(
        self, monkeypatch: pytest.MonkeyPatch, config: sample.Config
    ) -> None:
        cached = "/cache/models--owner--name/snapshots/0123abcd/model_index.json"
        monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: cached)
        assert origin.revision("owner/name") == "0123abcd"
        assert origin.revision(config.model) == ""
        assert origin.revision("shapes") == ""

    def test_no_room_says_what_to_do(
        self, config: sample.Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr(rollout, "clips", full)
        with pytest.raises(UserError, match=r"1 clips of 9 frames .* smaller --batch"):
            sample.run(config)

    def test_a_plan_names_every_clip_once(self) -> None:
        texts = [Prompt(text=text) for text in "abc"]
        made = sample.plan(texts, "m", "", n=3, seed=0, settings={"steps": 1})
        assert len({clip.key for clip in made}) == 9
        images = {"a": {"image_sha256": "x"}}
        other = sample.plan(texts, "m", "", n=3, seed=0, settings={"steps": 1}, images=images)
        changed = [
            one.prompt.text for one, two in zip(made, other, strict=True) if one.key != two.key
        ]
        assert changed == ["a"] * 3


def test_a_model_is_loaded_in_the_precision_that_is_asked_for(tiny_folder: Path) -> None:
    model = models.load(str(tiny_folder), dtype=torch.bfloat16)
    facts = origin.fingerprint(model), origin.fingerprint(models.load(str(tiny_folder)))
    assert facts[0] != facts[1]  # rounded weights are other weights
