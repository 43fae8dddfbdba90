"""The shape of the project: who may import whom, sizes, names, and what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = ("data", "scorers", "annotate", "train")
FORBIDDEN_NAMES = {"utils.py", "common.py", "helpers.py", "misc.py"}


def sources(root: Path) -> list[Path]:
    return [root / "app.py", *(path for room in ROOMS for path in (root / room).rglob("*.py"))]


def test_rooms_import_downwards_only(root: Path) -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_room_for_odds_and_ends(root: Path) -> None:
    named = {path.name for path in sources(root)}
    assert not named & FORBIDDEN_NAMES
    assert not any(path.is_dir() and path.name == "core" for path in root.glob("*/*"))


def test_files_stay_readable(root: Path) -> None:
    long = {
        str(path.relative_to(root)): lines
        for path in sources(root)
        if (lines := len(path.read_text().splitlines())) > 300
    }
    assert not long


def test_functions_stay_short(root: Path) -> None:
    """A recipe's `run` may have 80 lines; anything longer hides its steps."""
    long = [
        f"{path.relative_to(root)}:{node.name}"
        for path in sources(root)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno > 80
    ]
    assert not long


def imported_by(root: Path, *arguments: str) -> set[str]:
    """Top-level packages that a Python command has loaded when it ends."""
    script = (
        "import sys, runpy\n"
        f"sys.argv = {list(arguments)!r}\n"
        "try:\n"
        "    module = sys.argv[0]\n"
        "    if module.endswith('.py'):\n"
        "        runpy.run_path(module, run_name='__main__')\n"
        "    else:\n"
        "        runpy.run_module(module, run_name='__main__', alter_sys=True)\n"
        "except SystemExit:\n"
        "    pass\n"
        "sys.stderr.write('LOADED ' + ' '.join({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    return set(done.stderr.split("LOADED ")[1].split())


@pytest.mark.parametrize(
    "command",
    [
        ("app.py", "--help"),
        ("data.ingest", "--help"),
        ("data.pair", "--help"),
        ("scorers", "--help"),
        ("train.sample", "--help"),
        ("train.dpo", "--help"),
        ("train.vader", "--help"),
        ("train.ddpo", "--help"),
        ("train.compare", "--help"),
    ],
    ids=lambda command: command[0],
)
def test_help_loads_nothing_heavy(root: Path, command: tuple[str, ...]) -> None:
    """`--help` in under a second: none of the packages that take longer than that to import."""
    heavy = {"torch", "gradio", "diffusers", "transformers", "open_clip", "cv2"}
    assert not imported_by(root, *command) & heavy


def test_the_app_needs_no_torch(root: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "for name in ('torch', 'torchvision', 'diffusers', 'transformers', 'scorers'):\n"
            "    sys.modules[name] = None\n"
            "import app, pkgutil, importlib, annotate\n"
            "for module in pkgutil.iter_modules(annotate.__path__, 'annotate.'):\n"
            "    importlib.import_module(module.name)\n",
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
