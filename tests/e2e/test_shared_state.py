"""Gateways that share a Redis, and one that keeps its state in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.redis_server import RedisServer

from .harness.gateway import ALL, Gateway, call
from .harness.net import eventually
from .harness.upstream import Upstream

LIMIT = """
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: fifty}
spec: {match: {tools: [raw]}, per: [agent], rate: 50/d, burst: 50, mode: reject}
"""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def replicas(tmp_path: Path, upstream: Upstream, server: RedisServer) -> Iterator[list[Gateway]]:
    tools = {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}
    both = [
        Gateway(tmp_path / name, tools, ALL + LIMIT, state=f"redis://:hunter2@127.0.0.1:{server.port}/0?prefix=e2e:")
        for name in ("one", "other")
    ]
    server.require("hunter2")
    for gateway in both:
        gateway.start()
    yield both
    for gateway in both:
        gateway.stop()
        assert "Traceback" not in gateway.output, gateway.output
        assert "hunter2" not in gateway.output


def test_a_limit_of_fifty_lets_fifty_through_two_gateways(replicas: list[Gateway], upstream: Upstream) -> None:
    with upstream.recording() as seen:
        answers = [call(replicas[each % 2], "GET", "/raw/x").status for each in range(110)]
    assert answers.count(200) == 50
    assert answers.count(429) == 60
    assert seen.turns == 50


def test_gateways_say_how_they_stand_with_redis_and_go_on_without_it(
    replicas: list[Gateway], upstream: Upstream, server: RedisServer
) -> None:
    eventually(lambda: replicas[0].ready()["state"].get("replicas") == 2, what="both replicas are known")
    told = replicas[0].ready()["state"]
    assert told["available"] is True
    assert told["url"] == f"redis://127.0.0.1:{server.port}/0"
    server.stop()
    eventually(lambda: replicas[0].ready()["state"]["available"] is False, what="Redis is missed")
    status, body = replicas[0].ask("/readyz")
    assert status == 200, "calls are taken"
    assert "hunter2" not in json.dumps(json.loads(body))
    with upstream.recording():
        answers = [call(replicas[0], "GET", "/raw/x").status for _ in range(60)]
    assert answers.count(200) == 25, "its half of the limit"
    server.start()
    server.require("hunter2")
    eventually(lambda: replicas[0].ready()["state"]["available"], what="Redis is found again")


def test_a_gateway_whose_state_cannot_be_opened_does_not_start(tmp_path: Path, upstream: Upstream) -> None:
    gateway = Gateway(
        tmp_path, {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}, state="sqlite:///nowhere/state.db"
    )
    with pytest.raises(AssertionError, match=r"state: error: cannot open .*nowhere/state.db: No such file"):
        gateway.start()


def test_a_gateway_keeps_its_state_beside_its_configuration(tmp_path: Path, upstream: Upstream) -> None:
    gateway = Gateway(tmp_path, {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}, state="sqlite:///state.db")
    gateway.start()
    try:
        told = gateway.ready()["state"]
        assert told == {"url": f"sqlite:///{tmp_path}/state.db", "available": True}
        assert (tmp_path / "state.db").exists()
        gateway.file.write_text(gateway.file.read_text().replace("sqlite:///state.db", "sqlite:///other.db"))
        eventually(lambda: "state is not as it was at the start" in gateway.output, what="a warning")
        assert gateway.ready()["state"] == told
    finally:
        gateway.stop()
