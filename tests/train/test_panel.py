"""People as judges: win rates by hand, and a comparison that is finished with their votes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data.errors import UserError
from data.records import Decision, Preference, Vote
from data.store import Store
from tests.train.test_compare import config  # noqa: F401 - the fixture
from train import compare, models, policy
from train.comparison import panel
from train.comparison.duels import BASE, JUDGE
from train.comparison.panel import PEOPLE, Meeting, verdicts
from train.preference.batches import Material
from train.preference.objective import Objective
from train.preference.reference import ReferenceErrors


def met(pair: str | None, ours: str, theirs: str, prompt: str, clip: str) -> Meeting:
    return Meeting(ours=ours, theirs=theirs, prompt=prompt, pair=pair, clip=clip)


def vote(pair: str, preferred: str | None, who: str = "ada", **rest: object) -> Vote:
    """About the clips l and r; ids follow from pair and person."""
    return Vote(
        id=f"{pair}-{who}", pair=pair, annotator=who, left="l", right="r",
        outcome="preference" if preferred else "tie", preferred=preferred, seconds=30.0,
        time_ms=1, **rest,  # type: ignore[arg-type]
    )  # fmt: skip


def test_win_rates_by_hand():
    """Pair 1: one for us, one against; pair 2: a tie; pair 3: equal clips. 2.5 of 4 meetings."""
    meetings = [
        met("1", "human", BASE, "p", "l"),
        met("2", "human", BASE, "q", "r"),
        met(None, "human", BASE, "s", "x"),
    ]
    votes = [
        vote("1", "l", answers={"motion": "right"}),
        vote("1", "l", "bob", answers={"motion": "tie"}),
        vote("2", None),
        vote("2", "l", "eve", unusable=True),
        vote("9", "l"),
    ]
    said = verdicts(meetings, votes, seed=0)
    overall, motion = said.duels
    assert (overall.measure, overall.ours, overall.theirs) == (PEOPLE, "human", BASE)
    assert overall.rate.share == pytest.approx((1 + 1 + 0.5 + 0.5) / 4)
    assert motion.measure == "people, motion"
    assert motion.rate.share == pytest.approx((0 + 0.5 + 0.5) / 3)  # equal clips tie here too
    assert (said.votes, said.unusable, said.people, said.open) == (3, 1, 3, 0)
    assert said.minutes == pytest.approx(4 * 30 / 60)


def test_sides_do_not_matter():
    """The same answers with left and right exchanged on the screen are the same result."""
    meetings = [met(str(n), "a", "b", str(n % 3), "l") for n in range(6)]
    votes = [vote(str(n), "l" if n % 2 else "r") for n in range(6)]
    swapped = [replace(one, left="r", right="l") for one in votes]
    assert verdicts(meetings, votes, seed=0) == verdicts(meetings, swapped, seed=0)


def test_a_comparison_is_finished_with_the_votes_of_people(
    config: compare.Config,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
):
    asked = replace(config, people=1, questions="motion", judge="flicker")
    folder = compare.run(asked).folder
    before = json.loads((folder / "report.json").read_text())
    campaign = before["panel"]["campaign"]
    with Store.open(config.db) as store:
        pairs = [pair for pair in store.all("pairs") if pair.campaign == campaign]
        (settings,) = [one for one in store.all("decisions") if one.subject == campaign]
        assert settings.values["blind"] == 1.0
        assert settings.values["questions"] == ["motion", "overall"]
        assert {pair.best for pair in pairs} == {None}  # nothing that a page could show
        runs = {run.config["labels"]: run.id for run in store.all("runs") if run.kind == "dpo"}
        judged = [one for one in store.all("candidates") if "compare" in one.settings]
        assert {(one.settings["arm"], one.adapter) for one in judged} <= {
            ("auto", runs["auto"]), ("human", runs["human"]), (BASE, "")
        }  # fmt: skip
        assert {one.model for one in judged} == {Path(config.model).name}
        named = {one["pair"]: one["clip"] for one in before["panel"]["meetings"]}
        assert {pair.id for pair in pairs} == named.keys() - {None}
        cast = [
            Vote(
                id=f"00000000-0000-4000-9000-{number:012}", pair=pair.id, annotator="bob",
                left=pair.a, right=pair.b, outcome="preference", preferred=named[pair.id],
                exposure="blind", seconds=6.0,
            )
            for number, pair in enumerate(pairs)
        ]  # fmt: skip
        (other,) = {pairs[0].a, pairs[0].b} - {cast[0].preferred}
        bad = replace(cast[0], id=cast[0].id[:-4] + "ffff", annotator="eve", preferred=other)
        store.add([*cast, bad])
        store.add([Decision(id="x", topic="person", subject="eve", values={"counts": False},
                            time_ms=1)])  # fmt: skip
    compare.main(["--finish", str(folder)])
    after = json.loads((folder / "report.json").read_text())
    people = [one for one in after["duels"] if one["measure"] == PEOPLE]
    assert {(one["ours"], one["theirs"]) for one in people} == {
        ("auto", "human"), ("auto", BASE), ("human", BASE)
    }  # fmt: skip
    won = {True: 1.0, False: 0.5}  # the first arm of each meeting won, unless the clips are equal
    for one in people:
        meetings = [m for m in before["panel"]["meetings"]
                    if (m["ours"], m["theirs"]) == (one["ours"], one["theirs"])]  # fmt: skip
        expected = sum(won[m["pair"] is not None] for m in meetings) / len(meetings)
        assert one["rate"]["share"] == pytest.approx(expected)
    assert after["people"]["votes"] == len(cast)
    assert after["people"]["minutes"] == pytest.approx(len(cast) * 0.1)
    assert any(one["measure"].startswith(f"{JUDGE}flicker") for one in after["duels"])
    assert after["costs"]["auto"]["votes"] == 0
    assert after["costs"]["human"]["votes"] == 3
    assert f"{len(cast)} votes of 1 people" in (folder / "report.html").read_text()
    assert compare.main(["--finish", str(folder), "--db", "x"]) == 2
    assert "leave out --db" in capsys.readouterr().err


def test_a_comparison_that_asked_nobody_cannot_be_finished(
    config: compare.Config,  # noqa: F811
    tmp_path: Path,
):
    trained = policy.attach(models.load(config.model), rank=2, alpha=2, seed=1)
    trained.save(tmp_path / "mine")
    folder = compare.run(replace(config, arms=str(tmp_path / "mine"))).folder
    with pytest.raises(UserError, match="Compare again with --people"):
        compare.finish(str(folder))


def test_the_second_arm_needs_no_pass_of_the_reference(tiny_folder: Path):
    """Labels of the other direction: the same two errors, exchanged; and not one pass more."""
    model = models.load(str(tiny_folder))
    adapter = policy.attach(model, rank=2, alpha=2, seed=0)
    labels = [
        Preference(pair=str(n), prompt="p", chosen=f"{n}a", rejected=f"{n}b", probability=1.0,
                   source="auto")
        for n in range(3)
    ]  # fmt: skip
    other = [replace(one, chosen=one.rejected, rejected=one.chosen) for one in labels]
    size = model.sample_defaults
    draw = torch.Generator().manual_seed(0)
    frames = torch.rand(6, size.frames, 3, size.height, size.width, generator=draw)
    clips = dict(zip([f"{n}{side}" for n in range(3) for side in "ab"], model.encode(frames),
                     strict=True))  # fmt: skip
    material = Material(latents=clips, conditions={"p": model.embed(["a red circle"])})
    known, draws = ReferenceErrors(), [0, 1, 2]

    def errors(some: list[Preference]):
        batch = material.batch(some, draws, bank_seed=0, device=model.device)
        return known(adapter, Objective(), batch, some, draws)

    first, second = errors(labels), errors(other)
    assert known.passes == 1
    assert torch.equal(first.chosen, second.rejected)
    assert torch.equal(first.rejected, second.chosen)
    draws[0] = 7
    assert not torch.equal(errors(labels).chosen, first.chosen)
    assert known.passes == 2
    assert panel.campaign_of("x") == "compare-x"


def test_a_report_is_read_wherever_its_folder_is_now(tmp_path: Path) -> None:
    for text in (None, "{", "{}", "[1]"):
        if text is not None:
            (tmp_path / "report.json").write_text(text)
        with pytest.raises(UserError, match=r"report\.json cannot be read"):
            panel.kept(tmp_path)
    facts = {"clips": [{"path": "runs/compare-1/clips/0-base/0003.mkv", "arm": "base"}]}
    (tmp_path / "report.json").write_text(json.dumps(facts))
    (clip,) = panel.kept(tmp_path)["clips"]
    assert clip == {"path": str(tmp_path / "clips" / "0-base" / "0003.mkv"), "arm": "base"}
