"""``toolgate explain --call-id ... -c``: a call that was made, by the policies as they are now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import toolgate
from gateway.config.described import Described
from gateway.config.load import load
from gateway.model import Outcome, Trace
from gateway.observe.keeping import keeping
from gateway.observe.trace import line_of
from gateway.rehearse.stage import Stage
from tests.cli.test_explain import CONFIG, POLICIES
from tests.config.support import written

HEADERS = """\
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: headers}
spec:
  match: {tools: [bank]}
  rules:
    - {name: tier, when: 'request.headers["x-tier"] == "gold" && agent.id == "pay-2"', then: deny}
    - {name: budget, when: run.cost_usd > 5.0, then: warn}
"""
RECORD: dict[str, Any] = {
    "ts": "2026-11-01T12:00:00.000Z", "call": "c-1", "run": "r1", "agent": "pay-1", "roles": [], "tool": "bank",
    "operation": "POST /transfers/{kind}", "method": "POST", "path": "/bank/transfers/sepa", "decision": "refuse",
    "reason": "rate_limited", "rule": "limit/per-recipient", "detail": "limit", "grant": "payers", "facts": {},
    "amendments": [], "rules": [], "guards": [
        {"guard": "per-recipient", "granted": False, "left": 0.2, "state": None, "retry_after": 144.0}
    ],
    "status": 429, "upstream_status": None, "fault": None, "error": None, "policy_version": "abc", "size": 20,
    "clock": 10.5, "host": "gate:8080", "implied": False, "flaw": None, "args": {"to": "x", "amount": 2500},
    "query": "", "headers": {}, "parts": [], "masked": [], "bytes_out": 10, "depth": 0,
    "timings": {"queue_ms": 0, "decide_ms": 0.1, "upstream_first_byte_ms": None, "total_ms": 1.0},
}  # fmt: skip


def invoke(tmp_path: Path, record: dict[str, Any], *more: str, extra: str = "") -> Result:
    path = written(tmp_path, CONFIG, p=POLICIES + extra)
    log = tmp_path / "trace.jsonl"
    log.write_text(json.dumps(record) + "\n")
    command = ["explain", "--call-id", "c-1", "--trace", str(log), "-c", str(path)]
    return CliRunner().invoke(toolgate, [*command, *more])


def explained(tmp_path: Path, extra: str = "", **change: Any) -> dict[str, Any]:
    done = invoke(tmp_path, {**RECORD, **change}, "--json", extra=extra)
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def results(told: dict[str, Any]) -> dict[str, str]:
    return {rule["rule"]: rule["result"] for rule in told["rules"]}


def test_a_record_with_its_arguments_is_explained_as_the_call_that_it_was(tmp_path: Path) -> None:
    told = explained(tmp_path)
    assert told["call"]["args"] == {"to": "x", "amount": 2500}
    assert results(told) == {"large": "true", "ask": "true", "shadow": "true"}
    assert (told["verdict"]["decision"], told["verdict"]["rule"]) == ("refuse", "payments/large")
    assert told["recorded"]["missing"] == []


def test_a_line_as_the_gateway_writes_it_is_explained(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, CONFIG, p=POLICIES))
    body = {"to": "x", "amount": 600, "password": "p"}
    described = Described(agent="pay-1", tool="bank", method="POST", path="/transfers/sepa", args=body)
    call = Stage(loaded, 0.0).call_of(described)
    decision = Stage(loaded, 0.0).decide(call, 0.0)
    trace = Trace(
        "c-1", 10.0, 0.0, 0.1, 0.1, 0.2, call.request, call.agent, call.run, "bank", call.operation, loaded.version,
        decision, Outcome(403), call=call,
    )  # fmt: skip
    line = line_of(trace, keeping(True, ["*password*"], [], 4096))
    told = json.loads(invoke(tmp_path, json.loads(line), "--json").stdout)
    assert results(told) == {"large": "false", "ask": "true", "shadow": "true"}
    assert told["verdict"]["rule"] == "payments/ask"
    assert told["recorded"]["rule"] == "payments/ask"
    assert told["recorded"]["missing"] == ["args.password"]


def test_the_text_tells_what_was_decided_then_and_what_the_guards_had_left(tmp_path: Path) -> None:
    lines = invoke(tmp_path, RECORD).stdout.splitlines()
    assert lines[:4] == [
        "record    c-1 at 2026-11-01T12:00:00.000Z: refused: rate_limited by limit/per-recipient",
        "          decided by version abc; explained by the version below",
        "          per-recipient: refused, room after 144 s, 0.2 left",
        "call      pay-1, run r1 -> bank: POST /transfers/{kind}",
    ]
    assert "verdict   refused with 403 policy_denied by payments/large" in lines


def test_without_arguments_the_verdict_is_unknown_and_says_what_is_missing(tmp_path: Path) -> None:
    told = explained(tmp_path, args=None)
    unknown = "unknown: the record lacks args"
    assert results(told) == {"large": unknown, "ask": unknown, "shadow": "true"}
    assert told["verdict"] == {
        "decision": "unknown",
        "why": [f"payments/large: {unknown}", f"payments/ask: {unknown}", f"limit/per-recipient: {unknown}"],
    }
    assert told["recorded"]["missing"] == ["args"]
    assert "          args is not in the record, or masked" in invoke(tmp_path, {**RECORD, "args": None}).stdout
    assert invoke(tmp_path, {**RECORD, "args": None}, "--exit-code").exit_code == 3


def test_a_masked_argument_is_missing_only_for_rules_that_read_it(tmp_path: Path) -> None:
    masked = {"args": {"to": "***", "amount": 2500}, "masked": ["args.to"]}
    told = explained(tmp_path, **masked)
    assert results(told)["large"] == "true"
    assert told["verdict"]["rule"] == "payments/large"
    assert told["limits"][0]["lacking"] == "the record lacks args.to"


def test_a_call_without_a_grant_is_refused_whatever_else_is_missing(tmp_path: Path) -> None:
    assert explained(tmp_path, args=None, agent="other")["verdict"]["reason"] == "not_granted"


@pytest.mark.parametrize(
    ("headers", "agent", "result"),
    [
        ({}, "pay-1", "false"),
        ({}, "pay-2", "unknown: the record lacks request.headers.x-tier"),
        ({"x-tier": "gold"}, "pay-2", "true"),
        ({"x-tier": "tin"}, "pay-2", "false"),
    ],
)
def test_headers_are_known_where_they_were_recorded_or_do_not_matter(
    headers: dict[str, str], agent: str, result: str, tmp_path: Path
) -> None:
    assert results(explained(tmp_path, HEADERS, headers=headers, agent=agent))["tier"] == result


def test_what_the_run_had_cost_is_not_in_the_record_of_a_call(tmp_path: Path) -> None:
    assert results(explained(tmp_path, HEADERS))["budget"] == "unknown: the record lacks run.cost_usd"


def test_a_request_that_would_not_be_read_is_refused_as_it_would_be(tmp_path: Path) -> None:
    told = explained(tmp_path, path="/bank/transfers/../x", operation=None)
    assert told["call"] is None
    assert told["verdict"]["reason"] == "ambiguous_path"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tool": "gone"}, "the call cannot be explained by these policies: tool gone is not in this configuration"),
        ({"agent": None}, "the call cannot be explained by these policies: the record names no agent"),
        ({"ts": "yesterday"}, "the record cannot be read: "),
        ({"roles": 5}, "the record cannot be read: "),
        ({"parts": [{"operation": "a"}]}, "a batch of calls cannot be explained as one call"),
    ],
)
def test_a_record_that_makes_no_call_is_told_to_be_unusable(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    done = invoke(tmp_path, {**RECORD, **change})
    assert done.exit_code == 1
    assert message in done.stderr
