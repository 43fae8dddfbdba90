"""What goes wrong with the machine while a run is under way, said so that a person can mend it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from data.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


_LESS = "--plan auto, a smaller --micro, --checkpointing blocks or all"


@contextmanager
def explained(run: Path, less: str = _LESS) -> Iterator[None]:
    """Within: no memory and no room on the disk end the run with a line and what to do.

    Args:
        run: The run's folder `<command>-<id>`, whose last saved state is whole.
        less: Options with which the command takes less memory.

    Raises:
        UserError: In place of what was raised.
    """
    again = f"The last saved state is whole: python -m train.{_command(run)} --resume {run}"
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"The device has no memory left ({_first_line(error)}). Free some and go on, or start "
            f"anew with {less}, --dtype bfloat16, or fewer --frames. {again}"
        ) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"{error.filename or run} cannot be written ({error.strerror}). Make room on that "
            f"disk, then go on. {again}"
        ) from error


def _command(run: Path) -> str:
    return run.name.partition("-")[0]


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
