"""One step of weighted DPO, as other trainers make it and as this one does, in the same run.

    python -m benchmarks.dpo_step                                     # a small Wan on the CPU
    python -m benchmarks.dpo_step --size wan-1.3b --device cuda       # 33 x 320 x 512, bfloat16

Random weights, random latents and text of the size, made beforehand: speed does not care. All ways
share weights, pair, noise and a LoRA whose learning rate is 0, so that every step of every way
computes the same gradient; `gradient` is how far it is from the baseline's, relative. The ways:

- `four calls, live reference`: each clip of the pair alone, policy and reference (SimpleTuner,
  VideoGPA), checkpointed.
- `batched, live reference`: the pair in one pass, adapter off for the reference (diffusers,
  flow_grpo), checkpointed. The baseline.
- `batched, second copy`: a second network as the reference (VideoDPO), checkpointed.
- `ours, ...`: the reference's errors live or looked up, and activations of all blocks, of every
  second one, of none computed again, one clip after the other (`all`), and compiled blocks.

Rounds go through all ways in turn. Seconds are the median of the rounds: of the wall on a GPU, of
this process's CPU time on the CPU, where others may be at work. FLOPs are torch's count. `of rate`
is FLOPs per second over those of a large matrix product in the same precision. `peak gib` is what a
GPU's allocator had at the most, with weights and the second copy; not on the CPU.

Left out: data loading, and the optimizer's states in 8 bits.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import random_wan
from data.console import say, table
from train import policy
from train.models import Conditions, SampleSettings
from train.models.generator import Generator
from train.models.wan import velocity
from train.parametrisation import Flow
from train.policy import Policy
from train.preference import plan
from train.preference.batches import PairBatch
from train.preference.evaluate import PairErrors, pair_errors
from train.preference.objective import Objective
from train.run import memory
from train.run.memory import Checkpointing

BASELINE = "batched, live reference"
_BETA = 1000.0
_SIZES: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, int]]] = {
    # heads and their width, feed-forward, layers; one clip's latents; text
    "wan-1.3b": (random_wan.SIZES, (16, 9, 40, 64), (512, 4096)),
    "tiny": (
        {"num_attention_heads": 4, "attention_head_dim": 32, "ffn_dim": 512, "num_layers": 8},
        (16, 5, 16, 24),
        (64, 64),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    size: str = "tiny"
    device: str = "cpu"
    pairs: int = 1
    rounds: int = 5
    rank: int = 32
    threads: int = 2
    compile: bool = False
    out: str = ""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One model, one batch, and the errors of its reference."""

    trained: Policy
    batch: PairBatch
    known: PairErrors
    copied: Generator
    """The reference as a second network."""


Way = Callable[[Bench], Tensor]
"""A forward pass to the loss."""


def four_calls(bench: Bench) -> Tensor:
    """Each clip of a pair on its own."""
    model, batch = bench.trained.model, bench.batch
    t = model.timesteps(batch.u, batch.chosen.shape[1:])

    def error(latents: Tensor) -> Tensor:
        noisy = model.noised(latents, batch.noise, t)
        prediction = model.predict(noisy, t, batch.conditions)
        return (prediction - model.target(latents, batch.noise, t)).square().flatten(1).mean(1)

    own = PairErrors(error(batch.chosen), error(batch.rejected))
    with bench.trained.reference():
        reference = PairErrors(error(batch.chosen), error(batch.rejected))
    return _loss(bench, own, reference)


def live(bench: Bench) -> Tensor:
    """The pair in one pass, and once more with the adapter off."""
    own = pair_errors(bench.trained.model, bench.batch)
    with bench.trained.reference():
        reference = pair_errors(bench.trained.model, bench.batch)
    return _loss(bench, own, reference)


def second_copy(bench: Bench) -> Tensor:
    """The pair in one pass, and another through the second network."""
    own = pair_errors(bench.trained.model, bench.batch)
    with torch.no_grad():
        reference = pair_errors(bench.copied, bench.batch)
    return _loss(bench, own, reference)


def looked_up(bench: Bench, *, alone: bool = False) -> Tensor:
    """The pair in one pass; the reference's errors are known."""
    own = pair_errors(bench.trained.model, bench.batch, alone=alone)
    return _loss(bench, own, bench.known)


def _loss(bench: Bench, own: PairErrors, reference: PairErrors) -> Tensor:
    return Objective().cost(bench.trained.model, bench.batch, own, reference, _BETA)[0]


WAYS: dict[str, tuple[Way, Checkpointing]] = {
    "four calls, live reference": (four_calls, "blocks"),
    BASELINE: (live, "blocks"),
    "batched, second copy": (second_copy, "blocks"),
    "ours, live, none again": (live, "none"),
    "ours, looked up, one clip at a time": (lambda bench: looked_up(bench, alone=True), "all"),
    "ours, looked up, blocks again": (looked_up, "blocks"),
    "ours, looked up, half again": (looked_up, "half"),
    "ours, looked up, none again": (looked_up, "none"),
}


