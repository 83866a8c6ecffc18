"""The audit of a real gateway: every call is in it, it outlives kill -9, and what is wrong with it is named."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .harness.gateway import Gateway, call, no_wiping, problem_of
from .harness.net import eventually
from .harness.upstream import Upstream

KEY = "k" * 40
ROOT = Path(__file__).parents[2]
RULES = no_wiping("raw")


def started(folder: Path, upstream: Upstream, **audit: Any) -> Gateway:
    process = Gateway(folder, {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}, RULES)
    process.config["audit"] = {"key": KEY, "sync": "100ms", **audit}
    return process.start()


def toolgate(*args: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *args], capture_output=True, text=True, timeout=30, cwd=ROOT, check=False
    )
    return done.returncode, done.stdout + done.stderr


def verified(gateway: Gateway, *args: str) -> tuple[int, str]:
    key = gateway.folder / "key"
    key.write_text(KEY + "\n")
    return toolgate("verify", str(gateway.folder / "audit"), "--key", str(key), *args)


def records(gateway: Gateway) -> list[dict[str, Any]]:
    found = []
    for path in sorted((gateway.folder / "audit").glob("audit-*.jsonl")):
        found += [json.loads(line)["record"] for line in path.read_bytes().split(b"\n")[:-1]]
    return found


def synced(gateway: Gateway, calls: int) -> None:
    """Wait until so many calls are behind a checkpoint."""

    def done() -> bool:
        head = gateway.ready()["audit"]["seq"]
        return len([one for one in records(gateway) if one["kind"] == "call" and one["seq"] < head]) >= calls

    eventually(done, what=f"{calls} calls are synced")


def test_every_call_and_every_change_is_in_the_audit(tmp_path: Path, upstream: Upstream) -> None:
    gateway = started(tmp_path, upstream)
    with upstream.recording():
        allowed = call(gateway, "GET", "/raw/x?q=1", [("X-Run-Id", "r-1")])
        refused = call(gateway, "GET", "/raw/wipe", [("X-Run-Id", "r-2")])
    connection = http.client.HTTPConnection("127.0.0.1", gateway.admin, timeout=5)
    wanted = {"scope": "agent", "key": ["mallory"], "reason": "odd", "by": "ann"}
    fields = {"X-Toolgate-Admin": "1", "Content-Type": "application/json"}
    connection.request("POST", "/api/quarantines", json.dumps(wanted), fields)
    assert connection.getresponse().status == 201
    connection.close()
    synced(gateway, 2)
    kept = gateway.ready()["audit"]["hash"]
    assert gateway.metric("toolgate_audit_head_seq") >= gateway.ready()["audit"]["seq"] - 1
    code, told = verified(gateway)
    assert (code, "the tail is open" in told) == (3, True), told
    gateway.stop()
    code, told = verified(gateway, "--expect", kept, "--log", str(gateway.trace_file))
    assert code == 0, told
    assert "2 records of the trace are as the audit knows them" in told
    found = records(gateway)
    by_call = {one["call"]: one for one in found if one["kind"] == "call"}
    first = by_call[allowed.get("x-toolgate-call").decode()]
    assert (first["decision"], first["run"], first["status"], first["agent"]) == ("allow", "r-1", 200, "tester")
    second = by_call[refused.get("x-toolgate-call").decode()]
    assert (second["decision"], second["rule"]) == ("refuse", "safety/no-wiping")
    assert [one["by"] for one in found if one["kind"] == "change"] == ["ann"]
    assert [one["by"] for one in found if one["kind"] == "quarantine"] == ["ann"]
    code, told = toolgate("audit", "forget", str(gateway.folder / "audit"), "--run", "r-1")
    assert (code, told) == (0, "1 record of a call can no longer be proven\n")
    code, told = verified(gateway, "--log", str(gateway.trace_file))
    assert code == 0, told
    assert "1 record of the trace is as the audit knows it" in told
    assert "1 was forgotten" in told


def test_kill_9_loses_at_most_what_was_not_synced_and_verify_says_so(tmp_path: Path, upstream: Upstream) -> None:
    gateway = started(tmp_path, upstream, segment="2KiB")
    with upstream.recording():
        for number in range(10):
            assert call(gateway, "GET", f"/raw/{number}").status == 200
        synced(gateway, 10)
        gateway.signal(signal.SIGKILL)
        gateway.wait()
        code, told = verified(gateway)
        assert code == 3, told
        assert len([one for one in records(gateway) if one["kind"] == "call"]) == 10
        gateway.start()
        call(gateway, "GET", "/raw/after")
        synced(gateway, 11)
    gateway.stop()
    code, told = verified(gateway)
    assert code == 0, told
    assert [one["after"] for one in records(gateway) if one["kind"] == "opened"] == ["nothing", "crash"]
    assert len(list((gateway.folder / "audit").glob("audit-*.jsonl"))) > 2
    path = next(path for path in (gateway.folder / "audit").glob("audit-*") if b'"status":200' in path.read_bytes())
    path.write_bytes(path.read_bytes().replace(b'"status":200', b'"status":201', 1))
    code, told = verified(gateway)
    assert code == 1
    assert path.name in told
    assert "was changed" in told
    assert "cannot go on" not in told


def test_a_call_whose_audit_cannot_be_written_is_not_made(tmp_path: Path, upstream: Upstream) -> None:
    gateway = started(tmp_path, upstream, segment="1KiB")
    folder = gateway.folder / "audit"
    try:
        with upstream.recording():
            assert call(gateway, "GET", "/raw/x").status == 200
        synced(gateway, 1)
        hidden = folder.rename(gateway.folder / "gone")  # the next segment cannot be made
        with upstream.recording():
            eventually(lambda: call(gateway, "GET", "/raw/x").status == 503, what="calls are refused")
        with upstream.recording() as seen:
            problem_of(call(gateway, "GET", "/raw/x"), "trace_unavailable", 503)
        assert not seen.turns
        assert gateway.ready()["audit"]["error"]
        hidden.rename(folder)
        with upstream.recording():
            eventually(lambda: call(gateway, "GET", "/raw/x").status == 200, what="calls are made again")
    finally:
        gateway.stop()
    code, told = verified(gateway)
    assert code == 0, told


@pytest.mark.parametrize(("broken", "says"), [("head.json", "head.json"), ("nothing", "another process")])
def test_what_cannot_be_gone_on_with_stops_the_start(
    tmp_path: Path, upstream: Upstream, broken: str, says: str
) -> None:
    first = started(tmp_path / "one", upstream)
    if broken == "head.json":
        first.stop()
        (first.folder / "audit" / broken).write_text("{}")
    second = Gateway(tmp_path / "two", first.config["tools"], RULES)
    second.config["audit"] = {"key": KEY, "dir": str(first.folder / "audit")}
    try:
        with pytest.raises(AssertionError, match=f"{says}.*toolgate verify|toolgate verify.*{says}"):
            second.start()
    finally:
        first.stop()
        second.stop()
