"""Judges of two clips: both orders, one value per clip, and the command on a real database.

The network is a tiny Qwen2-VL with seeded random weights: wiring, not opinions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import torch
from torch import Tensor

import scorers
from data import agree, clips, pair, shapes, video
from data.labels import auto
from data.omniscore import PROFILES
from data.records import Candidate, Pair, Prompt, Vote
from data.store import Store
from scorers import __main__ as command
from scorers import versus as versus_judge
from scorers.nets import qwen2vl
from scorers.pairwise import Judge, both_orders, strengths
from scorers.tournament import Config, run
from scorers.versus import Versus
from tests.scorers import qwen
from tests.scorers.clips import PROMPT, drawn, noise

FPS = [(8.0, 8.0)]
RNG = np.random.default_rng(11)


class Brighter:
    """Prefers the brighter clip by ten times the difference, and whatever comes first by 0.5."""

    name, version, dimensions = "versus", "test", ("preference",)

    def __init__(self, place: float = 0.5) -> None:
        self.place, self.asked = place, 0

    def __call__(
        self, left: Tensor, right: Tensor, prompts: Sequence[str], fps: Sequence[tuple]
    ) -> Tensor:
        self.asked += len(left)
        return (10 * (left.mean((1, 2, 3, 4)) - right.mean((1, 2, 3, 4))) + self.place)[:, None]


@pytest.fixture(scope="module")
def judge() -> Versus:
    return qwen.versus()


def test_by_hand():
    """Asked 10 x 0.2 + 0.5 = 2.5, exchanged -2 + 0.5 = -1.5: opinion 2, place 0.5."""
    left, right = torch.full((1, 2, 3, 16, 16), 0.6), torch.full((1, 3, 3, 16, 20), 0.4)
    verdict = both_orders(Brighter(), left, right, [""], FPS)
    assert float(verdict.opinion) == pytest.approx(2.0, abs=1e-5)
    assert float(verdict.place) == pytest.approx(0.5, abs=1e-5)
    assert float(verdict.swayed) == 0.0
    assert float(both_orders(Brighter(3.0), left, right, [""], FPS).swayed) == 1.0


def test_strengths_by_hand():
    """Least squares of three clips: i beats j by 3, k by 3, j beats k by 0: 2, -1, -1."""
    opinions = torch.tensor([[0.0, 3.0, 3.0], [-3.0, 0.0, 0.0], [-3.0, 0.0, 0.0]])
    assert strengths(opinions).tolist() == pytest.approx([2.0, -1.0, -1.0])
    assert strengths(torch.tensor([[0.0, 1.2], [-1.2, 0.0]])).tolist() == pytest.approx([0.6, -0.6])


def test_strengths_solve_the_least_squares():
    draw = torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    opinions = draw - draw.T
    rows, columns = torch.triu_indices(5, 5, 1)
    design = torch.zeros(len(rows), 5, dtype=torch.float64)
    design[range(len(rows)), rows], design[range(len(rows)), columns] = 1.0, -1.0
    solved = torch.linalg.pinv(design) @ opinions[rows, columns]
    assert torch.allclose(strengths(opinions), solved)


class TestVersus:
    def test_is_a_judge(self, judge: Versus):
        assert isinstance(judge, Judge)
        assert judge.name in scorers.JUDGES
        assert judge.name not in scorers.names()
        card = scorers.card(judge.name)
        assert tuple(card.ranges) == judge.dimensions
        row = PROFILES[judge.name].dimensions[0]
        assert (row.scorer, row.key) == (judge.name, *judge.dimensions)

    def test_exchanging_the_clips_flips_the_opinion_exactly(self, judge: Versus):
        one, other = drawn(frames=8), drawn(frames=5, size=61, colour="blue")[..., :47]
        there = both_orders(judge, one, other, [PROMPT], [(8.0, 12.0)])
        back = both_orders(judge, other, one, [PROMPT], [(12.0, 8.0)])
        assert torch.equal(there.opinion, -back.opinion)
        assert torch.equal(there.place, back.place)
        assert float(there.opinion.abs()) > 1e-2
        assert float(there.place.abs()) > 1e-2, "one order alone would mislead"

    def test_a_clip_against_itself_is_even(self, judge: Versus):
        assert float(both_orders(judge, drawn(), drawn(), [PROMPT], FPS).opinion) == 0.0

    def test_each_pair_as_if_it_were_alone(self, judge: Versus):
        left, right = torch.cat([drawn(), noise(1, 9, 3, 48, 48)]), drawn(colour="blue")
        rights, texts = torch.cat([right] * 2), [PROMPT, "noise"]
        together = judge(left, rights, texts, [(8.0, 8.0), (8.0, 30.0)])
        alone = [
            judge(left[:1], right, texts[:1], FPS), judge(left[1:], right, texts[1:], [(8.0, 30.0)])
        ]  # fmt: skip
        assert torch.equal(together, torch.cat(alone))

    def test_the_prompt_and_the_clips_matter(self, judge: Versus):
        one = judge(drawn(), drawn(colour="blue"), [PROMPT], FPS)
        assert float((one - judge(drawn(), drawn(colour="blue"), ["a zebra"], FPS)).abs()) > 1e-3
        assert float((one - judge(drawn(), drawn(colour="green"), [PROMPT], FPS)).abs()) > 1e-3

    def test_bfloat16_says_nearly_the_same_in_float32(self, judge: Versus):
        half = qwen.versus(torch.bfloat16)
        found, exact = (one(drawn(), drawn(colour="blue"), [PROMPT], FPS) for one in (half, judge))
        assert found.dtype == torch.float32
        assert (half.version, judge.version) == ("1-tiny-bfloat16", "1-tiny")
        assert float((found - exact).abs()) < 0.1 * float(exact.abs())

    def test_it_is_the_letters_that_the_library_would_answer_with(self, judge: Versus):
        """Places in time, height and width come from the library, as in its own generation."""
        words = versus_judge.QUESTION.format(video=qwen2vl.VIDEO, prompt=PROMPT)
        read = judge._reader(qwen2vl.chat(words), [drawn()[0], drawn(colour="blue")[0]], [8.0, 8.0])
        made = judge._network.generate(
            input_ids=read.ids, attention_mask=torch.ones_like(read.ids),
            mm_token_type_ids=read.kinds, pixel_values_videos=read.patches,
            video_grid_thw=read.grid, max_new_tokens=1, do_sample=False, output_logits=True,
            return_dict_in_generate=True,
        )  # fmt: skip
        a, b = (int(qwen.tokens().token_to_id(letter)) for letter in "AB")
        expected = made.logits[0][0, a] - made.logits[0][0, b]
        found = judge(drawn(), drawn(colour="blue"), [PROMPT], FPS)
        assert float(found) == pytest.approx(float(expected), abs=1e-4)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Two prompts with three clips and two, and one with a single clip."""
    db = tmp_path / "prefs.duckdb"
    records = []
    for text, count in (("a red circle", 3), ("a blue square", 2), ("a lone star", 1)):
        records += [Prompt(text=text), *(clip(tmp_path, text, str(at)) for at in range(count))]
    with Store.open(db) as store:
        store.add(records)
    return db


