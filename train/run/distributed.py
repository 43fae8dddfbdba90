"""The processes of one run, as `accelerate launch -m train.dpo ...` starts them: a `Group`.

A step's pairs are a function of its number, and so is the noise of each (`train.bank`). Every
process takes its block of them and counts each pair by the number of all: 1 process of 4 pairs,
2 of 2 and 4 of 1 have the same loss and the same gradient. Process 0 alone reads the database,
makes the run and writes; the others get what it read, and write into a folder that is thrown away.

What of a step must go through the wrappers of DDP and FSDP2 is in `train.preference.passes`.
A run ends in all processes at once: an exit resets the connections that others still read from.
Buffers are not broadcast: that would be a collective in every pass, and passes are not counted.

Left out on purpose: everything that accelerate does (process groups, DDP, FSDP2, DeepSpeed: by its
configuration files, ours are in `train/configs`), pairs that are split over processes, and
`kto`'s look at the whole batch (each process looks at its own pairs).
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from data.errors import UserError

if TYPE_CHECKING:
    from train.run.runs import RunFolder

Item = TypeVar("Item")
_PATIENCE = timedelta(hours=6)
"""That a process waits for the others: one may encode or sample for long."""


@dataclass(frozen=True)
class Group:
    """The processes of a run; `ALONE` where there is one. From `join`."""

    rank: int = 0
    size: int = 1
    accelerator: Any = None
    """accelerate's, where there are several processes."""

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    @property
    def sharded(self) -> bool:
        """Whether the network's weights are spread over the processes: every pass needs all."""
        return self.accelerator is not None and self.accelerator.is_fsdp2

    @property
    def saving(self) -> bool:
        """Whether this process takes part in saving and in sampling at the end."""
        return self.main or self.sharded

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This process's block of `items`, equally long in each: the last one is repeated."""
        each = -(-len(items) // self.size)
        own = list(items[self.rank * each : (self.rank + 1) * each])
        return own + [items[-1]] * (each - len(own))

    def collect(self, value: Item) -> list[Item]:
        """Every process's value, in order."""
        if self.size == 1:
            return [value]
        from accelerate.utils import gather_object

        return gather_object([value])

    def whole(self, blocks: Float[Tensor, " b"], count: int) -> Float[Tensor, " n"]:
        """The values of all `count` items from those of every `share` of them."""
        if self.size == 1:
            return blocks
        return torch.cat([part.to(blocks.device) for part in self.collect(blocks.cpu())])[:count]

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """Mean over the processes, by name."""
        each = self.collect(dict(values))
        return {name: sum(one[name] for one in each) / self.size for name in values}

    def from_main(self, make: Callable[[], Item]) -> Item:
        """What process 0 makes, in every process; where it fails, the others leave quietly."""
        if self.size == 1:
            return make()
        from accelerate.utils import broadcast_object_list

        if not self.main:
            found: list[Any] = [None]
            broadcast_object_list(found)
            if found[0] is None:
                raise SystemExit(2)
            return found[0][0]
        sent: list[Any] = [None]
        try:
            sent = [(make(),)]
        finally:
            broadcast_object_list(sent)
        return sent[0][0]

    def device(self, wanted: str) -> str:
        """`wanted`; for `auto` this process's own."""
        if self.accelerator is None or wanted != "auto":
            return wanted
        return str(self.accelerator.device)

    def agreed(self, step: int) -> int:
        """`step`, once every process has the same.

        Raises:
            UserError: they do not: a process does not see the run's folder.
        """
        steps = self.collect(step)
        if len(set(steps)) > 1:
            raise UserError(
                f"The processes would go on from different steps: {', '.join(map(str, steps))}. "
                "The run's folder must be one that every machine sees."
            )
        return step

    @contextmanager
    def writing(self, run: RunFolder) -> Iterator[RunFolder]:
        """The run's folder for process 0; for the others one that is thrown away, and silence.

        All leave together (`end`). One that fails leaves at once, which ends the others' waiting.
        """
        if self.main:
            yield run
        else:
            with (
                tempfile.TemporaryDirectory() as scratch,
                Path(os.devnull).open("w") as nowhere,
                redirect_stdout(nowhere),
            ):
                _copy(run.folder, Path(scratch))
                yield replace(run, folder=Path(scratch))
        self.end()

    def end(self) -> None:
        """Waits for every process; their connections are then closed when the program ends.

        Raises:
            UserError: Another process has ended before.
        """
        if self.accelerator is None:
            return
        try:
            self.accelerator.wait_for_everyone()
        except RuntimeError as error:  # of gloo and NCCL, where a connection is gone
            raise UserError(
                "Another process of this run ended before it was done: read what it said itself"
            ) from error
        atexit.register(self.accelerator.end_training)  # later, for there may be another run


ALONE = Group()


def join(device: str = "auto") -> Group:
    """The group that this process was started in; `ALONE` without `accelerate launch`.

    Args:
        device: `cpu` keeps accelerate off the GPU; DeepSpeed takes what there is.
    """
    deepspeed = "ACCELERATE_USE_DEEPSPEED" in os.environ
    sharing = deepspeed or "ACCELERATE_USE_FSDP" in os.environ
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not sharing:
        return ALONE
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    bare = not torch.accelerator.is_available()
    made = Accelerator(
        cpu=(device == "cpu" or bare) and not deepspeed,  # it would be DDP in DeepSpeed's place
        mixed_precision="no",  # the weights have their precision, and the adapter is float32
        kwargs_handlers=[
            DistributedDataParallelKwargs(broadcast_buffers=False),
            InitProcessGroupKwargs("gloo" if bare and deepspeed else None, timeout=_PATIENCE),
        ],
    )
    return Group(made.process_index, made.num_processes, made)


def _copy(run: Path, scratch: Path) -> None:
    """What a resumed run reads of its folder; the state, which may be large, as a link."""
    for file in run.glob("*.json*"):
        shutil.copy(file, scratch)
    (scratch / "state").mkdir()
    for file in run.glob("state/*.pt"):
        (scratch / "state" / file.name).symlink_to(file.resolve())


def demand_equal_shares(pairs: int, group: Group) -> None:
    """Refuse a step that the processes cannot share equally.

    Raises:
        UserError: `pairs` is no multiple of the number of processes.
    """
    if pairs % group.size:
        raise UserError(
            f"--batch is {pairs}, the pairs of a step of all {group.size} processes together; it "
            f"must be a multiple of {group.size}"
        )
