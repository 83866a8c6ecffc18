"""What a record lacks is never guessed: a call is unknown where something that can change its decision reads it, and
decided where nothing does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.config.load import load
from gateway.rehearse.replay import Replay
from gateway.rehearse.timeline import Timeline

CONFIG = """
tools:
  bank: {url: "http://bank.test", operations: ["POST /transfers", "GET /accounts/{id}"]}
  other: {url: "http://other.test"}
  notes: {url: "http://notes.test", protocol: mcp}
  gpt: {url: "http://gpt.test", protocol: openai}
"""
GRANT = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: all}
spec: {agents: ["clerk-*"], tools: ["*"]}
"""
BASE: dict[str, Any] = {
    "ts": "2026-01-05T12:00:00.000Z", "call": "p-000001", "run": None, "agent": "clerk-1", "roles": [], "tool": "bank",
    "operation": "POST /transfers", "method": "POST", "path": "/bank/transfers", "decision": "allow", "reason": None,
    "rule": None, "detail": None, "facts": {}, "amendments": [], "status": 200, "upstream_status": 200, "fault": None,
    "is_error": None, "cost_usd": None, "timings": {"queue_ms": 0, "decide_ms": 0.1, "total_ms": 5.0},
    "policy_version": "v", "size": 20, "clock": 100.0, "host": "gateway.test", "implied": False, "flaw": None,
    "args": {"amount": 5}, "query": "", "headers": {}, "parts": [], "masked": [],
}  # fmt: skip
MCP = {
    "tool": "notes", "operation": "delete", "path": "/notes/mcp",
    "facts": {"mcp.method": "tools/call", "mcp.name": "delete", "tool.readOnly": False, "tool.destructive": True},
}  # fmt: skip
LLM = {
    "tool": "gpt", "operation": "POST /chat/completions", "path": "/gpt/v1/chat/completions",
    "facts": {"llm.model": "gpt-5", "llm.stream": False, "llm.max_tokens": 100}, "masked": ["args.messages"],
    "args": {"messages": "[redacted]", "n": 1},
}  # fmt: skip
REFUSED = {"decision": "refuse", "status": 403, "upstream_status": None}


def policy(when: str, then: str = "deny", more: str = "") -> str:
    return f"""
apiVersion: toolgate/v1
kind: Policy
metadata: {{name: p}}
spec:{more}
  rules:
    - name: r
      then: {then}
      when: >-
        {when}
"""


def replayed(folder: Path, policies: str, *records: dict[str, Any], lacking: tuple[str, ...] = ()) -> dict[str, Any]:
    """The report on records that differ from BASE as given; each a second after the one before."""
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "all.yaml").write_text(f"{GRANT}---{policies}")
    (folder / "toolgate.yaml").write_text(CONFIG)
    lines = []
    for number, more in enumerate(records):
        record = {**BASE, "call": f"p-{number:06d}", "clock": 100.0 + number, **more}
        lines.append(orjson.dumps({key: value for key, value in record.items() if key not in lacking}))
    timeline = Timeline([b"\n".join(lines)])
    run = Replay(load(folder / "toolgate.yaml"), timeline.epoch)
    for at, line in timeline:
        run.feed(at, line)
    run.finish()
    return run.report()


def verdict(folder: Path, policies: str, more: dict[str, Any], *, lacking: tuple[str, ...] = ()) -> str:
    """What one call comes to: same, deny, allow, approve, or why it is unknown."""
    report = replayed(folder, policies, more, lacking=lacking)
    if report["unknowns"]:
        return str(report["unknowns"][0]["why"])
    if report["changes"]:
        return str(report["changes"][0]["change"])
    assert report["same"] + report["not_decided"] == 1
    return "same" if report["same"] else "not decided"


