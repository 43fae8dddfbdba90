"""Does the watch see a hacked reward, say why, and leave an honest one alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.errors import UserError
from data.records import Prompt
from data.store import Store
from train import models, policy, vader
from train.reward.reward_run import train_prompts
from train.reward.rewards import Mixture
from train.reward.watch import USUAL, Look, Watch, broken, rules, scaled, verdict
from train.sampling.appearance import measured

BASE = Look(
    reward=0.5, held_out=0.6, held_out_deviation=0.1, saturated=0.01, chroma=0.2, fine=0.02,
    motion=0.05,
)  # fmt: skip


def look(**changes: float) -> Look:
    return replace(BASE, **changes)


def test_statistics_by_hand():
    """Two frames of 3 x 3 pixels: grey with one red pixel in the middle, then black."""
    frames = torch.full((1, 2, 3, 3, 3), 0.5)
    frames[0, 0, :, 1, 1] = torch.tensor([1.0, 0.5, 0.5])
    frames[0, 1] = 0
    found = {name: value.item() for name, value in measured(frames).items()}
    assert found["saturated"] == pytest.approx((1 + 27) / 54)  # one red value, all black ones
    assert found["chroma"] == pytest.approx(0.5 / 18)
    luma = 0.299 * 0.5  # the red pixel's above its neighbours, a ninth of it in their mean
    assert found["fine"] == pytest.approx(luma * 8 / 9 / 2, rel=1e-4)
    assert found["motion"] == pytest.approx((27 * 0.5 + 0.5) / 27)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"reward": 0.9, "held_out": 0.54}, "held-out"),  # more than half a deviation
        ({"saturated": 0.12}, "saturated"),
        ({"chroma": 0.31}, "chroma"),
        ({"fine": 0.06}, "fine"),
        ({"motion": 0.01}, "motion"),
    ],
)
def test_each_rule_sees_its_own(changed: dict[str, float], rule: str):
    assert list(broken(BASE, look(**changed), USUAL)) == [rule]
    assert broken(BASE, look(**changed), {}) == {}


def test_what_is_no_offence():
    assert broken(BASE, BASE, USUAL) == {}
    assert broken(BASE, look(reward=0.9, held_out=0.56), USUAL) == {}  # within the deviation
    assert broken(BASE, look(reward=0.4, held_out=0.3), USUAL) == {}  # not hacked, only worse
    assert broken(BASE, look(held_out=math.nan, reward=0.9), USUAL) == {}
    assert list(broken(BASE, BASE, {"drift": 0.1}, drift=0.2)) == ["drift"]


def test_a_reason_must_last():
    one, other = {"fine": "a"}, {"fine": "b", "chroma": "c"}
    assert verdict([one], 2) == ""
    assert verdict([one, {}], 2) == ""
    assert verdict([other, one], 2) == "a"
    assert verdict([one, other], 2) == "b"
    assert verdict([{}, other], 1) == "b; c"


def test_rules_by_name():
    assert rules("auto") == USUAL
    assert rules("none") == {}
    assert rules("fine:2, drift:0.5") == {"fine": 2.0, "drift": 0.5}
    for text in ("fine", "beauty:1", "fine:-1", "fine:0", ""):
        with pytest.raises(UserError, match="--stop"):
            rules(text)


def test_the_scale_of_the_adapter(tiny_model: models.VideoModel):
    """0 is the bare model, 1 the policy, 2 twice the update of each layer."""
    latents = torch.randn(1, *tiny_model.latent_shape(tiny_model.sample_defaults))
    t, told = torch.tensor([0.5]), tiny_model.embed(["a red circle"])
    with torch.no_grad():
        bare = tiny_model.predict(latents, t, told)
        trained = policy.attach(tiny_model, rank=2, alpha=2, seed=0)
        for weight in trained.parameters:
            weight += 0.1
        whole = tiny_model.predict(latents, t, told)
        with scaled(trained, 0.0):
            assert torch.equal(tiny_model.predict(latents, t, told), bare)
        with scaled(trained, 1.0):
            assert torch.equal(tiny_model.predict(latents, t, told), whole)
        assert not torch.equal(whole, bare)
        assert torch.equal(tiny_model.predict(latents, t, told), whole)


@pytest.fixture
def config(tmp_path: Path) -> vader.Config:
    """The built-in model at few steps, watched with its own encoder."""
    db = str(tmp_path / "prefs.duckdb")
    texts = [
        f"a {colour} {shape} moving {way}"
        for colour, shape, way in zip(
            ("red", "blue", "green", "yellow"),
            ("circle", "square", "triangle", "circle"),
            ("left", "up", "right", "down"),
            strict=True,
        )
    ]
    with Store.open(db) as store:
        store.add(Prompt(text=text) for text in texts)
    return vader.Config(
        db=db, reward="colour", watch="shapes", steps=12, batch=2, sampler_steps=6, lr=3e-3,
        watch_every=2, watch_clips=4, grid=0, out=str(tmp_path / "runs"), device="cpu",
    )  # fmt: skip


def lines(run: Any) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in (Path(run.folder) / "metrics.jsonl").read_text().splitlines()
    ]


def test_the_naive_colour_reward_is_caught(config: vader.Config):
    """Colourfulness is known to be hacked within 30 steps: the watch must end the run, with why.

    The adapter is then that of the last look that broke no rule.
    """
    run = vader.run(config)
    logged = lines(run)
    (stop,) = [line for line in logged if line["split"] == "stop"]
    assert stop["step"] == run.metrics["stopped"] < config.steps
    assert "the held-out reward fell" in stop["reason"]
    looks = [line for line in logged if line["split"] == "watch"]
    (base,) = [line for line in logged if line["split"] == "base"]
    assert looks[-1]["reward"] > 1.2 * base["reward"]
    sound = [one for one in looks if not one["broken"]]
    given = policy.continue_from(models.load("shapes"), Path(run.folder) / "adapter")
    watch = Watch(
        policy=given, reward=Mixture({"colour": 1.0}, device="cpu"), held_out=None,
        prompts=train_prompts(config.db), settings=replace(given.model.sample_defaults, steps=6),
        seed=config.seed, batch=2,
    )  # fmt: skip
    kept = watch.look()
    assert kept.reward == pytest.approx(sound[-1]["reward"], rel=1e-4)
    assert kept.chroma == pytest.approx(sound[-1]["chroma"], rel=1e-4)