def clip(folder: Path, text: str, name: str) -> Candidate:
    """Four drawn frames of 32 px, without the copy for browsers."""
    path = folder / f"{text} {name}.mkv"
    video.write(path, shapes.render(shapes.random_scene(RNG), 4, 32), 8, lossless=True)
    return Candidate(
        sha256=clips.fingerprint(path), prompt=Prompt(text=text).id, path=str(path),
        model="shapes", fps=8.0, frames=4, width=32, height=32,
    )  # fmt: skip


def stored(db: Path, kind: str) -> list:
    with Store.open(db) as store:
        return store.all(kind)


@pytest.fixture
def brighter(monkeypatch: pytest.MonkeyPatch) -> Brighter:
    judge = Brighter()
    monkeypatch.setattr(scorers, "load", lambda name, **options: judge)
    return judge


class TestTournament:
    def test_differences_are_the_opinions(self, db: Path, brighter: Brighter):
        report = run(Config(db=db))
        assert (report.prompts, report.stored, report.cached) == (2, 5, 0)
        assert brighter.asked == 3 * 2 + 2 * 1, "each two clips, in both orders"
        assert report.bias["place_log_odds"] == pytest.approx(0.5, abs=1e-5)
        with Store.open(db) as store:
            scores, known, (done,) = (store.all(kind) for kind in ("scores", "candidates", "runs"))
            assert store.all("votes") == [], "a judge is not a person"
        value = {score.candidate: score.value for score in scores}
        light = {one.id: video.read(one.path)[0].mean() / 255 for one in known}
        for mine in [one for one in known if one.id in value]:
            mean = np.mean([light[one.id] for one in known if one.prompt == mine.prompt])
            assert value[mine.id] == pytest.approx(10 * (light[mine.id] - mean), abs=1e-4)
        assert done.metrics["place_log_odds"] == pytest.approx(0.5, abs=1e-5)

    def test_only_prompts_with_a_new_clip_are_judged_again(self, db: Path, brighter: Brighter):
        run(Config(db=db))
        assert run(Config(db=db)).cached == 2
        asked = brighter.asked
        third = clip(db.parent, "a blue square", "third")
        with Store.open(db) as store:
            store.add([third])
        report = run(Config(db=db))
        assert (report.prompts, report.cached) == (1, 1)
        assert brighter.asked == asked + 6, "the whole prompt anew: three clips"
        with Store.open(db) as store:
            own = {one.id for one in store.all("candidates") if one.prompt == third.prompt}
            values = [score.value for score in store.all("scores") if score.candidate in own]
        assert len(values) == 3
        assert sum(values) == pytest.approx(0, abs=1e-5), "all three are of one tournament"

    def test_a_clip_that_is_gone_is_named_and_the_others_judged(
        self, db: Path, brighter: Brighter, capsys: pytest.CaptureFixture[str]
    ):
        gone = next(one for one in stored(db, "candidates") if "circle" in one.path)
        Path(gone.path).unlink()
        assert command.main(["--db", str(db), "--judge", "versus"]) == 1
        said = capsys.readouterr()
        assert f"not judged: {gone.path}" in said.err
        assert len(stored(db, "scores")) == 4
        assert "shown first is preferred with a chance of 62%" in said.out  # 1 / (1 + e^-0.5)


