"""How many recorded calls a replay decides in a second: ``python -m benchmarks.replay [CALLS]``.

Writes a log of that many calls (200,000 by default) to a temporary folder, replays it under simple policies (grants,
three rules, a limit, a breaker) on one core, and prints calls for a second of its CPU time, reading and sorting the
log included.
"""

from __future__ import annotations

import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from gateway.cli.logs import opened
from gateway.config.load import load
from gateway.rehearse.replay import Replay
from gateway.rehearse.timeline import Timeline

CONFIG = """
tools:
  github:
    url: "https://api.github.com"
    operations: ["GET /repos/{owner}/{repo}", "POST /repos/{owner}/{repo}/issues"]
  bank: {url: "http://127.0.0.1:7001", limits: {concurrency: 50}}
"""
POLICIES = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: everyone}
spec: {agents: ["agent-*"], tools: ["*"]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: simple}
spec:
  rules:
    - {name: writes, when: 'request.method == "POST" && !("writer" in agent.roles)', then: deny}
    - {name: bank, when: 'tool.name == "bank" && agent.id.startsWith("agent-1")', then: approve}
    - {name: owner, when: 'has(request.params.owner) && request.params.owner == "evil"', then: deny}
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: each}
spec: {per: [agent], rate: 50/s, burst: 100}
---
apiVersion: toolgate/v1
kind: Breaker
metadata: {name: tools}
spec: {}
"""
START = 1_767_571_200.0


def write(path: Path, calls: int) -> None:
    """A log of so many calls, a hundred a second, from a fixed seed."""
    chance = random.Random(1)
    with path.open("wb") as log:
        for number in range(calls):
            log.write(orjson.dumps(_record(number, chance), option=orjson.OPT_APPEND_NEWLINE))


def _record(number: int, chance: random.Random) -> dict[str, Any]:
    at = number / 100
    bank = chance.random() < 0.3
    method = "POST" if chance.random() < 0.2 else "GET"
    path = "/bank/accounts" if bank else f"/github/repos/acme/repo-{chance.randrange(100)}"
    path += "/issues" if method == "POST" and not bank else ""
    ts = datetime.fromtimestamp(START + at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "ts": ts, "call": f"0a1b2c3d4e5f6071-{number:06x}", "run": f"run-{number // 500}", "traceparent": None,
        "agent": f"agent-{chance.randrange(50)}", "roles": ["writer"], "tool": "bank" if bank else "github",
        "operation": f"{method} /accounts" if bank else f"{method} /repos/{{owner}}/{{repo}}", "method": method,
        "path": path, "decision": "allow", "reason": None, "rule": None, "detail": None, "grant": "everyone",
        "facts": {}, "amendments": [], "rules": [],
        "guards": [{"guard": "each", "granted": True, "left": 99.0, "state": None, "retry_after": 0.0}],
        "status": 200, "upstream_status": 500 if chance.random() < 0.01 else 200, "fault": None, "error": None,
        "is_error": None, "withheld": None, "proposed": [], "usage": None, "notes": [], "cost_usd": None,
        "bytes_in": 0, "bytes_out": 5120,
        "timings": {"queue_ms": 0.0, "decide_ms": 0.05, "upstream_first_byte_ms": 30.0, "total_ms": 35.5},
        "policy_version": "0123456789ab", "size": 0, "clock": 5000.0 + at, "host": "127.0.0.1:8080", "implied": False,
        "flaw": None, "args": None, "query": None, "headers": {}, "parts": [], "masked": [],
    }  # fmt: skip


def main() -> None:
    """Write, replay, tell."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "policies").mkdir()
        (folder / "policies" / "all.yaml").write_text(POLICIES)
        (folder / "toolgate.yaml").write_text(CONFIG)
        write(folder / "trace.jsonl", calls)
        loaded = load(folder / "toolgate.yaml")
        began = time.process_time()
        with opened([folder / "trace.jsonl"]) as logs:
            timeline = Timeline(logs)
            read = time.process_time()
            run = Replay(loaded, timeline.epoch)
            for at, line in timeline:
                run.feed(at, line)
            run.finish()
        ended = time.process_time()
        report = run.report()
    print(f"{calls} calls: sorted in {read - began:.2f} s, decided in {ended - read:.2f} s")
    print(f"{report['same']} the same, {report['changed']} changed, {report['unknown']} unknown")
    print(f"{calls / (ended - began):,.0f} calls/s of CPU time")


if __name__ == "__main__":
    main()
