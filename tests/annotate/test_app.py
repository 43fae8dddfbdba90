"""The launch: help at once, no torch, mistakes in one line, a busy port is no dead end."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

import app
from annotate import server
from data.errors import UserError

HEAVY = "torch diffusers transformers peft scorers train"


def python(root, *command: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *command], cwd=root, capture_output=True, text=True)


def test_help_needs_nothing_heavy(root):
    script = (
        "import sys, app\n"
        "try: app.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    said = python(root, "-c", script).stdout
    loaded = said.splitlines()[-1]
    assert "--blind SHARE" in said
    for name in ("gradio", "duckdb", "polars", "av", "numpy", "fastapi", *HEAVY.split()):
        assert f"'{name}'" not in loaded


def test_the_server_starts_where_there_is_no_torch(root):
    script = (
        "import sys\n"
        f"for name in '{HEAVY}'.split(): sys.modules[name] = None  # importing it is an error\n"
        "from annotate import server, ui\n"
        "ui.build()"
    )
    done = python(root, "-c", script)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("option", "value"), [("--blind", "1.5"), ("--redundancy", "0"), ("--port", "70000")]
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, capsys, option, value):
    assert app.main(["--db", str(tmp_path / "prefs.duckdb"), option, value]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{option} is {value}")
    assert said.count("\n") == 1


def test_a_busy_port_leads_to_the_next_free_one():
    with server.listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with server.listen("127.0.0.1", port) as second:
            assert port < second.getsockname()[1] < port + server.PORTS_TRIED


def test_an_address_of_another_machine_is_refused_with_what_to_do():
    with pytest.raises(UserError, match="--host an address of this machine"):
        server.listen("192.0.2.1", 7860)  # TEST-NET-1: nobody's address


def test_ctrl_c_is_a_good_end(root, tmp_path):
    command = [sys.executable, "app.py", "--db", str(tmp_path / "prefs.duckdb"), "--port", "0"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert "Second Look is at" in started.stdout.readline()
        started.send_signal(signal.SIGINT)
        assert started.wait(30) == 0
