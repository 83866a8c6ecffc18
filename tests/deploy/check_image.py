"""The image, built and run for real: read-only, without capabilities, as nobody's user. `make test-image` runs it;
where root or the tools are missing it is skipped, and says why."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gateway import __version__
from tests.deploy import engine
from tests.deploy.engine import NAME, ROOT, run, runner, told
from tests.e2e.harness.http1 import read_response, request
from tests.e2e.harness.net import connect, eventually, free_port
from tests.e2e.harness.upstream import Upstream

pytestmark = pytest.mark.skipif(bool(engine.why_not()), reason=engine.why_not())

MOST_BYTES = 120 * 10**6
USER = 10001
POLICIES = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: everyone}
spec: {agents: ["*"], tools: ["*"], operations: ["GET *"]}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """The image, built twice from sources of different times: what the engine knows of the first."""
    scratch = tmp_path_factory.mktemp("image")
    engine.provide_base(scratch)
    context = engine.context_in(scratch / "context")
    engine.build("one", context, "--build-arg", f"VERSION={__version__}", "--build-arg", "REVISION=abc")
    for path in context.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    engine.build("two", context)
    yield engine.inspect("one")
    told("podman", "rmi", "--force", f"{NAME}:one", f"{NAME}:two")


@pytest.fixture(scope="module")
def mounted(image: dict[str, object]) -> Iterator[Path]:
    """The root of the image."""
    yield Path(told("podman", "image", "mount", f"{NAME}:one").strip())
    told("podman", "image", "unmount", f"{NAME}:one")


def files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in root.rglob("*"):
        yield path.relative_to(root), path.lstat()


def test_the_dockerfile_has_no_findings() -> None:
    told(str(ROOT / ".venv-release" / "bin" / "hadolint"), str(ROOT / "Dockerfile"))


def test_it_is_small(image: dict[str, object]) -> None:
    size = image["Size"]
    assert isinstance(size, int)
    print(f"image: {size / 1e6:.1f} MB")
    assert size < MOST_BYTES


def test_the_same_sources_are_the_same_image(image: dict[str, object]) -> None:
    assert engine.inspect("two")["RootFS"] == image["RootFS"]


def test_what_it_says_of_itself(image: dict[str, object]) -> None:
    config = image["Config"]
    assert isinstance(config, dict)
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.revision"] == "abc"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.base.name"].startswith("python:3.13-slim")
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == (f"{USER}:{USER}", ["toolgate"], ["run"])
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert image["Healthcheck"]["Test"] == ["CMD", "toolgate", "health"]  # type: ignore[index]


def test_there_is_no_shell_and_nothing_that_installs(mounted: Path) -> None:
    programs = {
        path.name
        for path, status in files(mounted)
        if path.parent.name in ("bin", "sbin") and stat.S_ISREG(status.st_mode)
    }
    assert {name.rstrip("0123456789.") for name in programs} == {"python", "toolgate", "nft"}
    assert not [path for path, _ in files(mounted) if path.name in ("pip", "setuptools", "apt", "dpkg-query")]


def test_nothing_gives_rights_and_only_the_state_is_the_users(mounted: Path) -> None:
    found = {str(path): status for path, status in files(mounted) if not stat.S_ISLNK(status.st_mode)}
    assert not [name for name, status in found.items() if status.st_mode & (stat.S_ISUID | stat.S_ISGID)]
    assert [name for name, status in found.items() if status.st_mode & stat.S_IWOTH] == ["tmp"]
    assert [name for name, status in found.items() if status.st_uid != 0] == ["var/lib/toolgate"]
    assert found["var/lib/toolgate"].st_uid == USER


def test_scanners_know_its_packages(mounted: Path) -> None:
    status = mounted / "var/lib/dpkg/status.d"
    known = {file.name: file.read_text() for file in status.iterdir()}
    assert {"libc6", "libssl3t64", "libsqlite3-0", "nftables", "ca-certificates"} <= known.keys()
    assert re.search(r"^Version: \d", known["libc6"], re.MULTILINE)
    site = next((mounted / "opt/toolgate/lib").glob("python3*/site-packages"))
    assert (site / f"toolgate-{__version__}.dist-info" / "METADATA").exists()
    assert list(site.glob("aiohttp-*.dist-info/METADATA"))


def test_without_a_configuration_it_says_what_to_mount(image: dict[str, object]) -> None:
    assert "-v ./toolgate:/etc/toolgate:ro" in run(rc=1)


def test_it_knows_authorities_and_databases(image: dict[str, object]) -> None:
    code = "import ssl, sqlite3, redis; print(len(ssl.create_default_context().get_ca_certs()) > 50)"
    assert run("--entrypoint", "python", command=["-c", code]).strip() == "True"


def test_its_policies_can_be_copied(mounted: Path) -> None:
    library = mounted / "opt/toolgate/share/toolgate/policies/library"
    assert {file.name for file in library.iterdir()} == {file.name for file in (ROOT / "policies/library").iterdir()}


def test_the_redirect_can_be_set_with_one_capability(image: dict[str, object]) -> None:
    command = ["redirect", "apply", "--uid", str(USER), "--no-dns"]
    assert run("--user=0", "--cap-add=NET_ADMIN", command=command).strip()
    assert "CAP_NET_ADMIN" in run(command=command, rc=1)


class Container:
    """The image as a gateway on this machine's loopback, with a volume for its state."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        self.upstream = upstream
        self.port, self.probes, admin = free_port(), free_port(), free_port()
        self.name = f"toolgate-check-{self.port}"
        (folder / "etc/policies").mkdir(parents=True)
        self.state = folder / "state"
        self.state.mkdir()
        os.chown(self.state, USER, USER)
        (folder / "etc/policies/all.yaml").write_text(POLICIES)
        config = {
            "listen": f"127.0.0.1:{self.port}",
            "admin": {"listen": f"127.0.0.1:{admin}", "probes": f"127.0.0.1:{self.probes}"},
            "state": "sqlite:////var/lib/toolgate/state.db",
            "policies": "./policies",
            "identify": [{"anonymous": "tester"}],
            "trace": {"file": "-", "store": {"path": "/var/lib/toolgate/traces.db"}},
            "tools": {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}},
        }
        (folder / "etc/config.yaml").write_text(yaml.safe_dump(config))
        self.begun = time.monotonic()
        volumes = ("-v", f"{folder}/etc:/etc/toolgate:ro", "-v", f"{self.state}:/var/lib/toolgate")
        told(*runner("--detach", "--network=host", "--name", self.name, *volumes, f"{NAME}:one"))
        eventually(self.ready, 30, "the container is ready")
        print(f"ready after {time.monotonic() - self.begun:.2f} s, podman included")

    def ready(self) -> bool:
        done = subprocess.run(self.inside("toolgate", "health"), capture_output=True)
        return done.returncode == 0

    def inside(self, *command: str) -> list[str]:
        return ["podman", "--runtime", "runc", "exec", self.name, *command]

    def status(self, path: str, method: str = "GET") -> int:
        with self.upstream.recording(), connect(self.port) as peer:
            peer.send(request(method, path))
            return read_response(peer).status

    def pid(self) -> int:
        return int(told("podman", "inspect", "--format", "{{.State.Pid}}", self.name))


@pytest.fixture(scope="module")
def container(image: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    upstream = Upstream()
    one = Container(tmp_path_factory.mktemp("container"), upstream)
    yield one
    told("podman", "rm", "--force", "--ignore", one.name)
    upstream.close()


def test_it_runs_without_rights(container: Container) -> None:
    told_by_kernel = Path(f"/proc/{container.pid()}/status").read_text()
    status = dict(re.findall(r"^(\w+):\s*(.+)$", told_by_kernel, re.MULTILINE))
    assert status["Uid"].split() == [str(USER)] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_calls_are_made_and_refused_and_remembered(container: Container) -> None:
    assert container.status("/raw/") == 200
    assert container.status("/raw/", "DELETE") == 403
    eventually(lambda: "DELETE" in told(*container.inside("toolgate", "calls")), 10, "the call is in the store")
    assert {"state.db", "traces.db"} <= {file.name for file in container.state.iterdir()}


def test_it_ends_by_itself_when_told_to(container: Container) -> None:
    """As the first process of its namespace, where a signal without a handler is not delivered."""
    told("podman", "kill", "--signal", "TERM", container.name)
    assert told("podman", "wait", container.name).strip() == "0"
    assert "Traceback" not in told("podman", "logs", container.name)