@pytest.mark.parametrize(
    ("when", "record", "expected"),
    [
        ("args.amount > 3", {}, "deny"),
        ("args.amount > 3", {"args": None, "masked": ["args"]}, "not in the record: args"),
        ("args.amount > 3", {"args": {"amount": 5, "pin": "[redacted]"}, "masked": ["args.pin"]}, "deny"),
        ("args.pin == 3", {"args": {"pin": "[redacted]"}, "masked": ["args.pin"]}, "not in the record: args.pin"),
        ("args['pin'] == 3", {"args": {"pin": "[redacted]"}, "masked": ["args.pin"]}, "not in the record: args"),
        ("has(args.pin)", {"args": {"pin": "[redacted]"}, "masked": ["args.pin"]}, "deny"),
        ("has(args.pin)", {"args": None, "masked": ["args"]}, "not in the record: args"),
        ("has(args.a.b)", {"args": {"a": "[redacted]"}, "masked": ["args.a"]}, "not in the record: args.a"),
        (
            "args.items.exists(i, i.ssn == 3)",
            {"args": {"items": [{"ssn": "[redacted]"}]}, "masked": ["args.items.0.ssn"]},
            "not in the record: args.items",
        ),
        ("args.a.b == 3", {"args": {"a": "[redacted]"}, "masked": ["args.a"]}, "not in the record: args.a"),
        ("request.query == 'x'", {"query": None}, "not in the record: request.query"),
        ("request.query == 'x'", {"query": "x"}, "deny"),
        ("request.headers['x-a'] == 'y'", {"headers": {}}, "not in the record: request.headers.x-a"),
        ("request.headers['x-a'] == 'y'", {"headers": {"x-a": "y"}}, "deny"),
        ("'x-a' in request.headers", {"headers": {"x-a": None}}, "same"),
        ("'x-a' in request.headers", {"headers": {"x-b": "1"}}, "not in the record: request.headers.x-a"),
        ("size(request.headers) > 0", {"headers": {"x-a": "y"}}, "not in the record: request.headers"),
        ("request.size > 10", {}, "deny"),
        ("request.host == 'gateway.test'", {}, "deny"),
        ("request.path == '/transfers'", {}, "deny"),
        ("agent.id == 'clerk-1'", {"args": None, "query": None}, "deny"),
        ("has(agent.claims.team) && agent.claims.team == 'x'", {}, "not in the record: agent.claims"),
        ("tool.destructive", MCP, "deny"),
        ("tool.idempotent", MCP, "same"),
        ("llm.model == 'gpt-5' && llm.max_tokens == 100", LLM, "deny"),
        ("llm.system == ''", LLM, "not in the record: llm.system"),
        ("size(args.messages) > 1", LLM, "not in the record: args.messages"),
        ("args.n == 1", LLM, "deny"),
        ("request.path == '/x'", {"path": "/other/" + "x" * 2100, "tool": "other"}, "not in the record: request.path"),
    ],
)
def test_a_rule_that_reads_what_is_not_there_makes_the_call_unknown(
    tmp_path: Path, when: str, record: dict[str, Any], expected: str
) -> None:
    assert verdict(tmp_path, policy(when), record) == expected


@pytest.mark.parametrize("more", [" {mode: Audit", " {mode: Warn", " {failurePolicy: Ignore"])
def test_rules_without_consequences_need_nothing(tmp_path: Path, more: str) -> None:
    then = "warn" if "Ignore" in more else "deny"
    policies = policy("args.amount > 3", then).replace("spec:", f"spec:\n  {more.strip(' {')}")
    assert verdict(tmp_path, policies, {"args": None}) == "same"


def test_what_another_rule_refuses_anyway_is_known(tmp_path: Path) -> None:
    rule = policy("args.amount > 3") + "    - {name: always, when: 'true', then: deny}\n"
    assert verdict(tmp_path, rule, {"args": None}) == "deny"


def test_what_no_grant_allows_is_known(tmp_path: Path) -> None:
    assert verdict(tmp_path, policy("args.amount > 3"), {"args": None, "agent": "stranger"}) == "deny"


def test_a_rule_that_asks_a_person_does_not_hide_one_that_may_refuse(tmp_path: Path) -> None:
    rule = policy("args.amount > 3") + "    - {name: ask, when: 'true', then: approve}\n"
    assert verdict(tmp_path, rule, {"args": None}) == "not in the record: args"


def test_a_limit_by_an_argument_that_is_not_there_makes_the_call_unknown(tmp_path: Path) -> None:
    limit = """
apiVersion: toolgate/v1
kind: Limit
metadata: {name: l}
spec: {per: ["string(args.account)"], rate: 1/h}
"""
    assert verdict(tmp_path, limit, {"args": None}) == "not in the record: args"
    assert verdict(tmp_path, limit, {"args": {"account": 1}}) == "same"


def test_arguments_of_a_call_without_a_body_are_those_of_its_query(tmp_path: Path) -> None:
    record = {"method": "GET", "path": "/bank/accounts/7", "operation": "GET /accounts/{id}", "size": 0, "args": None}
    rule = policy("args.page == '2' && request.params.id == '7'")
    assert verdict(tmp_path, rule, {**record, "query": "page=2"}) == "deny"
    assert verdict(tmp_path, rule, {**record, "query": "page=2&page=3"}) == "deny", "read in two ways: refused"
    masked = {"query": "page=2&token=[redacted]", "masked": ["request.query"]}
    assert verdict(tmp_path, rule, {**record, **masked}) == "not in the record: args"


