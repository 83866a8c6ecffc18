"""Any line is a record or none: a replay and a shadow report come to their end, and lose no call on the way."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.load import Loaded, load
from gateway.model import Reason
from gateway.rehearse.replay import Replay
from gateway.rehearse.shadow import ShadowReport
from gateway.rehearse.timeline import Timeline
from tests.rehearse.test_replay_protocols import CONFIG, POLICIES
from tests.rehearse.test_replay_unknown import BASE, LLM, MCP

PLAIN = """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: plain}
spec:
  match: {tools: [bank]}
  rules:
    - {name: a, when: "args.a.b == 1 || request.headers['x'] == 'y'", then: deny}
    - {name: b, when: "request.params.id == '1' || request.path.contains('é')", then: approve}
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: wait}
spec: {per: [run, operation], rate: 1/s, mode: wait, max_wait: 2s}
"""
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
sensible: dict[str, st.SearchStrategy[Any]] = {
    "call": st.sampled_from(["p-1", "q-1", "", "é"]),
    "tool": st.sampled_from(["bank", "notes", "gpt", "gone", None]),
    "agent": st.sampled_from(["reader", "writer", None, ""]),
    "run": st.sampled_from(["r", "", None]),
    "operation": st.sampled_from(["read", "GET /x", "batch", "", None]),
    "path": st.sampled_from(["/bank/transfers", "/bank/%2e%2e/x", "*", "", "http://bank.test/x", "é\u2028"]),
    "method": st.sampled_from(["GET", "POST", "CONNECT", "", "é"]),
    "decision": st.sampled_from(["allow", "refuse", None, "?"]),
    "reason": st.sampled_from([*[reason.value for reason in Reason], "new_reason", None]),
    "rule": st.sampled_from(["limit/wait", "pins", None]),
    "flaw": st.none() | st.fixed_dictionaries({"reason": st.sampled_from(["tool_changed", "capped", "x"])}),
    "facts": st.dictionaries(st.sampled_from(["mcp.method", "mcp.name", "llm.model", "tool.readOnly"]), anything),
    "headers": st.dictionaries(st.sampled_from(["x", "é", "\u2028"]), st.none() | st.text(max_size=5)),
    "query": st.none() | st.text(max_size=10),
    "masked": st.lists(st.text(max_size=8) | st.sampled_from(["args.a", "args", "request.query"]), max_size=3),
    "clock": st.none() | st.floats(allow_nan=False),
    "size": st.none() | st.integers(),
    "host": st.none() | st.text(max_size=5),
}
changes = st.fixed_dictionaries({}, optional={**sensible, "args": anything}) | st.dictionaries(
    st.sampled_from(sorted(BASE)), anything, max_size=4
)
records = st.builds(lambda base, more: {**BASE, **base, **more}, st.sampled_from([{}, MCP, LLM]), changes)
lines = records.map(lambda record: json.dumps(record).encode()) | st.binary(max_size=40)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder: Path = tmp_path_factory.mktemp("any")
    (folder / "policies").mkdir()
    (folder / "policies" / "all.yaml").write_text(POLICIES + PLAIN)
    (folder / "toolgate.yaml").write_text(CONFIG + '  bank: {url: "http://bank.test", operations: ["GET /{id}"]}\n')
    return load(folder / "toolgate.yaml")


@given(st.lists(lines, max_size=8))
@settings(max_examples=int(os.environ.get("TOOLGATE_FUZZ_EXAMPLES", "80")), deadline=None)
def test_every_call_of_any_log_comes_to_something(loaded: Loaded, log: list[bytes]) -> None:
    timeline = Timeline([b"\n".join(log)])
    run = Replay(loaded, timeline.epoch, loaded)
    for at, line in timeline:
        run.feed(at, line)
    run.finish()
    report = run.report()
    assert orjson.dumps(report)
    told = report["same"] + report["changed"] + report["unknown"] + report["not_decided"]
    left = report["log"]["unusable_lines"] + report["log"]["duplicates"]
    assert told + left == len(timeline)
    assert report["changed"] == 0, "it is its own baseline"


@given(st.lists(lines, max_size=8))
@settings(max_examples=int(os.environ.get("TOOLGATE_FUZZ_EXAMPLES", "80")), deadline=None)
def test_a_shadow_report_reads_any_log(log: list[bytes]) -> None:
    report = ShadowReport()
    report.read(Timeline([b"\n".join(log)]))
    assert orjson.dumps(report.told())
