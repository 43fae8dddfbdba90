from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from data.errors import UserError
from train import bank, models
from train.models import VideoModel
from train.policy import WEIGHTS, Policy, attach, compare_with_fresh, continue_from

PROMPT = "a red circle moving left"


def predict(model: VideoModel) -> Tensor:
    x = bank.noise("test", "policy", 0, (2, *model.latent_shape(model.sample_defaults)))
    t = model.timesteps(torch.tensor([0.2, 0.7]))
    return model.predict(x, t, model.embed([PROMPT, "a blue square"]))


def shaken(policy: Policy, seed: int = 0) -> Policy:
    """As if trained: the adapter's weights moved."""
    with torch.no_grad():
        for i, weight in enumerate(policy.parameters):
            weight += 0.3 * bank.noise(seed, "shake", i, tuple(weight.shape))
    return policy


def fresh(tiny_folder: Path) -> VideoModel:
    return models.load(str(tiny_folder))


def test_a_new_policy_is_the_bare_model_to_the_last_bit(tiny_model: VideoModel) -> None:
    bare = predict(tiny_model)
    policy = attach(tiny_model, rank=4, alpha=4, seed=0)
    with torch.no_grad():
        assert torch.equal(predict(tiny_model), bare)
    with policy.reference():
        assert torch.equal(predict(tiny_model), bare)


def test_the_reference_stays_while_the_policy_moves(tiny_model: VideoModel) -> None:
    bare = predict(tiny_model)
    policy = shaken(attach(tiny_model, rank=4, alpha=4, seed=0))
    with policy.reference():
        reference = predict(tiny_model)
    assert torch.equal(reference, bare)
    assert not reference.requires_grad
    moved = predict(tiny_model)
    assert moved.requires_grad
    assert (moved - bare).abs().max() > 1e-3


def test_the_policy_comes_back_after_an_error_in_the_reference(tiny_model: VideoModel) -> None:
    policy = shaken(attach(tiny_model, rank=4, alpha=4, seed=0))
    moved = predict(tiny_model)

    def failing() -> None:
        with policy.reference():
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert torch.equal(predict(tiny_model), moved)
    assert all(weight.requires_grad for weight in policy.parameters)


def test_only_the_adapter_is_trained(tiny_model: VideoModel) -> None:
    policy = attach(tiny_model, rank=4, alpha=4, seed=0)
    trainable = [weight for weight in tiny_model.network.parameters() if weight.requires_grad]
    assert {id(w) for w in trainable} == {id(w) for w in policy.parameters}
    # 2 blocks, each two attentions of four 24 x 24 projections, each with A (4 x 24) and B (24 x 4)
    assert sum(weight.numel() for weight in trainable) == 2 * 2 * 4 * (4 * 24 + 24 * 4)
    predict(tiny_model).sum().backward()
    assert all(w.grad is not None for w in policy.parameters)


def test_the_start_is_a_function_of_the_seed_alone(tiny_folder: Path) -> None:
    first = fresh(tiny_folder)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = attach(first, rank=4, alpha=4, seed=1).state()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    same = attach(fresh(tiny_folder), rank=4, alpha=4, seed=1).state()
    other = attach(fresh(tiny_folder), rank=4, alpha=4, seed=2).state()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_low_precision_model_trains_a_float32_adapter(tiny_folder: Path) -> None:
    model = models.load(str(tiny_folder), dtype=torch.bfloat16)
    policy = attach(model, rank=4, alpha=4, seed=0)
    assert {weight.dtype for weight in policy.parameters} == {torch.float32}
    predict(model).sum().backward()