def test_a_log_of_before_these_keys_is_replayed_as_far_as_it_goes(tmp_path: Path) -> None:
    new = ("size", "clock", "host", "implied", "flaw", "args", "query", "headers", "parts", "masked")
    assert verdict(tmp_path, policy("agent.id == 'clerk-1'"), {}, lacking=new) == "deny"
    assert verdict(tmp_path, policy("args.amount > 3"), {}, lacking=new) == "not in the record: args"
    assert verdict(tmp_path, policy("request.size > 3"), {}, lacking=new) == "not in the record: request.size"
    assert verdict(tmp_path, policy("tool.readOnly"), MCP, lacking=new) == "not in the record: tool.readOnly"


@pytest.mark.parametrize("reason", ["unauthenticated", "unknown_tool", "bad_request", "draining"])
def test_what_no_policy_decides_is_left_aside(tmp_path: Path, reason: str) -> None:
    record = {**REFUSED, "reason": reason, "operation": None, "tool": None}
    assert verdict(tmp_path, policy("true"), record) == "not decided"


LOOP = """
apiVersion: toolgate/v1
kind: Loop
metadata: {name: circles}
"""


@pytest.mark.parametrize("reason", ["loop_detected", "repeated_failure", "retry_budget_exhausted"])
def test_what_was_compared_with_earlier_results_is_not_known(tmp_path: Path, reason: str) -> None:
    record = {**REFUSED, "reason": reason, "rule": "loop/circles"}
    assert verdict(tmp_path, LOOP, record) == "not in the record: the results that it was compared by"
    assert verdict(tmp_path, f"{LOOP}---{policy('true')}", record) == "same"
    assert verdict(tmp_path, policy("false"), record) == "allow"


def test_a_call_that_was_abandoned_before_its_decision_is_left_aside(tmp_path: Path) -> None:
    assert verdict(tmp_path, policy("true"), {"decision": None}) == "not decided"


def test_a_body_that_could_not_be_read_still_cannot_where_rules_read_it(tmp_path: Path) -> None:
    record = {**REFUSED, "reason": "unreadable_body", "operation": None, "args": None}
    assert verdict(tmp_path, policy("args.amount > 3"), record) == "same"
    assert verdict(tmp_path, policy("agent.id == 'x'"), record) == "allow"
    assert verdict(tmp_path, policy("agent.id == 'x'"), {**MCP, **record}) == "same", "MCP is read in any case"


def test_a_tool_that_is_not_configured_any_more_is_said_to_be(tmp_path: Path) -> None:
    assert verdict(tmp_path, policy("true"), {"tool": "gone"}) == "tool gone is not in this configuration"


def test_what_the_server_says_against_a_call_stands_once_it_is_granted(tmp_path: Path) -> None:
    flaw = {"reason": "invalid_arguments", "status": 400, "rule": "inputSchema", "detail": "no"}
    ungranted = {**MCP, **REFUSED, "reason": "not_granted", "rule": "grants", "flaw": flaw}
    assert verdict(tmp_path, policy("false"), ungranted) == "same"
    question = {"reason": "approval_required", "status": 403, "rule": "pins", "detail": "new?"}
    assert verdict(tmp_path, policy("false"), {**ungranted, "flaw": question}) == "approve"
    assert verdict(tmp_path, policy("false"), {**ungranted, "flaw": None}) == "allow"


CAP = """
apiVersion: toolgate/v1
kind: Cap
metadata: {name: c}
spec: {match: {tools: [gpt]}, models: [MODEL]}
"""


@pytest.mark.parametrize(
    ("model", "flaw", "expected"),
    [
        ("gpt-5", None, "same"),
        ("gpt-4", None, "deny"),
        ("gpt-4", "the model 'gpt-5' may not be asked", "deny"),
        ("gpt-5", "it cannot be held to that", "what the request asks of a model is not recorded"),
    ],
)
def test_caps_are_held_against_the_model_that_was_asked(
    tmp_path: Path, model: str, flaw: str | None, expected: str
) -> None:
    told = None if flaw is None else {"reason": "capped", "status": 403, "rule": "cap/old", "detail": flaw}
    assert verdict(tmp_path, CAP.replace("MODEL", model), {**LLM, "flaw": told}) == expected


def test_each_call_of_a_batch_is_judged(tmp_path: Path) -> None:
    part = {"operation": "add", "implied": False, "flaw": None, "facts": {"mcp.method": "tools/call"}, "masked": []}
    batch = {**MCP, "operation": "batch", "args": None, "facts": {"mcp.method": ""}}
    rule = policy("has(args.n) && args.n == 2")
    first, second = {**part, "args": {"n": 1}}, {**part, "args": {"n": 2}}
    assert verdict(tmp_path, rule, {**batch, "parts": [first, second]}) == "deny"
    assert verdict(tmp_path, rule, {**batch, "parts": [first, first]}) == "same"
    assert verdict(tmp_path, rule, {**batch, "parts": [first, {**part, "args": None}]}) == "not in the record: args"


