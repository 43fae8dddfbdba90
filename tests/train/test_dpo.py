"""`train.dpo` on the tiny model with random weights: mechanics, not quality."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from data.errors import UserError
from data.records import Pair, Prompt, Run
from data.store import Store
from tests.train import world
from train import dpo, models
from train.policy import WEIGHTS
from train.preference import labelled, loop
from train.preference.labelled import Weighting
from train.run import runs


@pytest.fixture(scope="session")
def source_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    db = world.build(tmp_path_factory.mktemp("dpo"), [world.prompt(i) for i in range(6)])
    world.vote(db)
    return db


def settings(db: Path, model: Path, out: Path) -> dict[str, Any]:
    return {
        "db": str(db), "model": str(model), "labels": "auto", "steps": 4, "batch": 4,
        "rank": 2, "lr": 1e-2, "out": str(out / "runs"), "save_every": 2, "evaluate_every": 2,
        "grid": 0, "held_out": 0.3, "device": "cpu", "plan": "none",
    }  # fmt: skip


@pytest.fixture
def config(source_db: Path, tiny_folder: Path, tmp_path: Path) -> dict[str, Any]:
    return settings(source_db, tiny_folder, tmp_path)


@pytest.fixture(scope="session")
def whole(source_db: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of `config`."""
    return train(settings(source_db, tiny_folder, tmp_path_factory.mktemp("whole")))


def train(config: dict[str, Any], **changes: Any) -> Path:
    return Path(dpo.run(dpo.Config(**(config | changes))).folder)


def adapter(run: Path) -> bytes:
    return (run / "adapter" / WEIGHTS).read_bytes()


def lines(run: Path, split: str = "train") -> list[dict[str, Any]]:
    every = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in every if line["split"] == split]


