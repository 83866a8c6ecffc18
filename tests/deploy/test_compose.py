"""The examples for Docker Compose and systemd: what they start is checked, run, and kept from what it does not need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway import __version__
from gateway.config.load import load
from gateway.config.schema import Wire
from tests.e2e.harness.net import free_port

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "compose"
UNIT = ROOT / "deploy" / "systemd" / "toolgate.service"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
PLACES = {"/etc/toolgate": "config", "/run/secrets": "secrets", "/var/lib/toolgate": "state"}


def seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)s?", text)
    assert found is not None
    return float(found[1])


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example as it is after setup.sh, with its places on this machine instead of a container."""
    shutil.copytree(FOLDER, tmp_path / "compose", ignore=shutil.ignore_patterns("secrets"))
    folder = tmp_path / "compose"
    subprocess.run(["sh", folder / "setup.sh"], check=True)
    (folder / "state").mkdir()
    for name in COMPOSE["secrets"]:
        source = folder / COMPOSE["secrets"][name]["file"]
        (folder / "secrets" / name).write_bytes(source.read_bytes())
    config = folder / "config" / "config.yaml"
    text = config.read_text()
    for place, name in PLACES.items():
        text = text.replace(place, str(folder / name))
    config.write_text(text)
    return folder


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "user"} & service.keys()
    assert not [one for one in service.get("volumes", ()) if "docker.sock" in one]
    assert service["image"] == f"${{TOOLGATE_IMAGE:-toolgate:{__version__}}}"


def test_the_agent_reaches_the_gateway_and_nothing_else() -> None:
    assert SERVICES["agent"]["networks"] == ["agents"]
    assert COMPOSE["networks"]["agents"] == {"internal": True}
    assert [name for name, service in SERVICES.items() if "agents" in service["networks"]] == ["toolgate", "agent"]
    assert "ports" not in SERVICES["agent"]


def test_agent_and_gateway_have_their_own_secrets() -> None:
    assert SERVICES["agent"]["secrets"] == ["agent_key"]
    assert "agent_key" not in SERVICES["toolgate"]["secrets"]
    assert "toolgate_admin" in SERVICES["toolgate"]["secrets"]


def test_what_is_mounted_is_there_and_the_configuration_as_a_folder() -> None:
    mounts = [one.split(":")[0] for service in SERVICES.values() for one in service.get("volumes", ())]
    files = [FOLDER / one for one in mounts if one.startswith("./")]
    assert all(file.exists() for file in files)
    assert FOLDER / "config" in files


def test_only_the_console_is_published_and_on_this_machine_only() -> None:
    published = [one for service in SERVICES.values() for one in service.get("ports", ())]
    assert published == ["127.0.0.1:9090:9090"]


def test_containers_and_services_are_given_the_time_that_calls_are() -> None:
    drain = Wire().drain
    assert seconds(SERVICES["toolgate"]["stop_grace_period"]) > drain
    (stop,) = re.findall(r"^TimeoutStopSec=(.+)$", UNIT.read_text(), re.MULTILINE)
    assert seconds(stop) > drain


def test_the_configuration_loads_without_warnings(example: Path) -> None:
    loaded = load(example / "config" / "config.yaml")
    assert not loaded.warnings
    assert loaded.config.admin.probes is not None
    assert loaded.config.admin.asks


def test_secrets_are_made_once_and_the_gateway_knows_the_hash(example: Path) -> None:
    before = {file.name: file.read_bytes() for file in (example / "secrets").iterdir()}
    subprocess.run(["sh", example / "setup.sh"], check=True)
    assert {file.name: file.read_bytes() for file in (example / "secrets").iterdir()} == before
    hashed = subprocess.run(
        [sys.executable, "-m", "gateway", "hash-key"], input=before["agent-key"], capture_output=True, check=True
    )
    assert before["agent-key.sha256"].strip() in hashed.stdout


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def files(example: Path) -> Iterator[int]:
    """The example's tool: the port of a server of its folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(example)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_the_example_s_agent_gets_what_it_is_granted(example: Path, files: int) -> None:
    config = example / "config" / "config.yaml"
    listen, admin, probes = free_port(), free_port(), free_port()
    ports = {"0.0.0.0:8080": listen, "0.0.0.0:9090": admin, "127.0.0.1:9091": probes, "files:7000": files}
    text = config.read_text()
    for place, port in ports.items():
        text = text.replace(place, f"127.0.0.1:{port}")
    config.write_text(text)
    environment = {**os.environ, "TOOLGATE_CONFIG": str(config)}
    command = [sys.executable, "-m", "gateway"]
    process = subprocess.Popen([*command, "run"], env=environment, stdout=subprocess.DEVNULL)
    try:
        subprocess.run([*command, "health", "--wait", "30"], env=environment, check=True, stdout=subprocess.DEVNULL)
        environment |= {"TOOLGATE_URL": f"http://127.0.0.1:{listen}", "AROUND_URL": f"http://127.0.0.1:{free_port()}/"}
        environment["AGENT_KEY_FILE"] = str(example / "secrets" / "agent-key")
        done = subprocess.run([sys.executable, example / "agent.py"], env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (
            0,
            "through the gateway: 200, not granted: 403, around it: no way\n",
        ), done.stderr
    finally:
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_unit_is_understood_and_confined(tmp_path: Path) -> None:
    """By systemd's own measure: 0 is the most confined, 10 is not at all."""
    program = tmp_path / "toolgate"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/toolgate/bin/toolgate", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    measured = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit], capture_output=True, text=True
    )
    assert measured.returncode == 0, measured.stdout
