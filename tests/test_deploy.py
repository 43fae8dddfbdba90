"""The compose file and what it names agree with the project; docker itself is not run here."""

import re
from pathlib import Path

import pytest

from data import clips, remote

yaml = pytest.importorskip("yaml")


@pytest.fixture(scope="module")
def compose(root: Path) -> dict:
    return yaml.safe_load((root / "deploy" / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def proxy(root: Path) -> str:
    return (root / "deploy" / "nginx.conf").read_text()


def test_the_proxy_knows_every_replica_and_no_other(compose: dict, proxy: str) -> None:
    services = compose["services"].items()
    replicas = {name for name, one in services if "app.py" in one.get("command", [])}
    assert len(replicas) == 2
    assert set(re.findall(r"server (\w+):7860", proxy)) == replicas


def test_the_replicas_share_database_and_clips_and_no_cache(compose: dict) -> None:
    one, other = compose["services"]["app1"], compose["services"]["app2"]
    assert one["command"] == other["command"]
    assert one["environment"] == other["environment"]
    assert {clips.HOME, remote.CACHE} <= one["environment"].keys()
    assert one["volumes"] != other["volumes"]
    url = one["command"][one["command"].index("--db") + 1]
    user, host, name = re.fullmatch(r"postgresql://(\w+)@(\w+)/(\w+)", url).groups()
    database = compose["services"][host]["environment"]
    assert (database["POSTGRES_USER"], database["POSTGRES_DB"]) == (user, name)


def test_every_volume_and_dependency_exists(compose: dict, root: Path) -> None:
    named = set(compose["volumes"])
    for one in compose["services"].values():
        assert set(one.get("depends_on", {})) <= compose["services"].keys()
        for volume in one.get("volumes", []):
            source = volume.split(":")[0]
            assert source in named or (root / "deploy" / source).exists(), source
    text = (root / "deploy" / "compose.yaml").read_text()
    assert "fsync=off" not in text
    assert not re.search(r"PASSWORD: (?!\$\{)", text), "a password in the file"


def test_stickiness_is_by_the_cookie_that_the_app_sets(proxy: str, root: Path) -> None:
    rights = root / "annotate" / "rights.py"
    if not rights.exists():
        pytest.skip("the app is not in this checkout")
    cookie = re.search(r'^COOKIE = "(\w+)"', rights.read_text(), re.MULTILINE).group(1)
    assert f"$cookie_{cookie}" in proxy


def test_the_image_leaves_out_what_the_app_may_not_import(root: Path) -> None:
    dockerfile = (root / "deploy" / "Dockerfile").read_text()
    left_out = set(re.search(r"\^\(([\w|]+)\)", dockerfile).group(1).split("|"))
    assert {"torch", "torchvision", "diffusers", "transformers", "peft"} <= left_out
    wanted = (root / "requirements.txt").read_text()
    packages = set(re.findall(r"^([\w-]+)", wanted, re.MULTILINE))
    assert left_out <= packages
    assert {"gradio", "duckdb", "polars", "pyarrow", "fsspec"} <= packages - left_out
