"""README says what is there: its commands exist with the options that it names."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
DOCUMENTS = [README, *(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))]


def commands() -> list[list[str]]:
    """Every `python ...` line of every fenced shell block, comments removed."""
    blocks = [block for text in DOCUMENTS for block in re.findall(r"```bash\n(.*?)```", text, re.S)]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line for line in words if line and line[0] == "python" and line[1] != "-c"]


def split(command: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """(what is run, its arguments)."""
    return (
        ((command[1], command[2]), command[3:])
        if command[1] == "-m"
        else ((command[1],), command[2:])
    )


@cache
def help_of(program: tuple[str, ...]) -> str | None:
    """What `--help` prints; None where that is no program or subcommand.

    Those that load torch before they read their options share this process, and load it once.
    """
    if program[0] == "-m" and program[1].startswith(("benchmarks.", "train.shapes")):
        return help_here(program[1], [*program[2:], "--help"])
    done = subprocess.run(
        [sys.executable, *program, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else None


def help_here(module: str, arguments: list[str]) -> str | None:
    """As `python -m`, in this process."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(sys, "argv", [module, *arguments])
        with contextlib.redirect_stderr(io.StringIO()), pytest.raises(SystemExit) as ended:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    return None if ended.value.code else said.getvalue()


def help_with(program: tuple[str, ...], arguments: list[str]) -> str:
    """The help of a program, and that of its subcommand where it has some."""
    whole = help_of(program)
    assert whole is not None, f"{' '.join(program)} --help fails"
    if "COMMAND ..." not in whole:
        return whole
    words = (word for word in arguments if not word.startswith("-"))
    return whole + next(found for word in words if (found := help_of((*program, word))))


def test_readme_shows_commands() -> None:
    assert len(commands()) >= 8


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_command_has_the_options_that_are_shown(command: list[str]) -> None:
    program, arguments = split(command)
    text = help_with(program, arguments)
    for argument in arguments:
        if argument.startswith("-"):
            option = argument.split("=")[0]
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), option


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make (\w+)", README)) | set(
        re.findall(r"^make (\w+)", README, re.M)
    ):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_links_and_pictures_exist() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link


def test_change_log_and_papers_are_kept() -> None:
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()
    papers = (ROOT / "docs/papers.md").read_text()
    for file in re.findall(r"`((?:data|train|scorers|annotate)/[\w/]+\.py)`", papers):
        assert (ROOT / Path(file)).exists(), file