def test_labels_of_a_run_are_kept_as_it_goes(tmp_path: Path) -> None:
    marks = """
    - {name: mark, when: "args.amount == 1", then: label, label: tainted}
    - {name: stop, when: "'tainted' in run.labels && args.amount == 2", then: deny}
"""
    rule = policy("false") + marks.lstrip("\n")
    one, two = {"run": "r", "args": {"amount": 1}}, {"run": "r", "args": {"amount": 2}}
    assert replayed(tmp_path, rule, two, one, two)["newly_refused"] == 1
    assert replayed(tmp_path, rule, one, {**two, "run": "other"})["newly_refused"] == 0
    unread = replayed(tmp_path, rule, {"run": "r", "args": None}, two)
    assert [unknown["why"] for unknown in unread["unknowns"]] == [
        "not in the record: args",
        "not in the record: run.labels",
    ]


def test_rules_about_results_are_said_not_to_be_replayed(tmp_path: Path) -> None:
    rule = policy("result.ok == false").replace("then: deny", "then: deny\n      phase: response")
    (note,) = [note for note in replayed(tmp_path, rule, {}, {})["notes"] if "answers" in note]
    assert note.startswith("rules on results or proposals match 2 calls")


def test_the_same_call_in_two_logs_counts_once(tmp_path: Path) -> None:
    report = replayed(tmp_path, policy("true"), {"call": "p-7", "clock": 100.0}, {"call": "p-7", "clock": 100.0})
    assert (report["changed"], report["log"]["duplicates"]) == (1, 1)


def test_a_record_with_a_key_of_another_type_is_no_record(tmp_path: Path) -> None:
    report = replayed(tmp_path, policy("true"), {"args": 7}, {})
    assert (report["changed"], report["log"]["unusable_lines"]) == (1, 1)


def test_what_a_run_has_done_is_counted_as_it_goes(tmp_path: Path) -> None:
    one, failed = {"run": "r"}, {"run": "r", "status": 500, "upstream_status": 500}
    assert replayed(tmp_path, policy("run.steps >= 2"), one, one, one, {"run": "s"}, one)["newly_refused"] == 2
    assert replayed(tmp_path, policy("run.age > 1.5"), one, one, one)["newly_refused"] == 1
    assert replayed(tmp_path, policy("run.errors_in_row > 1"), failed, one, failed, failed, one)["newly_refused"] == 1


def test_how_a_refused_call_would_have_ended_is_not_known_in_its_run(tmp_path: Path) -> None:
    report = replayed(tmp_path, policy("run.errors_in_row > 1"), {"run": "r", **REFUSED}, {"run": "r"}, {"run": "s"})
    assert report["newly_allowed"] == report["same"] == 1
    assert [unknown["why"] for unknown in report["unknowns"]] == ["not in the record: run.errors_in_row"]
    report = replayed(
        tmp_path, policy("run.steps > 1 && has(args.x)"), {"run": "r", "args": None}, {"run": "r"}, {"run": "r"}
    )
    assert [unknown["why"] for unknown in report["unknowns"]] == [
        "not in the record: run.steps",
        "not in the record: args",
    ], "the one with most calls first"


def test_runs_that_led_to_others_are_as_recorded(tmp_path: Path) -> None:
    root = {"agent": "clerk-0", "run": "r0"}
    below = {"run": "r1", "depth": 2, "root": root, "led_by": {**root, "span_id": None}}
    assert verdict(tmp_path, policy('run.depth == 2 && run.root == "r0"'), below) == "deny"
    assert verdict(tmp_path, policy("run.depth > 0"), {"depth": 0, "run": "r1"}) == "same"
    assert verdict(tmp_path, policy("run.depth > 0"), {"run": "r1"}) == "not in the record: run.depth"
    bound = policy("false") + "---\napiVersion: toolgate/v1\nkind: Run\nmetadata: {name: b}\nspec: {steps: 2}\n"
    others = {**below, "agent": "clerk-2", "run": "r2"}
    assert replayed(tmp_path, bound, below, others, below, {"run": "r1"})["newly_refused"] == 1


POOL = """
apiVersion: toolgate/v1
kind: Pool
metadata: {name: shared}
spec: {concurrency: 1}
"""
NO_PLACE = {**REFUSED, "status": 503, "reason": "queue_timeout", "rule": "pool/shared"}


def test_who_had_a_place_in_a_pool_and_who_had_none_is_taken_as_it_was(tmp_path: Path) -> None:
    """How long others would have had their places is not recorded; without the pool nobody waits for any."""
    assert replayed(tmp_path, POOL, {}, {}, NO_PLACE)["changes"] == []
    (change,) = replayed(tmp_path, policy("false"), {}, {}, NO_PLACE)["changes"]
    assert (change["before"], change["change"], change["calls"]) == ("deny", "allow", 1)
