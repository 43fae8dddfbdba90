"""What a step will take, and ways to take less: the tiny model with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from data.errors import UserError
from data.records import Preference
from train import bank, models, policy
from train.policy import Policy
from train.preference import dpo_parts, plan
from train.preference.batches import Material, PairBatch
from train.preference.dpo_config import Config
from train.preference.evaluate import pair_errors
from train.preference.plan import PairCost, choose
from train.run import memory, runs
from train.run.distributed import ALONE
from train.run.runs import RunFolder

COST = PairCost(
    forward=2e12, backward=4e12, outside=10, blocks=[100, 100, 100, 100], inputs=[5, 5, 5, 5]
)


class TestArithmetic:
    def test_kept_by_hand(self) -> None:
        assert COST.kept("none") == 10 + 4 * 100
        # blocks 2 and 4 keep what enters them; one of them is whole while it is made again
        assert COST.kept("half") == 10 + 2 * 100 + 2 * 5 + 100
        assert COST.kept("blocks") == 10 + 4 * 5 + 100
        assert COST.kept("all") == 65  # the same for one clip of the two

    def test_flops_by_hand(self) -> None:
        # forward and backward are 2 + 4; the reference adds 2, and each way its part of 2
        assert COST.flops("none", reference=False) == 6e12
        assert COST.flops("none", reference=True) == 8e12
        assert COST.flops("half", reference=True) == 9e12
        assert COST.flops("blocks", reference=True) == 10e12
        assert COST.flops("all", reference=True) == 12e12

    @pytest.mark.parametrize(
        ("room", "how", "micro"),
        [
            (2000, "none", 4),  # 1.1 * 4 * 410 = 1804
            (1800, "none", 2),
            (460, "none", 1),  # 451
            (450, "half", 1),  # 352
            (350, "blocks", 2),  # 1.1 * 2 * 130 = 286
            (280, "blocks", 1),
            (100, "all", 4),  # 71: clips go one by one whatever is together
        ],
    )
    def test_the_least_arithmetic_that_fits(self, room: int, how: str, micro: int) -> None:
        made = choose(COST, pairs=4, trained=0, room=room)
        assert (made.checkpointing, made.micro) == (how, micro)
        assert made.peak <= room

    def test_what_is_trained_has_gradients_and_moments(self) -> None:
        assert choose(COST, pairs=1, trained=100, room=10**6).peak == 1200 + 451
        eight = choose(COST, pairs=1, trained=100, room=10**6, optimizer="adamw8bit")
        assert eight.peak == 600 + 451

    def test_where_nothing_fits_it_says_what_to_do(self) -> None:
        with pytest.raises(UserError, match=r"fewer --frames.*--storage float8"):
            choose(COST, pairs=4, trained=0, room=50)

    def test_without_blocks_there_is_one_way(self) -> None:
        bare = PairCost(forward=1.0, backward=2.0, outside=100)
        assert choose(bare, pairs=2, trained=0, room=120).micro == 1
        with pytest.raises(UserError, match="at the least"):
            choose(bare, pairs=2, trained=0, room=100)


@pytest.fixture(scope="module")
def fresh(tiny_folder: Path) -> Callable[[], Policy]:
    def made() -> Policy:
        found = policy.attach(models.load(str(tiny_folder)), rank=2, alpha=2, seed=0)
        for i, weight in enumerate(found.parameters):
            weight.data += 0.05 * bank.noise("away", "weight", i, tuple(weight.shape))
        return found

    return made


@pytest.fixture(scope="module")
def trained(fresh: Callable[[], Policy]) -> Policy:
    return fresh()


@pytest.fixture(scope="module")
def pair(trained: Policy) -> PairBatch:
    model = trained.model
    shape = (1, *model.latent_shape(model.sample_defaults))
    drawn = [bank.noise("pair", name, 0, shape) for name in ("chosen", "rejected", "noise")]
    return PairBatch(
        chosen=drawn[0], rejected=drawn[1], noise=drawn[2], u=torch.tensor([0.5]),
        conditions=model.embed(["a red circle"]), weight=torch.ones(1),
        probability=torch.ones(1), pairs=("a",),
    )  # fmt: skip


def gradient(trained: Policy, pair: PairBatch) -> Tensor:
    errors = pair_errors(trained.model, pair)
    made = torch.autograd.grad((errors.chosen - errors.rejected).sum(), trained.parameters)
    return torch.cat([each.flatten() for each in made])


@pytest.fixture(scope="module")
def cost(trained: Policy, pair: PairBatch) -> PairCost:
    return plan.counted(trained.model, pair)


class TestCounted:
    def test_is_what_a_real_pass_does(
        self, cost: PairCost, trained: Policy, pair: PairBatch
    ) -> None:
        weights = trained.model.network.state_dict().values()
        frozen = {weight.untyped_storage().data_ptr() for weight in weights}
        kept: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            if tensor.untyped_storage().data_ptr() not in frozen:
                kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with FlopCounterMode(display=False) as flops:
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                errors = pair_errors(trained.model, pair)
            forward = flops.get_total_flops()
            torch.autograd.grad((errors.chosen + errors.rejected).sum(), trained.parameters)
        assert cost.forward == forward
        assert cost.backward == flops.get_total_flops() - forward
        real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
        assert cost.kept("none") == pytest.approx(real, rel=0.05)
        assert len(cost.blocks) == len(cost.inputs) == 2  # of the tiny transformer

    def test_leaves_nothing_behind(self, cost: PairCost, trained: Policy) -> None:
        assert all(weight.grad is None for weight in trained.parameters)
        assert not trained.model.network.gradient_checkpointing
        assert cost.blocks

    def test_clips_twice_as_long_take_twice_the_activations(
        self, cost: PairCost, trained: Policy, pair: PairBatch
    ) -> None:
        longer = {name: torch.cat([getattr(pair, name)] * 2, dim=-1)
                  for name in ("chosen", "rejected", "noise")}  # fmt: skip
        twice = plan.counted(trained.model, replace(pair, **longer))
        assert twice.kept("none") == pytest.approx(2 * cost.kept("none"), rel=0.1)


class TestMemory:
    @pytest.mark.parametrize("how", ["half", "blocks"])
    def test_recomputing_changes_no_gradient(
        self, fresh: Callable[[], Policy], trained: Policy, pair: PairBatch, how: Any
    ) -> None:
        other = fresh()
        memory.recompute(other.model, how)
        with FlopCounterMode(display=False) as flops:
            found = gradient(other, pair)
        with FlopCounterMode(display=False) as plain:
            expected = gradient(trained, pair)
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-8)
        again = flops.get_total_flops() - plain.get_total_flops()
        cost = plan.counted(trained.model, pair)
        # the blocks' share of a pass is made again: nearly all of it, or half of that
        assert again == pytest.approx(plan.AGAIN[how] * cost.forward, rel=0.35)
        assert again > 0

    def test_a_network_that_cannot_recompute_is_named(self, fresh: Callable[[], Policy]) -> None:
        model = fresh().model
        model.components = {"unet": torch.nn.Linear(1, 1)}
        with pytest.raises(UserError, match="Linear cannot compute its activations again"):
            memory.recompute(model, "blocks")
        memory.recompute(model, "none")

    def test_float8_trains_and_reloads(
        self, tiny_folder: Path, pair: PairBatch, tmp_path: Path
    ) -> None:
        model = models.load(str(tiny_folder), dtype=torch.bfloat16)
        eight = policy.attach(model, rank=2, alpha=2, seed=0)
        memory.store_float8(model)
        stored = {weight.dtype for name, weight in model.network.named_parameters()
                  if "to_q.base_layer" in name}  # fmt: skip
        assert memory.FLOAT8 in stored
        assert {weight.dtype for weight in eight.parameters} == {torch.float32}
        for weight in eight.parameters:
            weight.data += 0.05
        assert gradient(eight, pair).abs().sum() > 0
        found = policy.compare_with_fresh(eight, eight.save(tmp_path).parent, "a red circle")
        assert found.difference < 2e-2 < found.drift

    def test_offloaded_groups_change_no_gradient(
        self, fresh: Callable[[], Policy], trained: Policy, pair: PairBatch
    ) -> None:
        other = fresh()
        memory.offload_groups(other.model, device=torch.device("cpu"))
        assert torch.allclose(gradient(other, pair), gradient(trained, pair), atol=1e-7)

    def test_compiled_blocks_change_no_gradient(
        self, fresh: Callable[[], Policy], trained: Policy, pair: PairBatch
    ) -> None:
        other = fresh()
        memory.compile_blocks(other.model, backend="eager")
        assert torch.allclose(gradient(other, pair), gradient(trained, pair), atol=1e-7)

    def test_states_in_8_bits_train_or_say_what_is_missing(self) -> None:
        weight = torch.nn.Parameter(torch.ones(64, 64))  # the least that has states in 8 bits
        try:
            made = memory.optimizer("adamw8bit", [weight], 0.1, decay=0.0)
        except UserError as error:
            assert "pip install bitsandbytes" in str(error)  # noqa: PT017  either is right
            return
        weight.sum().backward()
        made.step()
        assert torch.allclose(weight, torch.tensor(0.9), atol=0.01)  # AdamW's first step is lr
        assert made.state[weight]["state1"].dtype == torch.uint8

    def test_weights_decay_as_asked(self) -> None:
        """AdamW: w (1 - lr decay) - lr, at a first gradient of 1."""
        for decay, expected in ((0.0, 0.9), (0.5, 0.85)):
            weight = torch.nn.Parameter(torch.ones(1))
            made = memory.optimizer("adamw", [weight], 0.1, decay=decay)
            weight.sum().backward()
            made.step()
            assert weight.item() == pytest.approx(expected)

    def test_parked_encoders_come_back(self, trained: Policy) -> None:
        with memory.parked(trained.model):
            pass
        assert trained.model.embed(["a"]).tensors


class TestPlanned:
    @pytest.fixture
    def settle(
        self, trained: Policy, pair: PairBatch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> Callable[..., tuple[Config, RunFolder]]:
        """`--plan auto` where a pair costs a million times `COST`."""
        million = {name: [10**6 * x for x in getattr(COST, name)] for name in ("blocks", "inputs")}
        huge = replace(COST, outside=10_000_000, **million)
        monkeypatch.setattr(plan, "counted", lambda *_: huge)
        material = Material(
            latents={"x": pair.chosen[0], "y": pair.rejected[0]}, conditions={"p": pair.conditions}
        )
        label = Preference(
            pair="a", prompt="p", chosen="x", rejected="y", probability=1.0, source="auto"
        )

        def settled(**given: Any) -> tuple[Config, RunFolder]:
            config = Config(batch=4, db=str(tmp_path / "prefs.duckdb"), **given)
            run = runs.begin(config.db, "dpo", config, out=tmp_path)
            return dpo_parts.planned(config, trained, material, [label], ALONE, run)

        return settled

    def test_sets_what_fits_and_says_what_it_will_take(
        self,
        settle: Callable[..., tuple[Config, RunFolder]],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        found, run = settle(plan="auto", memory=350e6 / 2**30)
        assert (found.checkpointing, found.micro) == ("blocks", 2)
        kept = runs.reopen(run.folder, "dpo", {}).record.config  # a resumed run keeps to it
        assert (kept["plan"], kept["checkpointing"], kept["micro"]) == ("none", "blocks", 2)
        # four pairs of 2 + 2 + 2 + 4 TFLOP
        said = capsys.readouterr().out
        assert "--checkpointing blocks --micro 2: about 0.27 GiB" in said
        assert "40 TFLOP per step" in said

    def test_keeps_what_is_given(
        self,
        settle: Callable[..., tuple[Config, RunFolder]],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        found, _ = settle(plan="auto", memory=350e6 / 2**30, micro=4)
        assert (found.checkpointing, found.micro) == ("none", 4)
        said, run = settle(model="elsewhere")  # and with --plan say everything
        assert "--checkpointing none --micro 4: about" in capsys.readouterr().out
        assert Config(**run.record.config) == said
        plain, run = settle()  # of `shapes` nothing is said
        assert not capsys.readouterr().out
        assert (plain.checkpointing, plain.micro) == ("none", None)
        assert Config(**run.record.config) == plain
