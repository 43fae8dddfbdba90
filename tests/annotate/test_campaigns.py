"""The settings of a campaign and the command that decides them."""

from __future__ import annotations

import dataclasses
import json

import pytest

from annotate import campaign as command
from annotate.campaigns import Campaign, Example, decided, read, stored
from annotate.desk import Desk
from annotate.protocol import Protocol
from data.errors import UserError
from data.records import Candidate, Decision, Pair, Prompt, Vote
from data.store import Store, add


def test_a_campaign_survives_the_store_as_it_was(tmp_path):
    given = Campaign(
        name="söcond", questions=("motion", "overall"), most=7, redundancy=3, flags=(),
        examples=(Example(prompt="a cat", better="left", why="it is one"),),
    )  # fmt: skip
    add(tmp_path / "prefs.duckdb", [decided(given, by="me", now_ms=5)])
    with Store.open(tmp_path / "prefs.duckdb") as store:
        assert stored(store.all("decisions")) == {"söcond": given}


def test_the_newest_decision_holds_and_fields_of_a_newer_program_are_passed_over():
    first = decided(Campaign(blind=0.5), by="me", now_ms=1)
    later = dataclasses.replace(first, id="x", values={"blind": 0.25, "colour": "red"})
    assert stored([first, later]) == {"default": Campaign(blind=0.25)}


