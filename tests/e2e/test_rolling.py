"""Replicas are replaced under load, and files as Kubernetes swaps them: no call is lost, and no edit."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.stores.redis_server import RedisServer

from .harness.balancer import Balancer
from .harness.gateway import ALL, Gateway, call
from .harness.net import eventually
from .harness.upstream import Upstream
from .test_drain import Load

BUDGET = """
---
apiVersion: toolgate/v1
kind: Budget
metadata: {name: calls}
spec: {per: [agent], window: day, calls: 1000000}
"""
PRE_STOP = 0.2
"""Seconds from when a replica is out of rotation until it gets SIGTERM, as its preStop hook waits."""


@pytest.fixture
def replicas(tmp_path: Path, upstream: Upstream) -> Iterator[list[Gateway]]:
    """Two gateways that share a store."""
    server = RedisServer()
    tool = {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}
    state = f"redis://127.0.0.1:{server.port}/0?prefix=rolling:"
    made = [Gateway(tmp_path / name, tool, ALL + BUDGET, state=state, wire={"drain": "10s"}) for name in ("a", "b")]
    yield [one.start() for one in made]
    for one in made:
        one.stop()
    server.stop()


def test_replicas_are_replaced_one_by_one_and_no_call_is_lost(replicas: list[Gateway]) -> None:
    balancer = Balancer(*[one.port for one in replicas])
    load = Load(balancer)
    load.start(keeping=3, fresh=2)
    try:
        eventually(lambda: load.answered > 50, what="calls are answered")
        for replica in replicas:
            before = load.answered
            balancer.take_out(replica.port)
            time.sleep(PRE_STOP)
            replica.signal(signal.SIGTERM)
            assert replica.wait(15) == 0
            replica.start()
            balancer.put_in(replica.port)
            eventually(lambda: load.answered > before + 50, what="calls are answered meanwhile")
    finally:
        load.finish()
        balancer.close()
    assert load.lost == []

    def recorded() -> list[object]:
        return [trace for one in replicas for trace in one.traces() if trace["status"] == 200]

    eventually(lambda: len(recorded()) >= load.answered, what="every call that was answered is in the records")


class Mounted:
    """A folder as the kubelet mounts a ConfigMap: links into a folder that is exchanged as a whole (AtomicWriter)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0

    def swap(self, files: dict[str, str]) -> None:
        """Exchange all files in one step."""
        self._number += 1
        fresh = self.folder / f"..2026_12_01_00_00_{self._number:02}"
        fresh.mkdir(parents=True)
        for name, text in files.items():
            (fresh / name).write_text(text)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(Path("..data") / name)
        old = self.folder / "..data"
        before = os.readlink(old) if old.is_symlink() else None
        (self.folder / "..data_tmp").symlink_to(fresh.name)
        (self.folder / "..data_tmp").rename(old)
        if before is not None:
            shutil.rmtree(self.folder / before)


def test_a_config_map_that_is_swapped_takes_effect(
    tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    """Policies and configuration, each several times: what watches one file only misses the second swap."""
    tool = {"url": f"http://127.0.0.1:{upstream.port}"}
    gateway = Gateway(tmp_path / "gateway", {"raw": tool})
    policies, config = Mounted(tmp_path / "policies"), Mounted(tmp_path / "config")
    closed = ALL + "---\napiVersion: toolgate/v1\nkind: Policy\nmetadata: {name: closed}\n"
    closed += "spec: {rules: [{name: all, when: 'true', then: deny, message: closed}]}\n"
    gateway.config |= {"policies": str(policies.folder), "tools": {"raw": tool, "x": tool}}
    written = {name: yaml.safe_dump({**gateway.config, "tools": {"raw": tool, name: tool}}) for name in ("x", "y")}
    policies.swap({"all.yaml": ALL})
    config.swap({"toolgate.yaml": written["x"]})
    gateway.file = config.folder / "toolgate.yaml"
    took = []
    gateway.start()
    try:
        for text, status in ((closed, 403), (ALL, 200), (closed, 403), (ALL, 200)):
            swapped = time.monotonic()
            policies.swap({"all.yaml": text})
            eventually(lambda: call(gateway, "GET", "/raw/x").status == status)
            took.append(time.monotonic() - swapped)
        for name, other in (("y", "x"), ("x", "y")):
            swapped = time.monotonic()
            config.swap({"toolgate.yaml": written[name]})
            eventually(lambda: call(gateway, "GET", f"/{name}/x").status == 200)
            assert call(gateway, "GET", f"/{other}/x").status == 404
            took.append(time.monotonic() - swapped)
    finally:
        gateway.stop()
    with capsys.disabled():
        print(f"\nfrom the swap to the first call that meets it: {', '.join(f'{one:.2f}' for one in took)} s")
