"""The wheel in an empty environment: `make test-dist`. Without extras it must run, with SQLite and the console."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gateway import __version__
from tests.e2e.harness.net import eventually, free_port

ROOT = Path(__file__).parents[2]
RELEASE = ROOT / ".venv-release" / "bin"
POLICIES = 'apiVersion: toolgate/v1\nkind: Grant\nmetadata: {name: all}\nspec: {agents: ["*"], tools: ["*"]}\n'
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has the wheel and what it needs, as locked."""
    folder = tmp_path_factory.mktemp("fresh")
    wheel = ROOT / "dist" / f"toolgate-{__version__}-py3-none-any.whl"
    subprocess.run([RELEASE / "uv", "venv", "--quiet", "--python", sys.executable, folder / "env"], check=True)
    install = [RELEASE / "uv", "pip", "install", "--quiet", "--python", folder / "env"]
    subprocess.run([*install, "-c", ROOT / "constraints.txt", wheel], check=True)
    return folder / "env" / "bin"


def told(*command: str | Path, folder: Path) -> str:
    """What a command says, run beside no checkout."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def running(installed: Path, tmp_path: Path) -> Iterator[Path]:
    """The folder of a gateway that runs by the installed package."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "all.yaml").write_text(POLICIES)
    config = {
        "listen": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}", "state": "sqlite:///state.db",
        "policies": "./policies", "identify": [{"header": "x-agent-id"}], "trace": {"store": {}},
        "tools": {"raw": {"url": "http://127.0.0.1:9"}},
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    begun = time.monotonic()
    environment = {**os.environ, "TOOLGATE_CONFIG": str(tmp_path / "config.yaml")}
    process = subprocess.Popen([installed / "toolgate", "run"], cwd=tmp_path, env=environment)
    try:
        told(installed / "toolgate", "health", "-c", "config.yaml", "--wait", "30", folder=tmp_path)
        print(f"ready after {time.monotonic() - begun:.2f} s")
        yield tmp_path
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_it_runs_without_extras(installed: Path, running: Path) -> None:
    assert __version__ in told(installed / "toolgate", "--version", folder=running)
    assert told(installed / "toolgate", "health", "-c", "config.yaml", "--live", folder=running) == "alive\n"
    told(installed / "toolgate", "quarantine", "add", "agent", "a", "-c", "config.yaml", folder=running)
    kept = eventually(lambda: (running / "state.db").exists() and (running / "traces.db").exists(), 10, "both stores")
    assert kept
    with sqlite3.connect(running / "state.db") as state:
        assert state.execute("select count(*) from sqlite_master").fetchone()[0] > 0


def test_its_library_checks(installed: Path, tmp_path: Path) -> None:
    library = installed.parent / "share" / "toolgate" / "policies" / "library"
    assert "passed" in told(installed / "toolgate", "test", library / "money_test.yaml", folder=tmp_path)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("lock", ["requirements.lock", "deploy/image/requirements-full.lock"])
def test_every_locked_package_has_a_wheel_for(lock: str, platform: str, tmp_path: Path) -> None:
    """The image is built for both; nothing in it is compiled."""
    command = [RELEASE / "uv", "pip", "install", "--dry-run", "--require-hashes", "--only-binary=:all:", "--target",
               tmp_path, "--python-platform", platform, "--python-version", "3.13", "-r", ROOT / lock]  # fmt: skip
    assert "Would install" in told(*command, folder=tmp_path)


def test_the_same_sources_are_the_same_wheel(tmp_path: Path) -> None:
    """Also where their files have other times: the source distribution, unpacked twice."""
    sums = set()
    for name, moment in (("one", 1_600_000_000), ("two", 1_700_000_000)):
        with tarfile.open(ROOT / "dist" / f"toolgate-{__version__}.tar.gz") as source:
            source.extractall(tmp_path / name, filter="data")
        for path in (tmp_path / name).rglob("*"):
            os.utime(path, (moment, moment))
        unpacked = tmp_path / name / f"toolgate-{__version__}"
        told(RELEASE / "python", "-m", "build", "--wheel", "--outdir", tmp_path, unpacked, folder=tmp_path)
        sums.add(hashlib.sha256((tmp_path / f"toolgate-{__version__}-py3-none-any.whl").read_bytes()).hexdigest())
    assert len(sums) == 1
