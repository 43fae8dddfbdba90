from __future__ import annotations

import dataclasses

import pytest

from data.errors import UserError
from train import dpo
from train.losses import NAMES
from train.preference.dpo_config import Config
from train.preference.presets import PRESETS, settled


@pytest.mark.parametrize("name", PRESETS)
def test_every_one_is_settings_that_can_be_trained_with(name: str) -> None:
    assert PRESETS[name].options.keys() <= {field.name for field in dataclasses.fields(Config)}
    made = settled(name, {"db": "other.duckdb"})
    assert made.db == "other.duckdb"
    assert made.loss in NAMES
    assert PRESETS[name].source


def test_videodpo_as_published() -> None:
    """alpha 0.72, beta 1, no normalisation; beta 5000, lr 6e-6, 3000 steps of 8."""
    made = settled("videodpo-vc2", {})
    assert (made.beta, made.lr, made.steps, made.batch) == (5000, 6e-6, 3000, 8)
    assert (made.frames, made.height, made.width) == (16, 320, 512)
    assert (made.weights, made.weight_normalise, made.labels) == ("paper", "none", "auto")
    turbo = settled("videodpo-t2v-turbo", {})
    assert (turbo.rank, turbo.batch, turbo.frames) == (64, 4, 2)


def test_what_is_given_wins() -> None:
    assert settled("lora-wan", {"lr": 1.0}).lr == 1.0
    assert settled(None, {"lr": 1.0}) == Config(lr=1.0)


def test_an_unknown_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="choose one of videodpo-vc2"):
        settled("videodpo", {})
    assert dpo.main(["--preset", "videodpo"]) == 2
    assert "Unknown preset 'videodpo'" in capsys.readouterr().err
