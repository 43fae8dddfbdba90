"""Every mistake and mishap that issue F names: one clear line, exit code 2, and nothing lost."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from data import export
from tests.train import world
from train import dpo
from train.policy import WEIGHTS
from train.preference import evaluate, labelled, loop
from train.preference.labelled import Weighting
from train.run import runs


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.build(tmp_path_factory.mktemp("bad"), [world.prompt(i) for i in range(3)])


@pytest.fixture
def arguments(db: Path, tiny_folder: Path, tmp_path: Path) -> list[str]:
    return _arguments(db, tiny_folder, tmp_path / "runs")


def _arguments(db: Path, model: Path, out: Path) -> list[str]:
    return [
        "--db", str(db), "--model", str(model), "--out", str(out), "--labels", "auto",
        "--steps", "4", "--batch", "2", "--rank", "2", "--save-every", "2", "--grid", "0",
        "--held-out", "0", "--device", "cpu",
    ]  # fmt: skip


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert dpo.main(arguments) == 2
    said = capsys.readouterr().err.strip().splitlines()
    line = said[-1]
    assert "Traceback" not in line
    return line


class TestClips:
    def test_one_that_is_no_video(
        self, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        db = world.build(tmp_path / "torn", [world.prompt(0)])
        (tmp_path / "torn" / "1.mkv").write_bytes(b"no video at all" * 100)
        line = refused(_arguments(db, tiny_folder, tmp_path), capsys)
        assert "1.mkv" in line

    def test_one_that_is_cut_off(
        self, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        db = world.build(tmp_path / "torn", [world.prompt(0)])
        path = tmp_path / "torn" / "1.mkv"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
        assert "1.mkv" in refused(_arguments(db, tiny_folder, tmp_path), capsys)

    @pytest.mark.parametrize(
        ("option", "value", "rule"),
        [("--frames", "10", "4n + 1 frames"), ("--height", "19", "multiples of")],
    )
    def test_a_size_that_the_model_cannot_take(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str], option: str, value: str,
        rule: str,
    ) -> None:  # fmt: skip
        line = refused([*arguments, option, value], capsys)
        assert rule in line
        assert option in line


class TestDatabase:
    def test_that_is_not_there(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """The same words as every other command's."""
        nowhere = str(tmp_path / "nowhere.duckdb")
        line = refused([*arguments, "--db", nowhere], capsys)
        assert export.main(["--db", nowhere, "--out", str(tmp_path / "out")]) == 2
        assert capsys.readouterr().err.strip() == line
        assert "nowhere.duckdb does not exist" in line
        assert not list(tmp_path.iterdir())


