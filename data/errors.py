"""Errors that a user can mend: one sentence, no traceback."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

Arguments = ParamSpec("Arguments")


class UserError(Exception):
    """Something that the person at the keyboard can mend.

    The message names what, which value, what is allowed and what to do next. Commands print it on
    standard error without a traceback and leave with exit code 2; anything else that is raised is a
    bug and keeps its traceback.
    """


def user_errors(command: Callable[Arguments, int | None]) -> Callable[Arguments, int]:
    """Wrap a command's `main`: a `UserError` becomes one line on standard error and exit code 2."""

    @functools.wraps(command)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        try:
            return command(*args, **kwargs) or 0
        except UserError as error:
            sys.stderr.write(f"{error}\n")
            return 2
        except BrokenPipeError:  # whoever read our output has left: `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except KeyboardInterrupt:
            sys.stderr.write("Interrupted; what was stored stays stored.\n")
            return 130

    return wrapped
