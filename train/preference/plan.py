"""What a training step will take, counted before it is made, and the settings that fit.

One pair goes through the network as fake tensors: no memory, no arithmetic, but every operation
counted (torch's FLOP counter) and every tensor that autograd keeps for the way back, by block. From
that follow the peak for each way to recompute activations and each number of pairs together, and
what each costs in arithmetic. `choose` takes the way that fits with the least arithmetic, and of
those the one with most pairs per pass. Seconds are the arithmetic over the device's own matrix
rate, measured by a product of two matrices, at the share that training usually reaches.

Bytes of activations are exact for the pass that was traced; temporary buffers are an allowance
(`_SLACK`), and on a GPU the allocator's gaps come on top: nine tenths of what is free is planned
for. What is said is an expectation; the first step's own figures follow it.

Left out on purpose: choosing float8 storage or offloading, which change results or speed much (they
are named where nothing fits), and the encoders, which are done before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, runtime_checkable

import psutil
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils.flop_counter import FlopCounterMode

from data.console import say
from data.errors import UserError
from train.models import VideoModel
from train.preference.batches import PairBatch
from train.preference.evaluate import pair_errors
from train.run.memory import Checkpointing

AGAIN: dict[Checkpointing, float] = {"none": 0.0, "half": 0.5, "blocks": 1.0, "all": 2.0}
"""Forward passes that each way adds, the one with the least first."""
SHARE = 0.4
"""Of the matrix rate that training reaches: 40 % is what one sees reported on A100 and H100."""
_SLACK = 1.1
_GIB = 2**30
MOMENTS = {"adamw": 8, "adamw8bit": 2}  # bytes per trained weight, beside 4 of its gradient


@dataclass(frozen=True, kw_only=True)
class PairCost:
    """One pair, both clips together, through the network and back."""

    forward: float
    """FLOPs."""
    backward: float
    """FLOPs, without anything computed again."""
    outside: int
    """Bytes kept for the way back outside of blocks."""
    blocks: Sequence[int] = ()
    """Bytes kept inside each block, in the order of the pass."""
    inputs: Sequence[int] = ()
    """Bytes that enter each block: what is kept of one that is computed again."""

    def kept(self, how: Checkpointing) -> int:
        """Bytes of activations at the worst moment."""
        largest = max(self.blocks, default=0)
        if how == "none":
            return self.outside + sum(self.blocks)
        if how == "half":
            rest = sum(self.blocks[0::2]) + sum(self.inputs[1::2])
            return self.outside + rest + max(self.blocks[1::2], default=0)
        whole = self.outside + sum(self.inputs) + largest
        return whole if how == "blocks" else whole // 2

    def flops(self, how: Checkpointing, *, reference: bool) -> float:
        """Of a step's pair, with or without a pass of the reference."""
        return self.forward * (1 + AGAIN[how] + reference) + self.backward


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a step is made, and what it is expected to take."""

    checkpointing: Checkpointing
    micro: int
    """Pairs that go through the network together."""
    peak: int
    """Bytes on top of what is loaded."""
    flops: float
    """Of a step of this process."""

    def __str__(self) -> str:
        """For people."""
        return (
            f"--checkpointing {self.checkpointing} --micro {self.micro}: about "
            f"{self.peak / _GIB:.2g} GiB on top of the loaded weights and {self.flops / 1e12:.3g} "
            "TFLOP per step"
        )


def choose(
    cost: PairCost, *, pairs: int, trained: int, room: int, optimizer: str = "adamw"
) -> Plan:
    """The plan with the least arithmetic that fits; of those, the most pairs together.

    Args:
        cost: Of one pair.
        pairs: Of a step of this process.
        trained: Number of weights that are trained.
        room: Bytes.
        optimizer: Of `train.run.memory.optimizer`.

    Raises:
        UserError: Nothing fits; says what would be needed and what to do.
    """
    hows = AGAIN if cost.blocks else ("none",)
    least = 0
    for how in hows:
        for micro in dict.fromkeys(-(-pairs // parts) for parts in range(1, pairs + 1)):
            made = plan(cost, how, micro, pairs=pairs, trained=trained, optimizer=optimizer)
            if made.peak <= room:
                return made
            least = made.peak
    raise UserError(
        f"A step needs {least / _GIB:.3g} GiB at the least, and {room / _GIB:.3g} are free. Take "
        "fewer --frames, a smaller --height and --width, --dtype bfloat16, --storage float8, or "
        "on a GPU --offload groups."
    )


def plan(
    cost: PairCost, how: Checkpointing, micro: int, *, pairs: int, trained: int,
    optimizer: str = "adamw",
) -> Plan:  # fmt: skip
    """What these settings take. Arguments as in `choose`."""
    together = micro if how != "all" else 1
    fixed = trained * (4 + MOMENTS[optimizer])
    return Plan(
        checkpointing=how,
        micro=micro,
        peak=fixed + int(_SLACK * together * cost.kept(how)),
        flops=pairs * cost.flops(how, reference=True),
    )


def silent(plan: str, model: str) -> bool:
    """Whether nothing is counted: by `--plan none`, and by default where a step is little."""
    return plan == "none" or (plan, model) == ("say", "shapes")


def room(device: torch.device, limit: float | None) -> int:
    """Bytes that may be planned for: `limit` in GiB, or nine tenths of what is free."""
    if limit is not None:
        return int(limit * _GIB)
    if device.type == "cuda":
        return int(0.9 * torch.cuda.mem_get_info(device)[0])
    return int(0.9 * psutil.virtual_memory().available)


def rate(
    device: torch.device, dtype: torch.dtype, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Multiplications and additions per second of a large matrix product on this device."""
    side = 8192 if device.type == "cuda" else 1024
    one = torch.ones(side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(3):
        started = clock()
        torch.matmul(one, one)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, clock() - started)
    return 2 * float(side) ** 3 / best


