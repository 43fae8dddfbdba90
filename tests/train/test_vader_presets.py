"""VADER's published experiments are settings that `train.vader` runs, on every base model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import scorers
from tests.train import families
from tests.train.bright import Brightness, metrics, settings
from train import vader
from train.reward import rewards, vader_config
from train.reward.vader_config import PRESETS, configured

IMAGE = {"aesthetic", "hps", "aesthetic-hps", "pickscore"}
PUBLISHED = {
    "videocrafter2": IMAGE | {"removal", "action"},
    "opensora": IMAGE,
    "modelscope": {"aesthetic", "hps", "action"},
    "svd": {"aesthetic", "vjepa"},
}


def test_there_are_the_published_ones_and_each_reward_alone() -> None:
    on_bases = {f"vader-{one}-{base}" for base, some in PUBLISHED.items() for one in some}
    assert PRESETS.keys() == on_bases | {f"vader-{one}" for one in vader_config._REWARDS}
    # ModelScope's script has HPS v2.0 alone, the others v2.1; V-JEPA saw three rounds of SVD
    assert PRESETS["vader-hps-modelscope"]["reward"] == "hpsv2?dialect=vader"
    assert PRESETS["vader-hps-opensora"]["reward"] == "hpsv2.1?dialect=vader"
    assert configured({"preset": "vader-vjepa-svd"}).rounds == 3


@pytest.mark.parametrize("name", PRESETS)
def test_every_one_names_rewards_and_a_loss_that_there_are(name: str) -> None:
    made = configured({"preset": name})
    for spec in rewards.parse(made.reward):
        scorer, _, options = spec.partition("?")
        scorers.typed(scorer, dict(one.split("=") for one in options.split("&") if one))
    assert made.loss in rewards.LOSSES
    assert (made.k, made.lr, made.rank) == (1, 2e-4, 16)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("vader-action-videocrafter2", "videocrafter"),
        ("vader-aesthetic-hps-opensora", "opensora"),
        ("vader-hps-modelscope", "modelscope"),
        ("vader-vjepa-svd", "svd"),
    ],
)
def test_one_step_on_every_base(
    name: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorers, "load_reward", lambda name, **options: Brightness())
    given = settings(tmp_path, families.module(family).save(tmp_path / "model"))
    given.pop("reward")
    small: dict[str, Any] = dict.fromkeys(("frames", "height", "width"))
    small |= {"steps": 1, "batch": 1, "sampler_steps": 2, "watch_clips": 0, "plan": "none"}
    if family == "svd":
        Image.new("RGB", (32, 16), "red").save(tmp_path / "red.png")
        small |= {"image": str(tmp_path / "red.png"), "checkpointing": "decoder"}
    (line,) = metrics(vader.run(configured({"preset": name, **given, **small})))
    assert torch.tensor(line["gradient"]).isfinite()
    assert line["gradient"] > 0
