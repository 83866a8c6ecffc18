"""A gateway that runs by what is injected: its arguments, its files, its probes, the end of its pod."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.deploy.tools.fetch import Tools
from tests.e2e.harness.net import eventually, free_port

from .chart import ROOT, render, settings
from .mounted import config_in
from .test_injection import PLAIN, inject


def ask(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    """Of an agent that says it is another."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, headers={"x-agent-id": "treasurer"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_sidecar_answers_its_probes_knows_its_agent_and_ends(tooling: Tools, tmp_path: Path) -> None:
    ports = {"gateway": free_port(), "probes": free_port()}
    admin = {"listen": f"127.0.0.1:{free_port()}"}
    given = [f"ports.{name}={port}" for name, port in ports.items()]
    given += [f'config.admin.listen="{admin["listen"]}"', 'injector.kind="policy"']
    rendered = render(tooling.helm4, "sidecar", *settings(given))
    spec = inject(rendered, PLAIN)["spec"]
    (sidecar,) = spec["initContainers"]
    path, _ = config_in(rendered, spec, sidecar, tmp_path)
    arguments = [str(path) if argument == "/etc/toolgate/config.yaml" else argument for argument in sidecar["args"]]
    named = {"TOOLGATE_POD_NAMESPACE": "agents", "TOOLGATE_SERVICE_ACCOUNT": "reporter"}
    assert set(named) == {variable["name"] for variable in sidecar["env"]}
    with (tmp_path / "records").open("wb") as records:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments], cwd=ROOT, stdout=records, env=os.environ | named
        )
    try:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked: dict[str, Any] = sidecar[probe]["httpGet"]
            assert asked["port"] == ports["probes"]
            eventually(lambda path=asked["path"]: _is_well(process, ports["probes"], path), 30, f"{probe} succeeds")
        status, body = ask(ports["gateway"], "/github/repos", "DELETE")
        assert (status, b"not_granted" in body) == (403, True), body
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert b"system:serviceaccount:agents:reporter" in (tmp_path / "records").read_bytes()


def _is_well(process: subprocess.Popen[bytes], port: int, path: str) -> bool:
    assert process.poll() is None, "the gateway ended"
    try:
        return ask(port, path)[0] == 200
    except OSError:
        return False