def test_a_decision_of_few_words_is_a_whole_campaign():
    """As `train.compare` decides: what it does not name is as it is for everybody."""
    said = {"name": "compare-7", "title": "Which?", "blind": 1.0, "redundancy": 3,
            "questions": ["visual", "overall"]}  # fmt: skip
    few = Decision(id="1", topic="campaign", subject="compare-7", values=said, time_ms=1)
    whole = Campaign(
        name="compare-7", title="Which?", blind=1.0, redundancy=3, questions=("visual", "overall")
    )
    assert stored([few]) == {"compare-7": whole}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"blind": 1.5}, "blind is 1.5"),
        ({"redundancy": 0}, "redundancy is 0; it must be 1 or more"),
        ({"redundancy": 3, "most": 2}, "most is 2, less than"),
        ({"gold": 0.5, "repeat": 0.5}, "leave too few answers"),
        ({"questions": ["overall", "motion"]}, "the last is 'overall'"),
        ({"questions": ["beauty", "overall"]}, "No question 'beauty'; there are: visual"),
        ({"questions": []}, "questions are none"),
        ({"flags": ["text", "text"]}, "A flag stands twice"),
        ({"order": "alphabetic"}, "No order 'alphabetic'.*uncertain"),
        ({"profile": "best"}, "No profile 'best'.*auto"),
        ({"lease_seconds": 1}, "lease_seconds is 1"),
        ({"examples": [{"prompt": "x"}]}, "needs prompt, better and why"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(values, said):
    with pytest.raises(UserError, match=said):
        read("default", values)


@pytest.fixture
def db(tmp_path):
    """Three pairs of four clips; anna and bob disagree about the first."""
    prompt = Prompt(text="a cat")
    clips = [
        Candidate(sha256=letter * 64, prompt=prompt.id, path="/x", model="m", fps=8.0, frames=8,
                  width=8, height=8) for letter in "abcd"
    ]  # fmt: skip
    pairs = [
        Pair.of(clips[0].sha256, clips[n].sha256, prompt=prompt.id, strategy="t") for n in (1, 2, 3)
    ]
    votes = [
        Vote(id=f"{who}{n}", pair=pairs[n].id, annotator=who, left=pairs[n].a, right=pairs[n].b,
             outcome="preference", preferred=pairs[n].b if (who, n) == ("bob", 0) else pairs[n].a)
        for who in ("anna", "bob") for n in (0, 1)
    ]  # fmt: skip
    place = tmp_path / "prefs.duckdb"
    add(place, [prompt, *clips, *pairs, *votes])
    return place


def ran(db, capsys, *argv: str) -> str:
    assert command.main(["--db", str(db), *argv]) == 0
    return capsys.readouterr().out


def decisions(db) -> list[Decision]:
    with Store.open(db) as store:
        return store.all("decisions")


def test_set_changes_what_is_named_and_leaves_the_rest(db, capsys, tmp_path):
    (tmp_path / "guide.txt").write_text("Look twice.")
    examples = [{"prompt": "a cat", "better": "left", "why": "it is one"}]
    (tmp_path / "examples.json").write_text(json.dumps(examples))
    ran(db, capsys, "set", "default", "--redundancy", "3", "--most", "7", "--strength")
    said = ran(
        db, capsys, "set", "default", "--guideline", str(tmp_path / "guide.txt"), "--no-comments",
        "--examples", str(tmp_path / "examples.json"), "--questions", "motion,overall",
    )  # fmt: skip
    assert "redundancy 3" in said
    campaign = stored(decisions(db))["default"]
    assert (campaign.redundancy, campaign.most, campaign.strength) == (3, 7, True)
    assert (campaign.guideline, campaign.comments) == ("Look twice.", False)
    assert campaign.examples[0].why == "it is one"
    assert len(decisions(db)) == 2
    ran(db, capsys, "set", "default", "--most", "none", "--flags", "")
    campaign = stored(decisions(db))["default"]
    assert (campaign.most, campaign.flags) == (None, ())


def test_show_says_what_is_missing_and_list_counts(db, capsys):
    ran(db, capsys, "set", "default", "--gold", "0.1", "--practice", "5")
    said = ran(db, capsys, "show", "default")
    make = f"python -m data.gold --db {db} --campaign default"
    assert f"! no gold pairs are there, so none are asked; make some: {make} --use gold" in said
    assert "! 5 practice pairs are needed and 0 are there, so nobody practises" in said
    assert f"make them: {make} --use practice -n 5\n" in said
    ran(db, capsys, "pause", "default")
    line = ran(db, capsys, "list").splitlines()[-1].split()
    assert (line[0], line[1], line[2], line[-1]) == ("default", "3", "2", "paused")
    ran(db, capsys, "resume", "default")
    assert not stored(decisions(db))["default"].paused


def test_a_campaign_that_cannot_be_asked_stops_no_other_and_is_mended_by_set(db, capsys):
    """Another command's word is not checked when it is stored."""
    values = {"title": "Which?", "blind": 1.0, "questions": ["beauty", "overall"]}
    wrong = Decision(id="1", topic="campaign", subject="compare-7", values=values, time_ms=1)
    add(db, [wrong])
    with Store.own(db) as owner:
        desk = Desk(db, owner, Protocol())
        with desk.session("anna", "compare-7") as anna:
            assert anna.campaign.paused
        with desk.session("anna") as anna:
            assert anna.next() is not None
    assert command.main(["--db", str(db), "show", "compare-7"]) == 2
    said = capsys.readouterr().err
    assert "cannot be asked as it was decided: No question 'beauty'; there are: visual" in said
    assert f"python -m annotate.campaign --db {db} set compare-7" in said
    ran(db, capsys, "set", "compare-7", "--questions", "visual")
    mended = stored(decisions(db))["compare-7"]
    assert (mended.questions, mended.blind, mended.paused) == (("visual", "overall"), 1.0, False)


def test_requeue_by_pair_by_person_and_by_disagreement(db, capsys):
    with Store.open(db) as store:
        first, _, unanswered = (pair.id for pair in store.all("pairs"))
    assert "1 pairs" in ran(db, capsys, "requeue", "--split")
    assert decisions(db)[-1].values == {"again": 2}  # two answered, one was asked for: one more
    assert decisions(db)[-1].subject == first
    assert "0 pairs" in ran(db, capsys, "requeue", "--pair", first)  # that one is asked already
    assert "1 pairs" in ran(db, capsys, "requeue", "--annotator", "anna")
    assert "0 pairs" in ran(db, capsys, "requeue", "--pair", unanswered)  # still waiting anyway
    ran(db, capsys, "exclude", "bob")
    assert decisions(db)[-1].values == {"counts": False}
    assert "0 pairs" in ran(db, capsys, "requeue", "--split")  # nobody disagrees any more


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("show", "none"), "There is no campaign 'none'; there are: default"),
        (("exclude", "nobody"), "'nobody' has not voted; these have: anna, bob"),
        (("requeue", "--pair", "x"), "Campaign 'default' has no pair 'x'"),
        (("requeue", "--annotator", "x"), "'x' has no votes that count"),
        (("set", "default", "--blind", "2"), "blind is 2.0"),
        (("set", "default", "--profile", "calibrated:x"), "'calibrated:x'; it must be one of"),
        (("set", "default", "--guideline", "/nowhere"), "--guideline /nowhere cannot be read"),
        (("tries", "anna", "-1"), "tries is -1"),
    ],
)
def test_mistakes_are_one_line_and_decide_nothing(db, capsys, argv, said):
    assert command.main(["--db", str(db), *argv]) == 2
    assert said in capsys.readouterr().err
    assert decisions(db) == []
