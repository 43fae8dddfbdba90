from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from train.preference.distance import adapter_change


def with_lora(rank: int = 1, alpha: int = 2) -> nn.Module:
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=["0"])
    return inject_adapter_in_model(config, nn.Sequential(nn.Linear(2, 2)), adapter_name="default")


def fill(network: nn.Module, name: str, a: list[list[float]], b: list[list[float]]) -> None:
    layer = network[0]  # type: ignore[index]
    layer.base_layer.weight.data = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    layer.lora_A[name].weight.data = torch.tensor(a)
    layer.lora_B[name].weight.data = torch.tensor(b)


def test_is_that_of_the_product() -> None:
    network = with_lora()
    fill(network, "default", [[1.0, 2.0]], [[1.0], [0.0]])
    # alpha / r = 2; B A = [[1, 2], [0, 0]], twice that has norm sqrt(4 + 16); ||W|| = 5
    assert adapter_change(network) == pytest.approx(20**0.5 / 5)


def test_is_nothing_for_a_new_adapter() -> None:
    assert adapter_change(with_lora()) == 0


def test_is_from_the_adapter_that_is_the_reference() -> None:
    network = with_lora()
    inject_adapter_in_model(
        LoraConfig(r=1, lora_alpha=2, target_modules=["0"]), network, adapter_name="reference"
    )
    fill(network, "default", [[1.0, 2.0]], [[1.0], [0.0]])
    fill(network, "reference", [[1.0, 2.0]], [[1.0], [0.0]])
    assert adapter_change(network) == pytest.approx(0, abs=1e-7)
    fill(network, "reference", [[1.0, 0.0]], [[1.0], [0.0]])
    # 2 ([[1, 2], [0, 0]] - [[1, 0], [0, 0]]) = [[0, 4], [0, 0]]
    assert adapter_change(network) == pytest.approx(4 / 5)


def test_agrees_with_the_matrix_that_peft_merges() -> None:
    torch.manual_seed(0)
    network = with_lora(rank=2, alpha=3)
    layer = network[0]  # type: ignore[index]
    nn.init.normal_(layer.lora_B["default"].weight)
    change = layer.get_delta_weight("default")
    expected = change.norm() / layer.base_layer.weight.norm()
    assert adapter_change(network) == pytest.approx(expected.item(), rel=1e-5)
