"""The comparison: fairness by hand, and the whole command on a model with random weights."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.errors import UserError
from data.records import Candidate, Pair, Preference, Prompt, Vote
from data.store import Store
from train import compare, sample
from train.comparison import report
from train.comparison.arms import common
from train.comparison.duels import BASE, OMNISCORE, ORACLE, Sampled, all_duels, means
from train.preference.labelled import Labelled


def clip(arm: str, prompt: str, index: int, **scores: float) -> Sampled:
    return Sampled(arm=arm, prompt=prompt, index=index, path="", scores=scores)


def test_duels_by_hand():
    """Prompt p: a win, and a tie within 0.01; prompt q: a loss. (1 + 0.5 + 0) / 3."""
    ours = [(("p", 0), 0.9), (("p", 1), 0.505), (("q", 0), 0.1)]
    theirs = [(("p", 0), 0.2), (("p", 1), 0.5), (("q", 0), 0.8)]
    clips = [clip("human", *key, oracle=score) for key, score in ours]
    clips += [clip(BASE, *key, oracle=score) for key, score in reversed(theirs)]
    (found,) = all_duels(clips, ["human", BASE], seed=0)
    assert (found.measure, found.ours, found.theirs) == (ORACLE, "human", BASE)
    assert found.rate.share == pytest.approx(0.5)
    assert found.rate.n == 3
    (turned,) = all_duels(clips, [BASE, "human"], seed=0)
    assert turned.rate.share == pytest.approx(1 - 0.5)
    assert means(clips)["human"][ORACLE] == pytest.approx((0.9 + 0.505 + 0.1) / 3)


def test_a_clip_that_one_arm_has_no_score_for_is_in_no_duel():
    clips = [clip("a", "p", 0, **{OMNISCORE: 0.9}), clip("b", "p", 0)]
    assert all_duels(clips, ["a", "b"], seed=0) == []


def labelled(source: str, chosen: dict[str, str], weight: float) -> Labelled:
    return Labelled(
        preferences=tuple(
            Preference(
                pair=pair,
                prompt="p",
                chosen=best,
                rejected="ab".replace(best, ""),
                probability=1.0,
                weight=weight * number,
                source="auto" if source == "auto" else "human",
            )
            for number, (pair, best) in enumerate(chosen.items(), start=1)
        ),
        clips={},
        prompts={},
        left_out={},
        snapshot=0,
    )


def test_arms_train_on_the_pairs_that_all_of_them_label():
    auto = labelled("auto", {"1": "a", "2": "a", "3": "b"}, 1.0)
    human = labelled("human", {"2": "b", "3": "b", "4": "a"}, 5.0)
    found = common({"auto": auto, "human": human})
    assert found.pairs == 2
    assert found.opposed == 1  # pair 2
    assert found.only == {"auto": 1, "human": 1}
    for one in found.labelled.values():
        assert [label.pair for label in one.preferences] == ["2", "3"]
        assert sum(label.weight for label in one.preferences) == pytest.approx(2)  # mean 1
    with pytest.raises(UserError, match="no pair is labelled by every arm"):
        common({"auto": auto, "human": labelled("human", {"4": "a"}, 1.0)})


def made(db: str) -> list[Candidate]:
    with Store.open(db) as store:
        return store.all("candidates")


@pytest.fixture
def config(tmp_path: Path, tiny_folder: Path) -> compare.Config:
    """A database with 4 prompts, a pair each, OmniScore's opinion, and three votes."""
    db = str(tmp_path / "prefs.duckdb")
    sample.run(
        sample.Config(
            db=db, model=str(tiny_folder), prompts="builtin:4", n=2, sampler_steps=2, batch=8
        )
    )
    by_prompt: dict[str, list[str]] = {}
    for one in made(db):
        by_prompt.setdefault(one.prompt, []).append(one.sha256)
    pairs = [
        Pair.of(*clips, prompt=prompt, best=clips[0], profile="lite", margin=0.1)
        for prompt, clips in by_prompt.items()
    ]
    votes = [
        Vote(
            id=f"00000000-0000-4000-8000-00000000000{number}",
            pair=pair.id,
            annotator="ada",
            left=pair.a,
            right=pair.b,
            outcome="preference",
            preferred=pair.worst if number else pair.best,
            exposure="blind",
        )
        for number, pair in enumerate(pairs[:3])
    ]
    with Store.open(db) as store:
        store.add(pairs)
        store.add(votes)
        store.add([Prompt(text="a red circle moving left", split="test")])
        store.add([Prompt(text="a <b>blue</b> square", split="test")])
    return compare.Config(
        db=db, model=str(tiny_folder), samples=1, steps=2, batch=4, out=str(tmp_path / "runs"),
    )  # fmt: skip