class TestSaved:
    # alpha is not the rank: a file that loses alpha reloads at another scale
    RANK, ALPHA = 4, 10.0

    def test_loads_with_diffusers_own_loader(
        self, tiny_model: VideoModel, tiny_folder: Path, tmp_path: Path
    ) -> None:
        policy = shaken(attach(tiny_model, rank=self.RANK, alpha=self.ALPHA, seed=0))
        policy.save(tmp_path)
        elsewhere = fresh(tiny_folder)
        pipe: DiffusionPipeline = elsewhere.pipeline
        pipe.load_lora_weights(str(tmp_path))  # what the README tells people to do
        assert (predict(elsewhere) - predict(tiny_model)).abs().max() <= 1e-5

    def test_compare_with_fresh_measures_what_was_loaded(
        self, tiny_model: VideoModel, tmp_path: Path
    ) -> None:
        policy = shaken(attach(tiny_model, rank=self.RANK, alpha=self.ALPHA, seed=0))
        policy.save(tmp_path)
        found = compare_with_fresh(policy, tmp_path, PROMPT)
        assert found.difference <= 1e-5
        assert found.drift > 1e-2
        shaken(policy, seed=1)  # the policy moves on: the file is no longer it
        assert compare_with_fresh(policy, tmp_path, PROMPT).difference > 1e-2

    def test_the_same_weights_are_the_same_bytes(
        self, tiny_model: VideoModel, tmp_path: Path
    ) -> None:
        policy = shaken(attach(tiny_model, rank=self.RANK, alpha=self.ALPHA, seed=0))
        one, other = policy.save(tmp_path / "one"), policy.save(tmp_path / "other")
        assert one.read_bytes() == other.read_bytes()
        assert one.name == WEIGHTS

    def test_state_comes_back(self, tiny_model: VideoModel, tiny_folder: Path) -> None:
        policy = shaken(attach(tiny_model, rank=self.RANK, alpha=self.ALPHA, seed=0))
        second = fresh(tiny_folder)
        attach(second, rank=self.RANK, alpha=self.ALPHA, seed=9).load_state(policy.state())
        assert torch.equal(predict(second), predict(tiny_model))


class TestContinued:
    @pytest.fixture
    def earlier(self, tiny_folder: Path, tmp_path: Path) -> Path:
        policy = shaken(attach(fresh(tiny_folder), rank=2, alpha=6, seed=0))
        return policy.save(tmp_path / "earlier")

    @pytest.mark.parametrize("named", ["file", "folder"])
    def test_the_reference_is_the_earlier_adapter(
        self, tiny_model: VideoModel, tiny_folder: Path, earlier: Path, named: str
    ) -> None:
        bare = predict(tiny_model)
        policy = continue_from(tiny_model, earlier if named == "file" else earlier.parent)
        start = predict(tiny_model).detach()
        assert (start - bare).abs().max() > 1e-3
        shaken(policy, seed=3)
        with policy.reference():
            assert torch.equal(predict(tiny_model), start)
        assert (predict(tiny_model) - start).abs().max() > 1e-3

    def test_only_the_new_copy_is_trained_and_saved(
        self, tiny_model: VideoModel, earlier: Path, tmp_path: Path
    ) -> None:
        before = load_file(earlier)
        policy = shaken(continue_from(tiny_model, earlier), seed=3)
        with policy.reference():
            pass  # switching back and forth must not make the reference trainable
        trainable = {id(w) for w in tiny_model.network.parameters() if w.requires_grad}
        assert trainable == {id(w) for w in policy.parameters}
        saved = load_file(policy.save(tmp_path / "later"))
        assert saved.keys() == before.keys()
        assert not any(torch.equal(saved[name], before[name]) for name in saved)
        assert compare_with_fresh(policy, tmp_path / "later", PROMPT).difference <= 1e-5

    def test_what_is_no_adapter_is_refused(self, tiny_model: VideoModel, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="No adapter at"):
            continue_from(tiny_model, tmp_path)

    def test_a_broken_file_is_refused(self, tiny_model: VideoModel, tmp_path: Path) -> None:
        (tmp_path / WEIGHTS).write_bytes(b"not an adapter at all")
        with pytest.raises(UserError, match="does not fit"):
            continue_from(tiny_model, tmp_path)

    def test_an_adapter_without_effect_is_refused(
        self, tiny_model: VideoModel, tmp_path: Path
    ) -> None:
        """Diffusers loads another family's adapter with a warning, and nothing changes."""
        weights = {"unet.mid.to_q.lora_A.weight": torch.ones(2, 24)}
        save_file(weights, tmp_path / WEIGHTS)
        with pytest.raises(UserError, match="none of its weights is of the transformer"):
            continue_from(tiny_model, tmp_path)

    @pytest.mark.parametrize("wrong", ["shape", "missing"])
    def test_one_of_another_model_is_refused_in_a_line(
        self, tiny_model: VideoModel, tiny_folder: Path, tmp_path: Path, wrong: str,
        capfd: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        file = attach(tiny_model, rank=2, alpha=2, seed=0).save(tmp_path)
        weights = load_file(file)
        if wrong == "shape":
            weights = {key: torch.zeros(*(n + 1 for n in x.shape)) for key, x in weights.items()}
        else:
            del weights[min(weights)]
        save_file(weights, file)
        capfd.readouterr()
        with pytest.raises(UserError, match="does not fit") as refused:
            continue_from(models.load(str(tiny_folder)), tmp_path)
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 600
        assert "size mismatch" not in capfd.readouterr().err
