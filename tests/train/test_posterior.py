"""From scores and votes through `posterior` labels to an adapter; and calibrations by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data.calibration import Calibration
from data.errors import UserError
from data.omniscore import PROFILES
from data.records import Decision
from data.store import Store
from tests.train import world
from train import dpo
from train.preference import labelled
from train.preference.labelled import Weighting

KEYS = [row.key for row in PROFILES["lite"].dimensions]
AGAINST = Calibration(
    profile="lite", weights=dict.fromkeys(KEYS, -1 / len(KEYS)), scale=5.0, tie=-1.0, votes=300
)
"""People prefer whatever the default OmniScore does not."""


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Six pairs, scored, and voted on against the score by two people."""
    made = world.build(tmp_path, [world.prompt(i) for i in range(6)])
    world.score(made, [0.4 + 0.02 * i for i in range(12)])
    world.vote(made, people=2)
    return made


def decide(db: Path, values: dict[str, Any], number: int) -> None:
    with Store.open(db) as store:
        store.add(
            [Decision(id=f"{number}", topic="calibration", subject="lite", values=values,
                      time_ms=number)]
        )  # fmt: skip


def test_posterior_labels_train_an_adapter(db, tiny_folder, tmp_path, capsys):
    run = dpo.run(
        dpo.Config(
            db=str(db), model=str(tiny_folder), labels="posterior", steps=1, batch=2, rank=2,
            out=str(tmp_path / "runs"), grid=0, held_out=0.0, device="cpu",
        )
    )  # fmt: skip
    assert (Path(run.folder) / "adapter").is_dir()
    said = capsys.readouterr().out
    assert "6 pairs with posterior labels" in said
    assert "Fewer than 50 answers to calibrate on" in said


def test_voted_pairs_go_with_the_people_and_others_with_the_score(tmp_path):
    db = world.build(tmp_path, [world.prompt(i) for i in range(6)])
    world.score(db, [0.4 + 0.02 * i for i in range(12)])
    unvoted = labelled.read(db, "posterior", Weighting())
    world.vote(db, people=2)
    voted = labelled.read(db, "posterior", Weighting())
    before = {label.pair: label for label in unvoted.preferences}
    assert len(before) == 6
    for label in voted.preferences:
        assert label.chosen == before[label.pair].rejected
        assert 0.5 < before[label.pair].probability < 0.7 < label.probability < 1


def test_a_calibration_by_name_in_use_and_back(db):
    def auto(profile: str | None = None) -> labelled.Labelled:
        return labelled.read(db, "auto", Weighting(), profile=profile)

    default = {label.pair: label.chosen for label in auto().preferences}
    decide(db, AGAINST.values() | {"use": ""}, 1)
    assert {label.pair: label.chosen for label in auto().preferences} == default
    named = auto(AGAINST.name)
    assert all(label.chosen != default[label.pair] for label in named.preferences)
    assert "weights fitted to 300 votes" in named.basis
    decide(db, {"use": AGAINST.id}, 2)
    assert auto().preferences == named.preferences
    assert {label.pair: label.chosen for label in auto("lite").preferences} == default
    decide(db, {"use": ""}, 3)
    assert {label.pair: label.chosen for label in auto().preferences} == default
    with pytest.raises(UserError, match="--profile is 'calibrated:0'"):
        auto("calibrated:0")
