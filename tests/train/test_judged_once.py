"""What several scorers read of one batch is made once: in a reward with gradients, and in arms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import scorers
from data import shapes
from data.profile import Dimension, Profile
from scorers import aesthetic, clipscore, laion, shared
from scorers.judging import batched, measured
from scorers.protocol import Scorer
from tests.scorers import tiny
from train.comparison import arms
from train.reward import rewards
from train.reward.omni_reward import OmniReward

TEXTS = ["a red circle", "a blue square"]
TABLE = Profile(name="two", title="aesthetic and alignment of one tower", dimensions=(
    Dimension(key="aesthetic", label="a", scorer="aesthetic", low=-1.0, high=3.0, source="test"),
    Dimension(key="alignment", label="b", group="semantic", scorer="clipscore", source="test"),
))  # fmt: skip


@pytest.fixture(scope="module")
def family() -> tuple[dict[str, Scorer], list[int]]:
    """Three readers of one tiny random tower, two of them in one dialect; and its passes."""
    tower, passes = tiny.tower(), list[int]()
    tower.register_forward_pre_hook(lambda *_: passes.append(1))
    words = clipscore.scorer(tower, tiny.text_tower(), tiny.words(), "official")
    readers = {"aesthetic": aesthetic.scorer(tower, tiny.head()), "clipscore": words,
               "laion": laion.scorer(tower, tiny.head(0.1))}  # fmt: skip
    return readers, passes


@pytest.fixture
def readers(
    family: tuple[dict[str, Scorer], list[int]], monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Scorer], list[int]]:
    found, passes = family
    passes.clear()
    monkeypatch.setattr(scorers, "load_reward", lambda name, **_: found[name])
    return found, passes


def clips() -> list[np.ndarray]:
    draw = np.random.default_rng(3)
    return [shapes.render(shapes.random_scene(draw), 3, 48) for _ in TEXTS]


def graded(reward: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Rewards of two clips, and the gradient of their sum."""
    frames = batched(clips(), "cpu").requires_grad_()
    values = reward(frames)
    (grad,) = torch.autograd.grad(values.sum(), frames)
    return values.detach(), grad


def alone(found: dict[str, Scorer]) -> Callable[[Tensor], Tensor]:
    """By hand: 4/5 (aesthetic + 1) / 4 + 1/5 alignment, each scorer by itself."""

    def reward(frames: Tensor) -> Tensor:
        one, other = (
            found[name](frames, TEXTS, [8.0] * 2)[:, 0] for name in ("aesthetic", "clipscore")
        )
        return 0.8 * (one + 1) / 4 + 0.2 * other

    return reward


def test_a_reward_reads_a_tower_once(readers: tuple[dict[str, Scorer], list[int]]):
    """6 frames with gradients are 2 groups; each goes forth, and again on the way back."""
    found, passes = readers
    values, grad = graded(alone(found))
    assert len(passes) == 2 * (2 + 2)
    passes.clear()
    omni = OmniReward(TABLE, device="cpu")
    once, same = graded(lambda frames: omni(frames, TEXTS, [8.0] * 2)[:, 0])
    assert len(passes) == 2 + 2
    torch.testing.assert_close(once, values)
    torch.testing.assert_close(same, grad)
    assert float(grad.abs().max()) > 0


def test_a_mixture_reads_a_tower_once(readers: tuple[dict[str, Scorer], list[int]]):
    """The same by weights: 4/5 (aesthetic + 1) / 4 + 1/5 alignment, but for the constant 1/5."""
    found, passes = readers
    values, grad = graded(alone(found))
    passes.clear()
    mixture = rewards.Mixture({"aesthetic": 0.2, "clipscore": 0.2}, device="cpu")
    once, same = graded(lambda frames: mixture(frames, TEXTS, 8.0))
    assert len(passes) == 2 + 2
    torch.testing.assert_close(once + 0.2, values)
    torch.testing.assert_close(same, grad)


def test_a_reward_that_is_made_again_gives_the_same(readers: tuple[dict[str, Scorer], list[int]]):
    """Checkpointed as a whole: what was shared the first time is shared the second time."""
    values, grad = graded(alone(readers[0]))
    mixture = rewards.Mixture({"omniscore": 1.0}, device="cpu", omniscore=TABLE, checkpointed=True)
    again, same = graded(lambda frames: mixture(frames, TEXTS, 8.0))
    torch.testing.assert_close(again, values)
    torch.testing.assert_close(same, grad)


def test_arms_are_judged_in_one_pass(readers: tuple[dict[str, Scorer], list[int]]):
    """Two dialects are two passes, whoever else reads them; the numbers are those of each alone."""
    found, passes = readers
    panel = arms._Judge(
        TABLE, {name: found[name] for name in ("aesthetic", "clipscore")}, 8.0,
        torch.device("cpu"), oracle=False, further=found["laion"],
    )  # fmt: skip
    rows = [scores for _, scores in panel.all(iter(clips()), TEXTS, 2)]
    assert len(passes) == 2
    frames = batched(clips(), "cpu")
    for name, key, place in (
        ("aesthetic", "aesthetic", lambda raw: (raw + 1) / 4),
        ("clipscore", "alignment", lambda raw: raw),
        ("laion", f"{arms.JUDGE}laion, aesthetic_quality", lambda raw: raw),
    ):
        expected = [place(raw) for (raw,) in measured(found[name], frames, TEXTS, [8.0] * 2)]
        assert [row[key] for row in rows] == pytest.approx(expected, abs=1e-6)


def test_what_was_made_without_gradients_is_not_given_to_those_who_want_them():
    frames = torch.ones(1, requires_grad=True)
    with shared.sharing():
        with torch.no_grad():
            assert not shared.once(frames, "twice", lambda: 2 * frames).requires_grad
        assert shared.once(frames, "twice", lambda: 2 * frames).requires_grad
