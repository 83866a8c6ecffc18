"""A disk that is full: what becomes of calls is the operator's choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .harness.gateway import Gateway, call, problem_of
from .harness.net import eventually
from .harness.upstream import Upstream

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


def _start(folder: Path, upstream: Upstream, **trace: Any) -> Gateway:
    tools = {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}
    return Gateway(folder, tools, trace={"file": str(FULL), **trace}).start()


def test_drop_serves_on_and_counts(tmp_path: Path, upstream: Upstream) -> None:
    gateway = _start(tmp_path, upstream, on_failure="drop", capacity=10)
    try:
        statuses = []

        def dropped() -> bool:
            statuses.append(call(gateway, "GET", "/raw/x").status)
            return gateway.metric("toolgate_trace_records_dropped_total") > 0

        with upstream.recording():
            eventually(dropped, what="drops are counted")
        assert set(statuses) == {200}
    finally:
        gateway.stop()


def test_refuse_calls_nobody_that_it_could_not_record(tmp_path: Path, upstream: Upstream) -> None:
    gateway = _start(tmp_path, upstream, on_failure="refuse", capacity=10)
    try:
        with upstream.recording():
            eventually(lambda: call(gateway, "GET", "/raw/x").status == 503, what="calls are refused")
        with upstream.recording() as seen:
            problem_of(call(gateway, "GET", "/raw/x"), "trace_unavailable", 503)
        assert not seen.turns
    finally:
        gateway.stop()


def test_stdout_is_a_file_like_another(tmp_path: Path, upstream: Upstream) -> None:
    gateway = Gateway(tmp_path, {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}, trace={"file": "-"}).start()
    try:
        with upstream.recording():
            name = (call(gateway, "GET", "/raw/x").get("x-toolgate-call") or b"").decode()
        eventually(lambda: f'"call":"{name}"' in gateway.output, what="the line is on stdout")
    finally:
        gateway.stop()
