"""A pod of three containers of the image, as Kubernetes would run it: the redirect first, then the gateway, then an
agent. `make test-image` runs it; where root or the tools are missing it is skipped, and says why."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy import engine
from tests.deploy.engine import NAME, runner, told
from tests.deploy.netns.conftest import POLICIES, Pod
from tests.deploy.netns.programs import GET, SECURE, TCP, UDP
from tests.deploy.netns.space import AGENT, GATEWAY, OUTSIDE, Space, missing
from tests.e2e.harness.net import eventually
from tests.e2e.harness.tls import certificate

pytestmark = pytest.mark.skipif(bool(engine.why_not() or missing()), reason=engine.why_not() or missing())

TAG = f"{NAME}:pod"


class Containers:
    """The pod's containers, which share its network and nothing else."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        hosts = ("-v", f"{pod.space.hosts}:/etc/hosts:ro", "--no-hosts")
        self.shared = (f"--network=ns:/run/netns/{pod.space.pod}", *hosts)
        self.gateway = f"toolgate-check-{pod.space.pod}"

    def redirect(self, *arguments: str) -> str:
        """The init container: root, and nothing but CAP_NET_ADMIN."""
        rights = ("--rm", "--user=0", "--cap-add=NET_ADMIN")
        return told(*runner(*rights, *self.shared, TAG), "redirect", *arguments, patience=60)

    def start(self) -> None:
        """The sidecar, by the user that it has in pods: the image knows no such user."""
        mounted = (f"--user={GATEWAY}:{GATEWAY}", "-v", f"{self.pod.folder}/etc:/etc/toolgate:ro")
        told(*runner("--detach", "--name", self.gateway, *self.shared, *mounted, TAG))
        eventually(lambda: "policy" in told("podman", "logs", self.gateway), 30, "the gateway is ready")

    def agent(self, program: str, *arguments: str) -> object:
        """What a program prints in the agent's container: another user, no capability."""
        user = ("--rm", f"--user={AGENT}:{AGENT}", "-v", f"{self.pod.authority}:/authority.pem:ro")
        said = told(*runner(*user, *self.shared, "--entrypoint", "python", TAG), "-I", "-c", program, *arguments)
        return json.loads(said)


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    scratch = tmp_path_factory.mktemp("image")
    engine.provide_base(scratch)
    engine.build("pod", engine.context_in(scratch / "context"))
    folder = Path(tempfile.mkdtemp(prefix="toolgate-pod-"))
    try:
        folder.chmod(0o755)
        shown = certificate(folder, "safe.example")
        (folder / "etc/policies").mkdir(parents=True)
        (folder / "etc/policies/all.yaml").write_text(POLICIES)
        config = {
            "listen": "127.0.0.1:8080",
            "listen_transparent": 15001,
            "policies": "./policies",
            "identify": [{"anonymous": "pod"}],
            "trace": {"file": "-"},
            "tools": {
                "tool": {"url": "http://tool.example"},
                "safe": {"url": "https://safe.example", "connect": True},
                "shut": {"url": "https://other.example", "connect": True},
            },
        }
        (folder / "etc/config.yaml").write_text(yaml.safe_dump(config))
        with Space(folder).made() as space:
            pod = Pod(space, folder, shown)
            world = [sys.executable, str(Path(__file__).parent / "netns" / "world.py"), str(shown), f"{shown}.key"]
            with (folder / "outside.log").open("wb") as log:
                process = subprocess.Popen(space.argv(space.outside, 0, world), stdout=log)
            made = Containers(pod)
            try:
                eventually(pod.outside, what="the servers outside are ready")
                yield made
            finally:
                told("podman", "rm", "--force", "--ignore", made.gateway)
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder)
        told("podman", "rmi", "--force", TAG)


def test_a_pod_of_containers(containers: Containers) -> None:
    """In the order of their start: init container, sidecar, agent."""
    assert containers.agent(UDP, OUTSIDE[0], "443", "before") == "before", "without rules it gets out"
    assert "lead to port 15001" in containers.redirect("apply", "--uid", str(GATEWAY), "--dns", OUTSIDE[0])
    assert str(containers.agent(TCP, OUTSIDE[0], "80", "GET / HTTP/1.0\r\n\r\n")).startswith("failed: ")
    containers.start()
    status, body, call = containers.agent(GET, "http://tool.example/from-a-container")  # type: ignore[misc]
    assert (status, body, bool(call)) == (200, "80 answers", True)
    shown, _ = containers.agent(SECURE, OUTSIDE[1], "safe.example", "443", "/authority.pem")  # type: ignore[misc]
    assert shown == "safe.example"
    status, body, _ = containers.agent(GET, f"http://{OUTSIDE[0]}/around")  # type: ignore[misc]
    assert (status, json.loads(body)["reason"]) == (403, "unknown_tool")
    assert str(containers.agent(UDP, OUTSIDE[1], "443", "after")).startswith("failed: ")
    told("podman", "stop", "--time", "20", containers.gateway)
    assert told("podman", "wait", containers.gateway).strip() == "0"
    assert str(containers.agent(TCP, OUTSIDE[0], "80", "GET / HTTP/1.0\r\n\r\n")).startswith("failed: ")
