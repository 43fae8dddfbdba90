"""Rewards from the real scorers, by name and option."""

from __future__ import annotations

from pathlib import Path

import pytest

import scorers
from data.errors import UserError
from train.reward import rewards


def test_options_stand_behind_a_question_mark():
    assert rewards.parse("yolos?target=cat:2,hpsv2.1") == {"yolos?target=cat": 2.0, "hpsv2.1": 1.0}
    assert rewards.loaded("sharpness", "cpu").name == "sharpness"
    with pytest.raises(UserError, match="'sharpness' has no option 'colour'; it has none"):
        rewards.loaded("sharpness?colour=red", "cpu")
    with pytest.raises(UserError, match="has no option 'cat'; its options are form, target"):
        rewards.loaded("yolos?cat=1", "cpu")
    with pytest.raises(UserError, match="option 'target' has no value; write target=VALUE"):
        rewards.loaded("yolos?target", "cpu")


def test_options_are_of_their_scorer_s_types():
    assert scorers.typed("vjepa", {"seed": "3", "through_target": "false"}) == {
        "seed": 3, "through_target": False,
    }  # fmt: skip
    assert scorers.typed("hps", {"version": "hpsv2"}) == {"version": "hpsv2"}
    for spec, said in (
        ("vjepa?seed=x", "seed is 'x'; it must be a whole number"),
        ("vjepa?through_target=no", "it must be true or false"),
        ("colour?device=cpu", "has no option 'device'; it has none"),
    ):
        with pytest.raises(UserError, match=said):
            rewards.loaded(spec, "cpu")


def test_weights_are_looked_for_where_the_run_says(tmp_path: Path):
    with pytest.raises(UserError, match=f"no weights .* in {tmp_path}"):
        rewards.Mixture({"hpsv2.1": 1.0}, device="cpu", weights_dir=str(tmp_path))