def test_from_the_command_to_pairs_labels_and_agreement(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """`--judge`, `data.pair --profile versus`, labels `auto`, `data.agree --profile versus`."""
    folder = qwen.save_chat(tmp_path / "weights" / "qwen2-vl-2b")
    monkeypatch.setattr(versus_judge, "SIGHT", qwen.SMALL)
    call = ["--db", str(db), "--judge", "versus", "--weights", str(folder.parent),
            "--dtype", "bfloat16"]  # fmt: skip
    assert command.main(call) == 0
    assert "5 new values" in capsys.readouterr().out
    report, profile = pair.run(pair.Config(db=str(db), profile="versus")), PROFILES["versus"]
    with Store.open(db) as store:
        scores = store.all("scores")
        assert {score.version for score in scores} == {"1-qwen2-vl-2b-bfloat16"}
        value = {score.candidate: score.value for score in scores}
        for two in report.pairs:
            assert two.best == max((two.a, two.b), key=lambda one: value[one])
            assert two.margin == pytest.approx(abs(value[two.a] - value[two.b]) / 6), "-3 to 3"
        labels = auto(report.pairs, scores, [], profile=profile)
        assert [label.chosen for label in labels] == [two.best for two in report.pairs]
        others = [
            Pair.of(two.a, two.b, prompt=two.prompt, best=two.worst, margin=0.1, profile="lite",
                    strategy="all", campaign="other")
            for two in report.pairs
        ]  # fmt: skip
        store.add([*others, *(as_the_judge(two, value) for two in others)])
        stored, anew = (agree.build(store, campaign="other", by=by) for by in (None, "versus"))
    assert (stored.profile, anew.profile) == ("lite", "versus")
    assert (stored.tallies.blind.confirmations, stored.tallies.blind.overrides) == (0, 2)
    assert (anew.tallies.blind.confirmations, anew.tallies.blind.overrides) == (2, 0)


def as_the_judge(two: Pair, value: dict[str, float]) -> Vote:
    """A person who prefers what the judge prefers."""
    return Vote(
        id=str(uuid4()), pair=two.id, annotator="ann", left=two.a, right=two.b, exposure="blind",
        outcome="preference", preferred=max((two.a, two.b), key=lambda one: value[one]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--judge", "lite"], "must be one of versus.*named by --profile"),
        (["--profile", "versus"], "comparing clips.*use --judge versus"),
        (["--judge", "versus", "--judge-model", "nowhere"], "there is no config.json"),
        (["--judge", "versus"], r"no weights qwen2-vl-2b.*--fetch qwen2-vl-2b"),
    ],
)
def test_what_a_user_can_mend(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    monkeypatch.setenv("SECOND_LOOK_WEIGHTS", str(tmp_path))
    assert command.main(["--db", str(tmp_path / "x.duckdb"), *options]) == 2
    assert re.search(said, capsys.readouterr().err)
