"""The trace store of a real gateway: calls that were made are found on the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness.gateway import Gateway, call, no_wiping
from .harness.net import eventually
from .harness.upstream import Upstream

POLICIES = no_wiping("raw")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def stored(tmp_path: Path, upstream: Upstream) -> Iterator[Gateway]:
    tools = {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}
    trace = {"file": str(tmp_path / "trace.jsonl"), "store": {"path": "traces.db", "keep": "1h"}}
    process = Gateway(tmp_path, tools, POLICIES, trace=trace).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


def toolgate(*args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *args], capture_output=True, text=True, timeout=30, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def found(gateway: Gateway, *args: str) -> list[str]:
    return [
        json.loads(line)["call"] for line in toolgate("calls", "-c", str(gateway.file), "--json", *args).splitlines()
    ]


def ident(answer: object) -> str:
    name = answer.get("x-toolgate-call")  # type: ignore[attr-defined]
    return name.decode()


def test_calls_are_found_and_a_run_is_told(stored: Gateway, upstream: Upstream) -> None:
    with upstream.recording():
        made = ident(call(stored, "GET", "/raw/report", [("X-Run-Id", "r1")]))
        refused = ident(call(stored, "DELETE", "/raw/wipe/all", [("X-Run-Id", "r1")]))
        other = ident(call(stored, "GET", "/raw/report", [("X-Run-Id", "r2")]))
    eventually(lambda: stored.ready()["trace"]["store"]["waiting"] == 0 and found(stored) == [made, refused, other])
    assert found(stored, "--where", 'decision == "deny" && tool == "raw"') == [refused]
    assert found(stored, "--text", "wiped nothing") == [refused]
    assert found(stored, "--run", "r2") == [other]
    story = toolgate("run", "show", "r1", "-c", str(stored.file))
    assert "2 calls, 1 refused" in story
    assert "why: nothing is wiped here" in story
    assert made in story
    assert other not in story


def test_it_survives_kill_9_and_a_restart_goes_on_with_it(stored: Gateway, upstream: Upstream) -> None:
    with upstream.recording():
        first = ident(call(stored, "GET", "/raw/first"))
    eventually(lambda: found(stored) == [first])
    stored.signal(signal.SIGKILL)
    stored.wait()
    assert found(stored) == [first]
    stored.start()
    with upstream.recording():
        second = ident(call(stored, "GET", "/raw/second"))
    stored.signal(signal.SIGTERM)
    assert stored.wait() == 0
    assert found(stored) == [first, second]


def test_what_the_store_holds_is_in_the_metrics(stored: Gateway, upstream: Upstream) -> None:
    assert stored.metric("toolgate_trace_store_dropped_total") == 0
    eventually(lambda: stored.metric("toolgate_trace_store_bytes") > 0)


def test_a_file_that_is_no_store_stops_the_start(tmp_path: Path, upstream: Upstream) -> None:
    (tmp_path / "traces.db").write_text("a diary, kept since 1998\n" * 100)
    gateway = Gateway(tmp_path, {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}, trace={"store": {}})
    with pytest.raises(AssertionError, match="the gateway ended with 1"):
        gateway.start()
    assert "file is not a database" in gateway.output
    assert "move the file away" in gateway.output