class TestOneRun:
    def test_starts_at_ln_2_and_leaves_everything_behind(
        self, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = train(config, grid=1)
        first, *rest = lines(run)
        assert first["loss"] == math.log(2)
        assert (first["margin"], first["accuracy"], first["chosen_rise"]) == (0, 0.5, 0)
        assert [line["step"] for line in rest] == [1, 2, 3]
        assert all(line["loss"] != math.log(2) for line in rest)
        assert lines(run, "held-out")[0]["loss"] == math.log(2)
        assert [line["step"] for line in lines(run, "held-out")] == [0, 2, 4]
        for name in ("config.json", "labels.jsonl", "state/latest.pt", f"adapter/{WEIGHTS}"):
            assert (run / name).is_file()
        assert {path.name for path in (run / "samples").iterdir()} == {
            "before-1.mp4", "after-1.mp4", "sheet.png"
        }  # fmt: skip
        said = capsys.readouterr().out
        assert "predicts the same: largest difference 0" in said
        assert f'load_lora_weights("{run}/adapter")' in said

    def test_is_recorded_with_what_it_saw(self, config: dict[str, Any]) -> None:
        run = train(config, labels="human")
        with Store.open(config["db"]) as store:
            found = store.get("runs", run.name.removeprefix("dpo-"))
            assert isinstance(found, Run)
            assert found.snapshot == store.sequence == 6  # one vote on each of six pairs
        assert found.finished_ms >= found.started_ms > 0
        assert found.config["steps"] == 4
        seen = labelled.read(config["db"], "human", Weighting())
        assert found.labels == seen.digest
        assert {"loss", "accuracy", "chosen_rise", "seconds"} <= found.metrics.keys()
        assert found.metrics["reload_difference"] <= 1e-5

    def test_the_adapter_moves_the_loss_that_it_was_trained_on(
        self, config: dict[str, Any]
    ) -> None:
        run = train(config, steps=12, held_out=0, evaluate_every=6)
        evaluated = lines(run, "training pairs")
        assert evaluated[-1]["loss"] < evaluated[0]["loss"]
        assert evaluated[-1]["accuracy"] > 0.5
        assert any(value.abs().max() > 0 for value in load_file(run / "adapter" / WEIGHTS).values())

    def test_the_frozen_weights_stay_frozen(
        self, config: dict[str, Any], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = {
            k: v.clone() for k, v in models.load(str(tiny_folder)).network.state_dict().items()
        }
        used: list[models.VideoModel] = []
        load = models.load
        monkeypatch.setattr(models, "load", lambda *a, **k: used.append(load(*a, **k)) or used[-1])
        train(config)
        after = {
            name.replace(".base_layer", ""): value
            for name, value in used[0].network.state_dict().items()
            if "lora_" not in name
        }
        assert all(torch.equal(after[name], before[name]) for name in before)


class TestRepeatable:
    def test_the_same_command_gives_the_same_bytes(
        self, config: dict[str, Any], whole: Path
    ) -> None:
        again = train(config)
        assert adapter(again) == adapter(whole)
        assert (again / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()

    @pytest.mark.parametrize(
        "change",
        [{"micro": 2}, {"checkpointing": "blocks"}, {"micro": 1, "checkpointing": "blocks"}],
    )
    def test_less_memory_is_the_same_training(
        self, config: dict[str, Any], whole: Path, change: dict[str, Any]
    ) -> None:
        """Parts of a step and recomputed activations change sums in their last digits only."""
        both = [
            [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            for run in (whole, train(config, **change))
        ]
        for one, other in zip(*both, strict=True):
            assert other == {k: v if isinstance(v, str) else pytest.approx(v, rel=2e-2, abs=1e-5)
                             for k, v in one.items()}  # fmt: skip
        first, again = (next(line for line in lines if "gradient" in line) for lines in both)
        assert again["gradient"] == pytest.approx(first["gradient"], rel=1e-4)
        assert again["ess"] == pytest.approx(first["ess"])

    def test_another_seed_gives_another_adapter(self, config: dict[str, Any], whole: Path) -> None:
        assert adapter(train(config, seed=1)) != adapter(whole)

    def test_people_who_contradict_omniscore_turn_the_adapter_round(
        self, config: dict[str, Any]
    ) -> None:
        """The first step's gradient for the opposite labels is the opposite one."""
        auto, human = (
            train(config, labels=labels, steps=1, weights="none", batch=6)
            for labels in ("auto", "human")
        )
        one = load_file(auto / "adapter" / WEIGHTS)
        other = load_file(human / "adapter" / WEIGHTS)
        moved = [name for name in one if "lora_B" in name]
        # Adam's first step is lr * sign(gradient), up to its epsilon
        assert all((one[name] * other[name]).sum() < 0 for name in moved)

    @pytest.mark.parametrize("stop", [2, 3])
    def test_an_interrupted_run_resumes_to_the_same_bytes(
        self, config: dict[str, Any], whole: Path, monkeypatch: pytest.MonkeyPatch, stop: int
    ) -> None:
        update, count = loop.update, iter(range(10))

        def interrupted(*arguments: Any, **named: Any) -> Any:
            if next(count) == stop:
                raise KeyboardInterrupt
            return update(*arguments, **named)

        monkeypatch.setattr(loop, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, out=str(Path(config["out"]) / "cut"))
        monkeypatch.undo()
        (cut,) = (Path(config["out"]) / "cut").iterdir()
        assert not (cut / "adapter").exists()
        assert dpo.main(["--resume", str(cut)]) == 0
        assert adapter(cut) == adapter(whole)
        assert (cut / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()

    def test_a_finished_run_goes_on_to_more_steps(
        self, config: dict[str, Any], whole: Path
    ) -> None:
        part = train(config, steps=2)
        assert dpo.main(["--resume", str(part), "--steps", "4"]) == 0
        assert adapter(part) == adapter(whole)
        assert json.loads((part / "config.json").read_text())["config"]["steps"] == 4
        with pytest.raises(UserError, match="has had 4 steps already"):
            dpo.resume(str(part), 3)

    def test_votes_that_came_in_meanwhile_change_nothing(
        self, config: dict[str, Any], tmp_path: Path
    ) -> None:
        db = world.build(tmp_path / "own", [world.prompt(i) for i in range(3)])
        world.vote(db)
        config |= {"db": str(db), "labels": "human", "held_out": 0}
        whole, part = train(config), train(config, steps=2)
        world.vote(db, "tie", people=3)
        dpo.resume(str(part), 4)
        assert adapter(part) == adapter(whole)

    def test_goes_on_from_an_adapter_that_is_then_the_reference(
        self, config: dict[str, Any], whole: Path
    ) -> None:
        second = train(config, from_adapter=str(whole / "adapter"), seed=1)
        assert lines(second)[0]["loss"] == math.log(2)
        assert adapter(second) != adapter(whole)


class TestOrder:
    def test_every_epoch_holds_every_pair_once(self) -> None:
        seen = [loop.pick(list("abcde"), step, 3, seed=0) for step in range(10)]
        labels = [label for some, _ in seen for label in some]
        epochs = [epoch for _, some in seen for epoch in some]
        assert epochs == [place // 5 for place in range(30)]
        orders = ["".join(labels[start : start + 5]) for start in range(0, 30, 5)]  # type: ignore[arg-type]
        assert all(sorted(order) == list("abcde") for order in orders)
        assert len(set(orders)) > 1

    def test_depends_on_the_step_alone(self) -> None:
        labels: Any = list("abcdefg")
        assert loop.pick(labels, 5, 3, seed=4) == loop.pick(labels, 5, 3, seed=4)
        assert loop.order(50, 0, 0) != loop.order(50, 1, 0)


class TestHeldOut:
    def test_by_prompt_and_for_ever(self) -> None:
        prompts = [world.prompt(i) for i in range(400)]
        outside = {p.id for p in prompts if labelled.is_held_out(p, 0.2)}
        assert 50 < len(outside) < 110  # binomial(400, 0.2) has deviation 8
        assert outside < {p.id for p in prompts if labelled.is_held_out(p, 0.3)}
        assert not any(labelled.is_held_out(p, 0.0) for p in prompts)

    def test_test_prompts_are_never_trained_on(self, tmp_path: Path) -> None:
        prompts = [world.prompt(0), world.prompt(1, "test"), world.prompt(2)]
        found = labelled.read(world.build(tmp_path, prompts), "auto", Weighting())
        train_on, outside = labelled.split(found, 0.0)
        assert [label.prompt for label in outside] == [prompts[1].id]
        assert len(train_on) == 2

    def test_without_any_it_says_so(
        self, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        train(config, held_out=0, steps=1)
        assert "none is held out" in capsys.readouterr().out

    def test_all_is_an_error(self, tmp_path: Path) -> None:
        db = world.build(tmp_path, [world.prompt(0, "test")])
        with pytest.raises(UserError, match="held-out prompts"):
            labelled.split(labelled.read(db, "auto", Weighting()), 0.1)


class TestWeights:
    @pytest.fixture
    def scored(self, tmp_path: Path) -> Path:
        """Three pairs; two share one bin of OmniScore, the third is rarer."""
        db = world.build(tmp_path, [world.prompt(i) for i in range(3)])
        world.score(db, [0.5, 0.5, 0.5, 0.5, 0.2, 0.8])
        return db

    def test_reach_the_labels(self, scored: Path) -> None:
        code = labelled.read(scored, "auto", Weighting(preset="max-bin", normalise="none"))
        plain = labelled.read(scored, "auto", Weighting(preset="none"))
        assert {label.weight for label in plain.preferences} == {1.0}
        # of six clips 4/6 share a bin, and each of the others has 1/6; beta is the largest, 4/6:
        # (4/6) / sqrt(4/6 * 4/6) = 1 and (4/6) / sqrt(1/6 * 1/6) = 4
        assert sorted(label.weight for label in code.preferences) == pytest.approx([1, 1, 4])
        assert code.effective == pytest.approx(36 / 18)

    def test_mean_one_over_all_labels(self, scored: Path) -> None:
        found = labelled.read(scored, "auto", Weighting(preset="max-bin"))
        assert sorted(label.weight for label in found.preferences) == pytest.approx([0.5, 0.5, 2])

    def test_have_their_place_in_the_digest(self, scored: Path) -> None:
        read = [labelled.read(scored, "auto", Weighting(preset=p)) for p in ("none", "max-bin")]
        assert read[0].digest != read[1].digest
        assert read[0].digest == labelled.read(scored, "auto", Weighting(preset="none")).digest

    def test_scale_the_first_loss(self, config: dict[str, Any], scored: Path) -> None:
        run = train(
            config,
            db=str(scored),
            weights="max-bin",
            weight_normalise="none",
            batch=3,
            steps=1,
            held_out=0,
        )
        assert lines(run)[0]["loss"] == pytest.approx(
            2 * math.log(2)
        )  # mean weight (1 + 1 + 4) / 3
        assert lines(run)[0]["ess"] == pytest.approx(2)


class TestClips:
    def test_of_another_size_are_refused_by_name(
        self, config: dict[str, Any], tmp_path: Path
    ) -> None:
        db = world.build(tmp_path / "wide", [world.prompt(0)], size=(40, 24))
        with pytest.raises(UserError, match=r"mkv has 9 frames of 40x24 .* 9 frames of 16x16"):
            train(config, db=str(db), held_out=0)
        assert not Path(config["out"]).exists()  # refused before a run was begun

    def test_or_resized_and_said_so(
        self, config: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        db = world.build(tmp_path / "wide", [world.prompt(0)], size=(40, 24))
        train(config, db=str(db), held_out=0, fit="resize", steps=1)
        assert "2 of 2 clips are cropped to the centre" in capsys.readouterr().out

    def test_that_are_gone_are_named(self, config: dict[str, Any], tmp_path: Path) -> None:
        db = world.build(tmp_path / "gone", [world.prompt(0)])
        (tmp_path / "gone" / "1.mkv").unlink()
        with pytest.raises(UserError, match=r"1\.mkv"):
            train(config, db=str(db), held_out=0)

    def test_whose_error_is_not_finite_stop_the_run_by_the_pair(
        self, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from train.preference import evaluate, objective

        errors = evaluate.pair_errors

        def poisoned(model: Any, batch: Any, **options: Any) -> Any:
            found = errors(model, batch, **options)
            found.chosen[0] = float("nan")
            return found

        monkeypatch.setattr(objective, "pair_errors", poisoned)
        with pytest.raises(UserError, match=r"error is not finite at pair [0-9a-f]{32}\."):
            train(config)

    def test_twelve_real_ones(
        self,
        config: dict[str, Any],
        real_clips: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Six pairs of GIF clips at 512x320: the smallest real job there is."""
        db, made = tmp_path / "prefs.duckdb", world.real(real_clips)
        with Store.open(db, create=True) as store:
            store.add([Prompt(text=text) for text in made])
            store.add(one for both in made.values() for one in both)
            store.add(
                Pair.of(a.sha256, b.sha256, prompt=a.prompt, best=b.sha256, profile="lite")
                for a, b in made.values()
            )
        train(config, db=str(db), fit="resize", held_out=0, steps=1)
        said = capsys.readouterr().out
        assert "6 pairs with auto labels" in said
        assert "12 of 12 clips are cropped" in said


class TestNothingToTrainOn:
    def test_no_votes(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        db = world.build(tmp_path, [world.prompt(0)])
        assert dpo.main(["--db", str(db), "--labels", "human"]) == 2
        assert f"python app.py --db {db}" in capsys.readouterr().err

    def test_all_ties(self, tmp_path: Path) -> None:
        db = world.build(tmp_path, [world.prompt(0)])
        world.vote(db, "tie")
        with pytest.raises(UserError, match="are ties"):
            labelled.read(db, "human", Weighting())

    def test_no_pairs(self, tmp_path: Path) -> None:
        db = tmp_path / "prefs.duckdb"
        with Store.open(db, create=True) as store:
            store.add([world.prompt(0)])
        with pytest.raises(UserError, match=r"no pairs yet.*data\.pair"):
            labelled.read(db, "auto", Weighting())

    def test_no_database(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"train\.sample"):
            labelled.read(tmp_path / "none.duckdb", "auto", Weighting())

    def test_not_a_database(self, tmp_path: Path) -> None:
        path = tmp_path / "prefs.duckdb"
        path.write_text("not a database" * 1000)
        with pytest.raises(UserError, match=r"prefs\.duckdb"):
            labelled.read(path, "auto", Weighting())


class TestOptions:
    @pytest.mark.parametrize(
        ("given", "says"),
        [
            (["--steps", "0"], "--steps is 0"),
            (["--lr", "nan"], "--lr is nan"),
            (["--held-out", "1"], "--held-out is 1"),
            (["--labels", "posteriori"], "choose one of"),
            (["--weights", "papper"], "choose one of"),
            (["--profile", "light"], "must be one of"),
            (["--loss", "ippo"], "choose one of"),
            (["--resume", "runs/none"], "No run at"),
            (["--resume", "runs/none", "--lr", "1"], "leave out --lr"),
        ],
    )
    def test_mistakes(
        self, source_db: Path, given: list[str], says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        db = [] if "--resume" in given else ["--db", str(source_db)]
        assert dpo.main([*db, *given]) == 2
        assert says in capsys.readouterr().err

    def test_every_one_is_explained(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            dpo.main(["--help"])
        said = capsys.readouterr().out
        for name in dpo.Config.__dataclass_fields__:
            assert f"--{name.replace('_', '-')} " in said

    def test_survive_the_way_through_the_run_folder(self, tmp_path: Path) -> None:
        before = dpo.Config(db=str(tmp_path / "prefs.duckdb"), alpha=3.0, weight_clip=2.5)
        folder = runs.begin(before.db, "dpo", before, out=tmp_path / "runs")
        again = runs.reopen(folder.folder, "dpo", {"steps": 7})
        assert dpo.Config(**again.record.config) == dpo.Config(
            db=before.db, alpha=3.0, weight_clip=2.5, steps=7
        )
        shutil.rmtree(folder.folder)
