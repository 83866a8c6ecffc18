"""One pod for all: a real gateway in it, real rules around it, real servers outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.e2e.harness.net import eventually
from tests.e2e.harness.tls import certificate

from .space import GATEWAY, OUTSIDE, Space, missing

ROOT = Path(__file__).parents[3]
PORT, TRANSPARENT = 8080, 15001
POLICIES = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: everyone}
spec: {agents: ["pod", "named"], tools: ["*"]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: safety}
spec:
  match: {tools: [tool]}
  rules: [{name: no-wiping, when: 'request.path.startsWith("/wipe")', then: deny, message: nothing is wiped}]
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: tunnels}
spec:
  match: {tools: [shut]}
  rules: [{name: shut, when: 'true', then: deny, message: no tunnels there}]
"""
TOOLS: dict[str, dict[str, Any]] = {
    "tool": {"url": "http://tool.example", "credential": {"bearer": "s3cret"}},
    "fresh": {"url": "http://tool.example:8080"},
    "six": {"url": "http://six.example:8080"},
    "safe": {"url": "https://safe.example", "connect": True},
    "shut": {"url": "https://other.example", "connect": True},
}


class Pod(NamedTuple):
    """The pod, and what it is known by."""

    space: Space
    folder: Path
    authority: Path

    def outside(self) -> list[dict[str, Any]]:
        """All that has reached anybody outside."""
        return [json.loads(line) for line in (self.folder / "outside.log").read_text().splitlines()]

    def traces(self) -> list[dict[str, Any]]:
        """The gateway's records."""
        return [json.loads(line) for line in (self.folder / "trace.jsonl").read_bytes().split(b"\n")[:-1]]

    def trace(self, **expected: Any) -> dict[str, Any]:
        """The record that has these values, waited for."""
        found = lambda: [one for one in self.traces() if all(one.get(key) == expected[key] for key in expected)]  # noqa: E731
        return eventually(found, what=f"a record with {expected}")[-1]

    def agent(self, program: str, *arguments: str, uid: int = 10002) -> Any:
        """What an agent's program prints, as JSON."""
        return json.loads(self.space.python(self.space.pod, uid, program, *arguments))


@pytest.fixture(scope="session")
def bare() -> Iterator[Pod]:
    """A pod without rules."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="toolgate-pod-"))
    try:
        folder.chmod(0o755)
        shown = certificate(folder, "safe.example")
        with Space(folder).made() as space:
            pod = Pod(space, folder, shown)
            world = [sys.executable, str(Path(__file__).with_name("world.py")), str(shown), f"{shown}.key"]
            with (folder / "outside.log").open("wb") as log:
                process = subprocess.Popen(space.argv(space.outside, 0, world), stdout=log)
            try:
                eventually(pod.outside, what="the servers outside are ready")
                yield pod
            finally:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def pod(bare: Pod) -> Iterator[Pod]:
    """The pod with its gateway and its rules, and a nameserver outside."""
    folder = bare.folder
    safe = {**TOOLS["safe"], "tls": {"ca_file": str(bare.authority)}}
    (folder / "policies").mkdir()
    (folder / "policies" / "all.yaml").write_text(POLICIES)
    config = {
        "listen": f"127.0.0.1:{PORT}",
        "listen_transparent": TRANSPARENT,
        "admin": "127.0.0.1:9090",
        "policies": "./policies",
        "identify": [{"header": "x-agent-id"}, {"anonymous": "pod"}],
        "wire": {"head_timeout": "1s"},
        "trace": {"file": str(folder / "trace.jsonl")},
        "tools": {**TOOLS, "safe": safe},
    }
    (folder / "toolgate.yaml").write_text(yaml.safe_dump(config))
    (folder / "trace.jsonl").touch()
    os.chown(folder / "trace.jsonl", GATEWAY, GATEWAY)
    resolvers = [word for address in OUTSIDE for word in ("--dns", address)]
    bare.space.redirect("apply", "--uid", str(GATEWAY), "--port", str(TRANSPARENT), *resolvers)
    command = [sys.executable, "-m", "gateway", "run", "-c", str(folder / "toolgate.yaml")]
    output = folder / "output.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            bare.space.argv(bare.space.pod, GATEWAY, command), stdout=log, stderr=log, cwd=ROOT
        )  # fmt: skip
    try:
        eventually(lambda: process.poll() is not None or "policy" in output.read_text(), 30, "the gateway is ready")
        assert process.poll() is None, output.read_text()
        yield bare
    finally:
        process.terminate()
        assert process.wait(20) == 0
        assert "Traceback" not in output.read_text(), output.read_text()
