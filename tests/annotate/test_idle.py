"""What the page says when there is nothing to show: always a command that mends it."""

from __future__ import annotations

import pytest

from annotate.idle import Counts, explain

FULL = {"candidates": 4, "scored": 4, "pairs": 2, "other_campaigns": (), "answered": 2}


def explained(*, redundancy=1, most=False, started=False, **changes):
    counts = Counts(**{**FULL, **changes})
    return explain(
        counts,
        db="my prefs.duckdb",
        campaign="default",
        redundancy=redundancy,
        most=most,
        started=started,
    )


@pytest.mark.parametrize(
    ("changes", "title", "modules"),
    [
        (
            {"candidates": 0, "scored": 0, "pairs": 0, "answered": 0},
            "No clips yet",
            ["train.sample", "data.ingest", "scorers", "data.pair"],
        ),
        ({"scored": 0, "pairs": 0, "answered": 0}, "No pairs yet", ["scorers", "data.pair"]),
        ({"pairs": 0, "answered": 0}, "No pairs yet", ["data.pair"]),
        ({}, "All done", ["train.dpo"]),
    ],
)
def test_the_next_commands_follow_from_what_is_there(changes, title, modules):
    idle = explained(**changes)
    assert idle.title == title
    assert [step.command.split()[2] for step in idle.steps] == modules


def test_every_command_names_this_database_in_quotes():
    for changes in ({}, {"pairs": 0}, {"answered": 1}, {"candidates": 0, "pairs": 0}):
        idle = explained(**changes)
        assert idle.steps
        assert all("--db 'my prefs.duckdb'" in step.command for step in idle.steps)


def test_pairs_of_other_people_can_be_had_by_asking_more_per_pair():
    idle = explained(answered=1)
    assert idle.title == "Nothing left for you"
    campaign = "python -m annotate.campaign --db 'my prefs.duckdb' set default"
    assert idle.steps[0].command == f"{campaign} --redundancy 2"
    # Where people disagree up to `most` are asked: that number has to grow.
    idle = explained(answered=1, redundancy=5, most=True)
    assert idle.steps[0].command == f"{campaign} --most 6"
    # What the app was started with wins over what is stored.
    idle = explained(answered=1, started=True)
    assert idle.steps[0].command == "python app.py --db 'my prefs.duckdb' --redundancy 2"


def test_an_empty_campaign_names_those_that_are_not():
    idle = explained(pairs=0, answered=0, other_campaigns=("pilot", "round 2"))
    assert [step.command.split("--campaign ")[1] for step in idle.steps] == ["pilot", "'round 2'"]