@runtime_checkable
class Counted(Protocol):
    """How a step is made; as text, what it takes."""

    @property
    def flops(self) -> float:
        """Of a step of this process."""
        ...


def expected(made: Counted, model: VideoModel) -> str:
    """What a step is expected to take, for people."""
    seconds = made.flops / (SHARE * rate(model.device, model.dtype))
    return (
        f"Expected: {made}; about {seconds:.2g} s at {SHARE:.0%} of the matrix rate measured here"
    )


@dataclass
class _Count:
    """Tensors that autograd keeps, by storage, in the block that kept them first."""

    places: list[list[int]] = field(default_factory=lambda: [[]])
    inputs: list[int] = field(default_factory=list)
    _seen: dict[int, Any] = field(default_factory=dict)
    _entered: dict[int, Any] = field(default_factory=dict)

    def keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if isinstance(tensor, FakeTensor) and storage._cdata not in self._seen:
            self._seen[storage._cdata] = storage  # held, so that its address is not used again
            self.places[-1].append(storage.nbytes())
        return tensor

    def block(self, run: Callable[..., Any], *arguments: Any) -> Any:
        entered = {
            x.untyped_storage()._cdata: x.untyped_storage()
            for x in arguments
            if isinstance(x, Tensor)
        }
        new = entered.keys() - self._entered.keys()
        self.inputs.append(sum(entered[key].nbytes() for key in new))
        self._entered |= entered
        self.places.append([])
        found = run(*arguments)
        self.places.append([])
        return found


def measured(device: torch.device, seconds: float, left: int) -> None:
    """Says what the first step really took, and what that means for those that are left."""
    peak = ""
    if device.type == "cuda":
        peak = f", peak {torch.cuda.max_memory_allocated(device) / _GIB:.3g} GiB"
    say(f"First step: {seconds:.2g} s{peak}; about {left * seconds / 60:.2g} min for {left} more")


def counted(model: VideoModel, batch: PairBatch) -> PairCost:
    """Counts one pair through the network, whose adapter is attached; computes nothing.

    Args:
        model: The policy's.
        batch: One pair.

    Raises:
        UserError: What the network does depends on values, which nothing is known of here.
    """
    try:
        return _counted(model, batch)
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise UserError(
            f"--plan cannot count {model.name}: what it does depends on values ({error}). "
            "Choose --micro and --checkpointing yourself."
        ) from error


def _counted(model: VideoModel, batch: PairBatch) -> PairCost:
    trained = [weight for weight in model.network.parameters() if weight.requires_grad]
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    weights = [mode.from_tensor(one) for one in model.network.state_dict().values()]
    count = _Count(_seen={one.untyped_storage()._cdata: one for one in weights})
    with (
        mode,
        _bracketed(model, count.block),
        FlopCounterMode(display=False) as flops,
    ):
        with torch.autograd.graph.saved_tensors_hooks(count.keep, lambda tensor: tensor):
            errors = pair_errors(model, batch)
        forward = flops.get_total_flops()
        torch.autograd.grad(errors.chosen.sum() + errors.rejected.sum(), trained, allow_unused=True)
    return PairCost(
        forward=forward,
        backward=flops.get_total_flops() - forward,
        outside=sum(map(sum, count.places[0::2])),
        blocks=[sum(inside) for inside in count.places[1::2]],
        inputs=count.inputs,
    )


@contextmanager
def _bracketed(model: VideoModel, run: Callable[..., Any]) -> Iterator[None]:
    """Within: blocks that could be computed again are run by `run`."""
    able: list[Any] = [
        cast(Any, network)
        for network in model.components.values()
        if isinstance(network, nn.Module)
        and getattr(network, "_supports_gradient_checkpointing", False)
    ]
    for network in able:
        network.enable_gradient_checkpointing(run)
    try:
        yield
    finally:
        for network in able:
            network.disable_gradient_checkpointing()