def run(config: Config) -> dict[str, dict[str, float]]:
    """Measures every way; prints the table and writes the figures."""
    torch.set_num_threads(config.threads)
    bench = _bench(config)
    ways = {name: (bench, *way) for name, way in WAYS.items()}
    if config.compile:
        compiled = _bench(config)
        memory.compile_blocks(compiled.trained.model)
        ways["ours, looked up, none again, compiled"] = (compiled, looked_up, "none")
    figures: dict[str, dict[str, float]] = {}
    gradients: dict[str, Tensor] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for name, (of, way, how) in ways.items():  # the first step also warms up
        _recompute(of, how)
        with FlopCounterMode(display=False) as flops:
            gradients[name] = _step(of, way)
        figures[name] = {"tflop": flops.get_total_flops() / 1e12, **_peak(of, way)}
    for _ in range(config.rounds):
        for name, (of, way, how) in ways.items():
            _recompute(of, how)
            seconds[name].append(_timed(of, way))
    rate = plan.rate(bench.batch.u.device, bench.trained.model.dtype, _clock(bench))
    for name, figure in figures.items():
        figure["seconds"] = statistics.median(seconds[name])
        figure["of_baseline"] = figure["seconds"] / statistics.median(seconds[BASELINE])
        figure["of_rate"] = figure["tflop"] * 1e12 / figure["seconds"] / rate
        apart = gradients[name] - gradients[BASELINE]
        figure["gradient"] = (apart.norm() / gradients[BASELINE].norm()).item()
    _show(config, figures, rate)
    return figures


def _show(config: Config, figures: dict[str, dict[str, float]], rate: float) -> None:
    every = ("seconds", "of_baseline", "tflop", "of_rate", "peak_gib", "gradient")
    columns = [column for column in every if column in figures[BASELINE]]
    rows = [[name, *(f"{figure[key]:.3g}" for key in columns)] for name, figure in figures.items()]
    say(f"{config.size}, {config.pairs} pairs, {config.device}; a large matrix product reaches "
        f"{rate / 1e12:.3g} TFLOP per second")  # fmt: skip
    say(table(("way", *(column.replace("_", " ") for column in columns)), rows))
    if config.out:
        Path(config.out).write_text(json.dumps({"rate": rate, "ways": figures}, indent=1))


def _step(bench: Bench, way: Way) -> Tensor:
    """One step; its gradient."""
    weights = bench.trained.parameters
    optimizer = torch.optim.AdamW(weights, lr=0.0)
    optimizer.zero_grad()
    way(bench).backward()
    optimizer.step()
    return torch.cat([cast("Tensor", weight.grad).flatten().cpu() for weight in weights])


def _timed(bench: Bench, way: Way) -> float:
    clock = _clock(bench)
    for weight in bench.trained.parameters:
        weight.grad = None
    started = clock()
    way(bench).backward()
    return clock() - started


def _clock(bench: Bench) -> Callable[[], float]:
    """Of this process on the CPU; on a GPU the wall's, once all its work is done."""
    if bench.trained.model.device.type != "cuda":
        return time.process_time

    def clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return clock


def _peak(bench: Bench, way: Way) -> dict[str, float]:
    if bench.trained.model.device.type != "cuda":
        return {}
    torch.cuda.reset_peak_memory_stats()
    _timed(bench, way)
    return {"peak_gib": torch.cuda.max_memory_allocated() / 2**30}


def _recompute(bench: Bench, how: Checkpointing) -> None:
    cast(Any, bench.trained.model.network).disable_gradient_checkpointing()
    memory.recompute(bench.trained.model, how)


def _bench(config: Config) -> Bench:
    sizes, latents, text = _SIZES[config.size]
    device = torch.device(config.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    torch.manual_seed(0)
    network = WanTransformer3DModel(text_dim=text[1], **sizes).to(device)
    for name, weight in network.named_parameters():  # as `from_pretrained` casts it
        if not any(part in name for part in network._keep_in_fp32_modules):
            weight.data = weight.data.to(dtype)
    copied = _generator(copy.deepcopy(network), latents, text)
    bare = _generator(network, latents, text)
    trained = policy.attach(bare, rank=config.rank, alpha=config.rank, seed=0)
    for weight in trained.parameters:
        weight.data += 0.01 * torch.randn_like(weight)
    shape = (config.pairs, *latents)
    ones, drawn = torch.ones(config.pairs, device=device), torch.randn(3, *shape, device=device)
    batch = PairBatch(
        chosen=drawn[0], rejected=drawn[1], noise=drawn[2], u=0.5 * ones, weight=ones,
        probability=ones, pairs=tuple(map(str, range(config.pairs))),
        conditions=Conditions({"text": torch.randn(config.pairs, *text, device=device)}),
    )  # fmt: skip
    with trained.reference():
        known = pair_errors(trained.model, batch)
    return Bench(trained=trained, batch=batch, known=known, copied=copied)


def _generator(
    network: torch.nn.Module, latents: tuple[int, ...], text: tuple[int, int]
) -> Generator:
    """A network without the rest of its pipeline."""
    nothing: Any = SimpleNamespace(components={}, shape=lambda _: latents)
    return Generator(
        source="random", name="random", pipeline=nothing, components={"transformer": network},
        lora=nothing, autoencoder=nothing, call=velocity,
        text=lambda prompts: Conditions({"text": torch.zeros(len(prompts), *text)}),
        parametrisation=Flow(shift=5.0),
        sample_defaults=SampleSettings(
            frames=33, height=320, width=512, fps=16.0, steps=50, guidance=5.0
        ),
    )  # fmt: skip


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Config()
    parser.add_argument("--size", default=default.size, choices=list(_SIZES))
    parser.add_argument("--device", default=default.device)
    parser.add_argument("--compile", action="store_true", help="compiled blocks as a way too")
    parser.add_argument("--out", default="", help="write the figures here too, as JSON")
    for name in ("pairs", "rounds", "rank", "threads"):
        parser.add_argument(f"--{name}", type=int, default=getattr(default, name))
    run(Config(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