def test_the_whole_comparison(config: compare.Config, capsys: pytest.CaptureFixture[str]):
    folder = compare.run(config).folder
    said = capsys.readouterr().out
    assert "People agree with OmniScore: 33%" in said
    assert "3 pairs have labels of auto and human; they choose different clips in 2" in said
    facts = json.loads((folder / "report.json").read_text())
    assert facts["pairs"] == {"common": 3, "opposed": 2, "left_out": {"auto": 1, "human": 0}}
    assert (facts["agreement"]["blind"]["confirmations"], facts["prompts"]) == (1, 2)
    assert facts["agreement"]["blind"]["overrides"] == 2
    assert {clip["arm"] for clip in facts["clips"]} == {"auto", "human", BASE}
    assert len(facts["clips"]) == 3 * 2
    names = [(one["measure"], one["ours"], one["theirs"]) for one in facts["duels"]]
    assert names == [
        (OMNISCORE, "auto", "human"), (OMNISCORE, "auto", BASE), (OMNISCORE, "human", BASE)
    ]  # fmt: skip
    for one in facts["clips"]:
        assert Path(one["path"]).is_file()
    configs = [
        json.loads((Path(run) / "config.json").read_text())["config"]
        for run in sorted((folder / "arms").iterdir())
    ]
    one, other = configs  # common random numbers: nothing differs but the labels
    assert {key for key in one if one[key] != other[key]} == {"labels"}
    with Store.open(config.db) as store:
        kinds = [run.kind for run in store.all("runs")]
    assert sorted(kinds) == ["compare", "dpo", "dpo", "sample"]
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert "a &lt;b&gt;blue&lt;/b&gt; square" in page
    assert "<!--" not in page.replace("<!doctype", "")
    assert not re.search(r"(src|href)=", page)  # one file, no network


def test_finished_adapters_are_compared_without_training(config: compare.Config, tmp_path: Path):
    from train import models, policy

    trained = policy.attach(models.load(config.model), rank=2, alpha=2, seed=1)
    for weight in trained.parameters:
        weight.data += 0.3
    trained.save(tmp_path / "mine")
    arm = str(tmp_path / "mine")
    folder = compare.run(replace(config, arms=arm)).folder
    facts = json.loads((folder / "report.json").read_text())
    assert [(one["ours"], one["theirs"]) for one in facts["duels"]] == [(arm, BASE)]
    assert facts["pairs"] == {}
    assert not (folder / "arms").exists()
    assert all(Path(one["path"]).is_relative_to(folder) for one in facts["clips"])
    assert [file.name for file in (tmp_path / "mine").iterdir()] == [policy.WEIGHTS]


def test_arms_that_are_not_understood_are_refused(
    config: compare.Config, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(UserError, match="name each arm once"):
        replace(config, arms="auto,auto")
    with pytest.raises(UserError, match=r"'nobody', .* \(auto, human, posterior\): no adapter at"):
        compare.run(replace(config, arms="human,nobody"))
    assert not capsys.readouterr().out  # and before anything was said
    assert not (Path(config.out)).exists()  # found out before anything was trained
    with pytest.raises(UserError, match="--profile is 'x'"):
        compare.run(replace(config, profile="x"))


def test_a_strip_is_the_frames_side_by_side():
    import base64

    import cv2

    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 20, 3), dtype=np.uint8)
    text = report.strip(frames)
    data = base64.b64decode(text.removeprefix("data:image/png;base64,"))
    sheet = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), -1), cv2.COLOR_BGR2RGB)
    assert np.array_equal(sheet, np.concatenate(list(frames), axis=1))
    large = report.strip(np.zeros((40, 300, 600, 3), np.uint8))
    data = base64.b64decode(large.removeprefix("data:image/jpeg;base64,"))
    assert cv2.imdecode(np.frombuffer(data, np.uint8), -1).shape == (128, 16 * 256, 3)
