"""The card of a run on rewards, written from a log that is made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data.records import Run
from train import ddpo, models, policy, vader
from train.reward import reward_card
from train.run.runs import RunFolder

TRAIN = [{"step": i, "split": "train", "reward": 0.5 + i / 10} for i in range(3)]
BASE = {"step": 0, "split": "base", "reward": 0.4, "held_out": 0.8, "motion": 0.25, "broken": ""}
SOUND = BASE | {"step": 1, "split": "watch", "reward": 0.6, "held_out": 0.75}
BAD = SOUND | {"step": 2, "reward": 0.9, "broken": "chroma,motion"}
STOP = {"step": 2, "split": "stop", "reason": "chroma is 1.80 times the base model's"}


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> models.VideoModel:
    return models.load(str(tiny_folder))


def written(
    folder: Path, model: models.VideoModel, config: Any, lines: list[dict[str, Any]]
) -> str:
    kind = "ddpo" if isinstance(config, ddpo.Config) else "vader"
    record = Run(
        id="7", kind=kind, config=vars(config), code="abc", snapshot=0, labels="d1", folder=".",
        started_ms=1,
    )  # fmt: skip
    run = RunFolder(folder, record)
    run.adapter.mkdir()
    (run.adapter / policy.WEIGHTS).touch()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return reward_card.write(run, model, {"drift": 0.125}, ["a", "b"]).read_text()


def test_a_stopped_run_is_told_with_its_kept_look_and_the_reason(
    tmp_path: Path, model: models.VideoModel
):
    config = vader.Config(
        reward="hpsv2.1:1,aesthetic:0.1", loss="hinge", target=2.0, k=2, watch="pickscore"
    )
    text = written(tmp_path, model, config, [*TRAIN, BASE, SOUND, BAD, STOP])
    for said in (
        "tags: [text-to-video, vader, lora]", "| rewards, with weights | hpsv2.1:1,aesthetic:0.1 |",
        "| loss | hinge, target 2 |", "| sampler steps with gradient | backprop last, K 2 |",
        "| train prompts | 2; digest d1 |", "0.5 in the first of 3 steps, 0.7 in the last",
        "held out: pickscore", "| measure | base model | after 1 steps |",
        "| reward | 0.4 | 0.6 |", "| held_out | 0.8 | 0.75 |", "| motion | 0.25 | 0.25 |",
        "ended the run before step 2: chroma is 1.80 times the base model's. This adapter is that "
        "of the last look without complaint.", "| drift | 0.125 |", "## Limits", "| rank | 8 |",
    ):  # fmt: skip
        assert said in text


def test_complaints_that_did_not_end_it_are_told(tmp_path: Path, model: models.VideoModel):
    text = written(tmp_path, model, vader.Config(), [*TRAIN, BASE, SOUND, BAD])
    assert "Rules broken at its 2 looks: chroma,motion at step 2." in text
    assert "| reward | 0.4 | 0.9 |" in text  # of the adapter that is there
    assert "| loss | negative-mean |" in text


def test_without_looks_nothing_is_claimed(tmp_path: Path, model: models.VideoModel):
    text = written(tmp_path, model, ddpo.Config(), TRAIN)
    assert "tags: [text-to-video, ddpo, lora]" in text
    assert "| update | 2 per step, ratio clipped at 0.0001 |" in text
    assert "whether the reward was hacked is not known" in text
