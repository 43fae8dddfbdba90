"""How commands end: a line for what a person can mend, and quiet where nobody reads on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
from data.console import say
from data.errors import UserError, user_errors

@user_errors
def main(what):
    if what == "mend":
        raise UserError("--n is 0; it must be at least 1")
    for number in range(100_000):
        say(f"line {number}")

raise SystemExit(main({what!r}))
"""


def test_a_mistake_is_one_line_without_a_traceback(root: Path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{what!r}", "'mend'")],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "--n is 0; it must be at least 1\n"


def test_a_reader_that_leaves_is_no_error(root: Path):
    """`command | head -1`."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("{what!r}", "'read'")],
        cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as started:  # fmt: skip
        assert started.stdout is not None
        assert started.stderr is not None
        assert started.stdout.readline() == "line 0\n"
        started.stdout.close()
        assert started.wait(timeout=60) == 141
        assert started.stderr.read() == ""
