"""`python -m data.calibrate` on a real database."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from data import calibrate, pair
from data.calibrate import Config
from data.calibration import every, in_use, profile_named
from data.errors import UserError
from data.records import Candidate, Prompt
from data.store import Store

from .votes_world import DEFAULT, World, world


def database(folder: Path, made: World) -> str:
    path = folder / "prefs.duckdb"
    with Store.own(path) as owner:
        owner.add(made.scores)
        owner.add(made.pairs)
        for cast in made.votes:
            owner.vote(cast)
    return str(path)


TURNED = DEFAULT * [1, -1, 1, -1, 1, 1, 1]


@pytest.fixture(scope="module")
def biased(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two people per pair, who dislike two of the dimensions that OmniScore likes; one fit."""
    made = world(120, [0.95, 0.95, 0.95], each=2, weights=TURNED, ties=0.1)
    db = database(tmp_path_factory.mktemp("biased"), made)
    out = Path(db).with_name("found.json")
    calibrate.main(["--db", db, "--draws", "20", "--json", str(out)])
    return db


def decisions(db: str):
    with Store.open(db) as store:
        return store.all("decisions")


def test_it_predicts_better_than_the_default(biased):
    found = json.loads(Path(biased).with_name("found.json").read_text())
    losses = {name: each["loss"]["value"] for name, each in found["worth"].items()}
    assert losses["fitted weights"] < losses["default weights"] < losses["nothing known"]
    assert set(losses) == {
        "nothing known", "default weights", "best single dimension", "fitted weights",
        "other people",
    }  # fmt: skip
    assert found["gain"]["low"] > 0
    assert found["weights"]["background_consistency"]["high"] < 0
    labels = {source: each["brier"]["value"] for source, each in found["labels"].items()}
    assert labels["posterior"] < labels["human"] < labels["auto"]
    assert found["votes"] == 240


def test_a_second_time_gives_the_same_bytes_and_stores_nothing_new(biased, capsys, tmp_path):
    again = tmp_path / "again.json"
    calibrate.main(["--db", biased, "--draws", "20", "--json", str(again)])
    assert again.read_bytes() == Path(biased).with_name("found.json").read_bytes()
    assert len(every(decisions(biased))) == 1
    told = capsys.readouterr().out
    assert "It predicts better" in told
    assert "posterior said" in told
    rows = json.loads(again.read_text())["labels"]["posterior"]["curve"]
    assert sum(row["answered"]["n"] for row in rows) == 240
    assert f"{rows[0]['predicted']:.2f}" in told.partition("posterior said")[2]


def test_use_list_and_back(biased, capsys):
    (found,) = every(decisions(biased)).values()
    assert in_use(decisions(biased), "lite") is None
    calibrate.main(["--db", biased, "--use", "newest"])
    assert in_use(decisions(biased), "lite") == found
    calibrate.main(["--db", biased, "--list"])
    assert f"* {found.name}  lite, 240 votes (blind) on 120 prompts" in capsys.readouterr().out
    calibrate.main(["--db", biased, "--use", "default"])
    assert in_use(decisions(biased), "lite") is None
    calibrate.main(["--db", biased, "--use", found.name])
    assert in_use(decisions(biased), "lite") == found
    with pytest.raises(UserError, match="no calibration 'nonsense'; stored"):
        calibrate.use(Config(db=biased), "nonsense")


def test_pairs_are_made_with_it(biased):
    (found,) = every(decisions(biased)).values()
    with Store.open(biased) as store:
        prompt = Prompt(text="two clips of the first pair")
        first = next(iter(store.all("pairs")))
        two = [
            Candidate(
                sha256=clip, prompt=prompt.id, path="/x", model="m", fps=8, frames=1, width=8,
                height=8,
            )
            for clip in (first.a, first.b)
        ]  # fmt: skip
        store.add([prompt, *two])
    report = pair.run(pair.Config(db=biased, profile=found.name, campaign="second"))
    assert [made.profile for made in report.pairs] == [found.name]
    assert profile_named(found.name, decisions(biased)).base == "lite"


def test_pairs_made_with_a_calibration_are_calibrated_as_their_profile(biased, tmp_path):
    # Only pairs of a calibrated profile: the fit is of the table below it, as before.
    made = world(60, [0.9], each=1)
    with Store.open(biased) as store:
        (found,) = every(store.all("decisions")).values()
    pairs = [replace(one, profile=found.name) for one in made.pairs]
    db = database(tmp_path, replace(made, pairs=pairs))
    with Store.open(db) as store:
        store.add(decisions(biased))
    assert calibrate.run(Config(db=db, draws=2)).profile == "lite"


def test_a_json_file_that_cannot_be_written_is_named(biased, tmp_path, capsys):
    gone = tmp_path / "gone" / "found.json"
    assert calibrate.main(["--db", biased, "--json", str(gone)]) == 2
    assert f"--json {gone}: there is no folder {gone.parent}" in capsys.readouterr().err
    assert len(every(decisions(biased))) == 1  # refused before anything is fitted
    with pytest.raises(UserError, match="--json /dev/full cannot be written"):
        calibrate._write("/dev/full", "{}")


def test_few_votes_are_collected_and_nothing_is_stored(tmp_path, capsys):
    db = database(tmp_path, world(49, [0.9], each=1))
    calibrate.main(["--db", db])
    assert "Collecting: 50 answers" in capsys.readouterr().out
    assert decisions(db) == []


def test_sixty_votes_are_shown_with_a_warning(tmp_path, capsys):
    db = database(tmp_path, world(60, [0.9], each=1))
    calibrate.main(["--db", db, "--draws", "5"])
    text = capsys.readouterr().out
    assert "Not recommended yet: fewer than 200 answers" in text
    assert "No pair was answered by two people" in text
    assert len(every(decisions(db))) == 1


def test_votes_of_excluded_people_do_not_enter(tmp_path):
    made = world(20, [0.9, 0.9], each=2)
    db = database(tmp_path, made)
    with Store.open(db) as store:
        values = {"counts": False}
        store.add(
            [calibrate.Decision(id="x", topic="person", subject="w1", values=values, time_ms=1)]
        )
    assert calibrate.run(Config(db=db, draws=2)).votes == 20


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"profile": "x"}, "--profile is 'x'"),
        ({"votes": "seen"}, "--votes is 'seen'; it must be one of blind, all"),
        ({"draws": 0}, "--draws is 0"),
        ({"campaign": "none"}, "--campaign is 'none'; .* has pairs of: default"),
    ],
)
def test_mistakes_are_named(biased, config, message):
    with pytest.raises(UserError, match=message):
        calibrate.run(Config(db=biased, **config))