class TestAdapter:
    def test_a_file_of_something_else(
        self, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Found out before there is a run."""
        (tmp_path / "votes.csv").write_text("left,right\n")
        line = refused([*arguments, "--from-adapter", str(tmp_path / "votes.csv")], capsys)
        assert "votes.csv is no LoRA's file" in line
        assert not (tmp_path / "runs").exists()

    def test_a_run_without_one(
        self, arguments: list[str], db: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        begun = runs.begin(db, "dpo", {}, out=tmp_path / "begun").record.id
        line = refused([*arguments, "--from-adapter", f"dpo-{begun}"], capsys)
        assert f"run {begun} has no adapter in" in line
        assert "--resume" in line


class TestVotes:
    def test_none(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        line = refused([*arguments, "--labels", "human"], capsys)
        assert "python app.py" in line

    def test_all_ties(
        self, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        db = world.build(tmp_path / "ties", [world.prompt(i) for i in range(2)])
        world.vote(db, "tie")
        line = refused([*_arguments(db, tiny_folder, tmp_path), "--labels", "human"], capsys)
        assert "2 are ties" in line or "ties" in line

    @pytest.mark.parametrize("labels", ["human", "posterior"])
    def test_one_annotator_is_enough(self, tmp_path: Path, labels: str) -> None:
        """Nobody to agree with: the votes are taken as they are, and there is what to train on."""
        db = world.build(tmp_path / "one", [world.prompt(i) for i in range(3)])
        world.score(db, [0.5, 0.6, 0.4, 0.7, 0.2, 0.8])
        world.vote(db)
        found = labelled.read(db, labels, Weighting())
        assert len(found.preferences) == 3
        assert all(0 <= label.probability <= 1 and label.weight > 0 for label in found.preferences)


class TestModel:
    def test_of_a_class_that_no_family_serves(
        self, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FooPipeline"}))
        line = refused([*arguments, "--model", str(tmp_path)], capsys)
        assert "FooPipeline" in line
        assert "WanPipeline" in line  # what is served

    def test_whose_index_names_no_class(
        self, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "model_index.json").write_text("{}")
        assert "save_pretrained" in refused([*arguments, "--model", str(tmp_path)], capsys)

    def test_that_is_not_there(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "'nowhere'" in refused([*arguments, "--model", "nowhere"], capsys)

    def test_of_a_hub_that_does_not_answer(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """The hub is asked once: nobody waits for it to come back."""
        nobody = "http://127.0.0.1:9/{repo_id}/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", nobody)
        monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it waits to ask again"))
        line = refused([*arguments, "--model", "somebody/nothing"], capsys)
        assert "somebody/nothing" in line
        assert "the network" in line

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            (["--segments", "99"], "at most"),
            (["--as-released", "--segments", "2"], "leave out --segments"),
            (["--auto-beta", "0.7"], "[0.001, 0.5)"),
            (["--anchor", "-1"], "--anchor is -1"),
            (["--draws", "0"], "at least 1"),
            (["--optimizer", "adamw8bit"], "pip install bitsandbytes"),
            (["--offload", "groups"], "--device cpu"),
            (["--plan", "auto", "--memory", "0.0001"], "GiB at the least"),
        ],
    )
    def test_options(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str], given: list[str], says: str
    ) -> None:
        if given[-1] == "adamw8bit":
            try:
                import bitsandbytes  # noqa: F401  # pyright: ignore[reportMissingImports]
            except ImportError:
                pass
            else:
                pytest.skip("bitsandbytes is installed here")
        assert says in refused([*arguments, *given], capsys)


def test_a_value_of_another_type(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, not every option that there is."""
    with pytest.raises(SystemExit, match="2"):
        dpo.main(["--steps", "x"])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("argument --steps: invalid int value: 'x'; python -m train.dpo --help")


@pytest.fixture(scope="module")
def whole(db: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The adapter of a run without a mishap."""
    out = tmp_path_factory.mktemp("whole")
    assert dpo.main(_arguments(db, tiny_folder, out)) == 0
    return next(out.glob(f"*/adapter/{WEIGHTS}")).read_bytes()


class TestMachine:
    """After a mishap the run goes on, and ends with the bytes of one that had none."""

    def resumed(self, out: Path) -> bytes:
        (run,) = out.iterdir()
        assert [path.name for path in (run / "state").iterdir()] == ["latest.pt"]
        assert torch.load(run / "state" / "latest.pt", weights_only=True)["step"] == 2
        assert dpo.main(["--resume", str(run)]) == 0
        return (run / "adapter" / WEIGHTS).read_bytes()

    def test_a_disk_that_is_full_at_a_checkpoint(
        self, arguments: list[str], whole: bytes, tmp_path: Path,
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        write, count = loop._write, iter(range(9))

        def full(state: dict[str, Any], path: Path) -> None:
            """The second state meets a real refusal: files may not grow beyond a few KB."""
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            limit = 4096 if next(count) == 1 else soft
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                write(state, path)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

        monkeypatch.setattr(loop, "_write", full)
        line = refused(arguments, capsys)
        monkeypatch.undo()
        assert "cannot be written (File too large). Make room" in line
        assert f"--resume {tmp_path / 'runs'}" in line
        assert self.resumed(tmp_path / "runs") == whole

    def test_a_device_without_memory(
        self, arguments: list[str], whole: bytes, tmp_path: Path,
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        update, count = loop.update, iter(range(9))

        def exhausted(*given: Any, **named: Any) -> Any:
            if next(count) == 3:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\n...")
            return update(*given, **named)

        monkeypatch.setattr(loop, "update", exhausted)
        line = refused(arguments, capsys)
        monkeypatch.undo()
        assert "no memory left (CUDA out of memory. Tried to allocate 2.00 GiB)" in line
        assert "--plan auto" in line
        assert self.resumed(tmp_path / "runs") == whole

    def test_an_error_that_is_a_bug_keeps_its_traceback(
        self, arguments: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError("a bug")

        monkeypatch.setattr(evaluate, "pair_errors", broken)
        with pytest.raises(RuntimeError, match="a bug"):
            dpo.main(arguments)
