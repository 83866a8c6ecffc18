"""``toolgate explain``: what the policies make of one call, and the story of one that was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.explanation_changes_text import change_lines
from gateway.cli.root import toolgate
from gateway.model import Agent, Mode, Outcome, Reason, Refusal, Request, Run, Spoke, Trace, Verdict
from gateway.observe.trace import line_of
from tests.config.support import written

CONFIG = """\
tools:
  bank:
    url: http://127.0.0.1:7002
    operations: ["POST /transfers/{kind}"]
    limits: {concurrency: 4}
"""
POLICIES = """\
apiVersion: toolgate/v1
kind: Grant
metadata: {name: payers}
spec: {agents: ["pay-*"], tools: [bank], operations: ["POST *"]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: payments}
spec:
  match: {tools: [bank], operations: ["POST /transfers/*"]}
  variables: [{name: amount, expression: double(args.amount)}]
  rules:
    - {name: large, when: variables.amount > 1000.0, then: deny, message: too much}
    - {name: ask, when: variables.amount > 500.0, then: approve}
    - {name: shadow, when: agent.id == "pay-1", then: deny, mode: Audit}
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: per-recipient}
spec: {match: {tools: [bank]}, per: [agent, "string(args.to)"], rate: 20/h, burst: 3, mode: wait}
---
apiVersion: toolgate/v1
kind: Breaker
metadata: {name: bank}
spec: {match: {tools: [bank]}}
"""
CALL = {"agent": "pay-1", "tool": "bank", "method": "post", "path": "/transfers/sepa"}


def invoke(tmp_path: Path, call: dict[str, Any], *more: str) -> Result:
    path = written(tmp_path, CONFIG, p=POLICIES)
    return CliRunner().invoke(toolgate, ["explain", "-c", str(path), "-", *more], input=json.dumps(call))


def explained(tmp_path: Path, call: dict[str, Any]) -> dict[str, Any]:
    done = invoke(tmp_path, call, "--json")
    assert done.exit_code == 0, done.output
    explanation: dict[str, Any] = json.loads(done.stdout)
    return explanation


def test_a_call_that_is_allowed_names_grant_rules_limits_and_breakers(tmp_path: Path) -> None:
    told = explained(tmp_path, {**CALL, "args": {"to": "x", "amount": 5}})
    assert told["call"]["operation"] == "POST /transfers/{kind}"
    assert told["call"]["params"] == {"kind": "sepa"}
    assert told["grant"] == "payers"
    assert [(rule["rule"], rule["result"]) for rule in told["rules"]] == [
        ("large", "false"), ("ask", "false"), ("shadow", "true"),
    ]  # fmt: skip
    assert told["rules"][0]["variables"] == {"amount": "double(args.amount)"}
    assert told["rules"][0]["read"] == {"args": {"to": "x", "amount": 5}}
    assert told["limits"] == [
        {"limit": "per-recipient", "key": ["pay-1", "x"], "error": None, "lacking": None, "rate": "20/h", "burst": 3.0,
         "mode": "wait", "max_wait": 5.0, "left": None, "one_more_after_s": 180.0, "full_after_s": 540.0}
    ]  # fmt: skip
    assert [(one["breaker"], one["key"], one["settings"]["failures"]) for one in told["breakers"]] == [
        ("bank", ["bank"], 5)
    ]
    assert told["concurrency"] == 4
    assert told["verdict"] == {"decision": "allow", "grant": "payers"}


@pytest.mark.parametrize(
    ("change", "reason", "rule"),
    [
        ({"args": {"to": "x", "amount": 5000}}, Reason.POLICY_DENIED, "payments/large"),
        ({"args": {"to": "x", "amount": 600}}, Reason.APPROVAL_REQUIRED, "payments/ask"),
        ({"args": {"to": "x"}}, Reason.POLICY_ERROR, "payments/large"),
        ({"args": {"amount": 5}}, Reason.POLICY_ERROR, None),
        ({"agent": "other", "args": {"to": "x", "amount": 5}}, Reason.NOT_GRANTED, "grants"),
        ({"path": "/transfers/../x", "args": {}}, Reason.AMBIGUOUS_PATH, None),
        ({"body": '{"a": 1, "a": 2}'}, Reason.UNREADABLE_BODY, None),
    ],
)
def test_the_verdict_is_the_one_that_the_gateway_gives(
    change: dict[str, Any], reason: Reason, rule: str | None, tmp_path: Path
) -> None:
    verdict = explained(tmp_path, {**CALL, **change})["verdict"]
    assert (verdict["decision"], verdict["reason"], verdict["rule"]) == ("refuse", reason, rule)


GOVERNORS = """\
apiVersion: toolgate/v1
kind: Budget
metadata: {name: day}
spec: {per: [agent, "string(args.to)"], window: day, usd: 5, tokens: 1000, mode: soft}
---
apiVersion: toolgate/v1
kind: Budget
metadata: {name: of-others}
spec: {agents: ["other-*"], per: [], window: day, calls: 10}
---
apiVersion: toolgate/v1
kind: Loop
metadata: {name: circles}
spec: {match: {tools: [bank]}, mode: Audit}
---
apiVersion: toolgate/v1
kind: Retry
metadata: {name: storms}
spec: {match: {tools: [bank]}}
---
apiVersion: toolgate/v1
kind: Run
metadata: {name: bounded}
spec: {steps: 200, depth: 3}
---
apiVersion: toolgate/v1
kind: Pool
metadata: {name: turns}
spec: {match: {tools: [bank]}, concurrency: 8, adaptive: true}
"""


def test_governors_of_the_call_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, CONFIG, p=POLICIES, governors=GOVERNORS)
    call = json.dumps({**CALL, "args": {"to": "x", "amount": 5}})
    done = CliRunner().invoke(toolgate, ["explain", "-c", str(path), "-"], input=call)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    at = lines.index("budget    day: 5.00 USD in a day; key pay-1 x; refuses nothing")
    assert lines[at + 1 : at + 6] == [
        "budget    day: 1000 tokens in a day; key pay-1 x; refuses nothing",
        "loop      circles: the same result 3 times, the same error 2 times, 3 rounds; refuses nothing",
        "retry     storms: 5 retries, then 0.1 for each success; failures kept 30 s",
        "run       bounded: steps 200, depth 3",
        "pool      turns: 1 to 8 calls at once, 80% of them one agent's, 100 wait up to 10 s",
    ]
    without = CliRunner().invoke(toolgate, ["explain", "-c", str(path), "-"], input=json.dumps({**CALL, "args": {}}))
    assert "budget    day: 5.00 USD in a day; refuses: " in without.stdout


def test_nearest_grants_say_what_they_miss(tmp_path: Path) -> None:
    told = explained(tmp_path, {**CALL, "agent": "report-1", "roles": ["analyst"], "method": "GET", "args": {}})
    assert told["nearest_grants"] == [
        {
            "grant": "payers",
            "misses": [
                "agent report-1 with roles [analyst] is not in agents [pay-*]",
                "operation 'GET /transfers/sepa' is not in operations [POST *]",
            ],
        }
    ]


def test_the_text_says_it_for_people(tmp_path: Path) -> None:
    done = invoke(tmp_path, {**CALL, "args": {"to": "x", "amount": 5000}})
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "call      pay-1 -> bank: POST /transfers/{kind}"
    for line in (
        "grant     payers allows it",
        "rules     payments/large: true, then deny",
        "            where amount is double(args.amount)",
        "              variables.amount -> 5000.0",
        "                  args.amount -> 5000",
        "            says too much",
        "          payments/shadow: true, then deny (Audit: never enforced)",
        "limit     per-recipient: 20/h, bursts of 3, waits up to 5 s; key pay-1 x",
        "          used up, it has room for one more after 180 s, for all after 540 s",
        "breaker   bank: key bank",
        "          opens for 15 s at 5 failures in a row or 50% failures of at least 10 calls in 30 s",
        "places    4 calls at once",
        "verdict   refused with 403 policy_denied by payments/large",
        "change    payments/large would have to be false:",
        "            variables.amount > 1000.0 false (variables.amount is 5000.0)",
        "          payments/ask would have to be false:",
    ):
        assert line in lines


def test_an_allowed_call_names_the_rules_that_came_nearest(tmp_path: Path) -> None:
    call = {**CALL, "args": {"to": "x", "amount": 5}}
    assert explained(tmp_path, call)["nearest_rules"] == ["payments/large", "payments/ask"]
    lines = invoke(tmp_path, call).stdout.splitlines()
    at = lines.index("change    payments/large would refuse it:")
    assert lines[at + 1 : at + 3] == [
        "            variables.amount > 1000.0 true (variables.amount is 5.0)",
        "          payments/ask would ask a person about it:",
    ]


def test_of_very_many_conditions_that_would_have_to_change_some_are_told() -> None:
    change = {"condition": "args.a == 1.0", "wanted": True, "error": None, "values": {"args.a": 2.0}}
    rule = {"policy": "p", "rule": "r", "then": "deny", "to_be_true": [[change] * 10]}
    told = {
        "call": {}, "grant": "g", "rules": [rule], "against": [], "limits": [], "nearest_rules": ["p/r"],
        "verdict": {"decision": "allow"},
    }  # fmt: skip
    lines = list(change_lines(told))
    assert lines[0] == "p/r would refuse it:"
    assert lines[1].count("args.a == 1.0 true (args.a is 2.0)") == 8
    assert lines[1].endswith(", and 2 more")


def test_an_error_is_shown_where_it_arises_and_would_have_to_go(tmp_path: Path) -> None:
    lines = invoke(tmp_path, {**CALL, "args": {"to": "x"}}).stdout.splitlines()
    missing = 'cannot be evaluated: there is no key "amount"'
    assert f"rules     payments/large: {missing}, then deny" in lines
    assert f"                  args.amount -> {missing}" in lines
    assert f"            variables.amount > 1000.0 false ({missing})" in lines


def test_a_call_without_a_grant_names_those_that_come_nearest(tmp_path: Path) -> None:
    lines = invoke(tmp_path, {**CALL, "agent": "other", "args": {"to": "x", "amount": 5}}).stdout.splitlines()
    at = lines.index("change    a grant would have to allow it; the nearest are")
    assert lines[at + 1] == "            payers: agent other is not in agents [pay-*]"


def test_a_key_of_a_limit_that_cannot_be_made_is_what_would_have_to_change(tmp_path: Path) -> None:
    lines = invoke(tmp_path, {**CALL, "args": {"amount": 5}}).stdout.splitlines()
    assert any(line.startswith("change    the key of limit per-recipient would have to be known (") for line in lines)


@pytest.mark.parametrize(("amount", "code"), [(5, 0), (5000, 3), (600, 3)])
def test_the_exit_code_tells_the_verdict_where_that_is_asked_for(amount: int, code: int, tmp_path: Path) -> None:
    call = {**CALL, "args": {"to": "x", "amount": amount}}
    assert invoke(tmp_path, call).exit_code == 0
    assert invoke(tmp_path, call, "--exit-code").exit_code == code


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tool": "bnk"}, "<stdin>:1:28: error: no tool named 'bnk' is configured (did you mean bank?)"),
        ({"methd": "GET"}, "unknown key 'methd' (did you mean method?)"),
        ({"path": "transfers"}, "path: not a path: 'transfers' (write it below the tool, such as /notes/1, percent-en"),
        ({"args": {}, "body": {}}, "args and body are both given (keep one of them)"),
    ],
)
def test_mistakes_in_the_description_are_told_with_their_place(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    done = invoke(tmp_path, {**CALL, **change})
    assert done.exit_code == 1
    assert message in done.stderr


def test_arguments_that_do_not_go_together_are_a_usage_error() -> None:
    done = CliRunner().invoke(toolgate, ["explain", "--call-id", "x"])
    assert done.exit_code == 2
    assert "give -c FILE and CALL.yaml, or --call-id ID and --trace FILE" in done.stderr


def trace(ident: str) -> bytes:
    request = Request("POST", "/bank/transfers?secret=1", "1.1", (), {}, 0, "127.0.0.1", True)
    spoke = Spoke("payments", "large", Verdict.DENY, Mode.ENFORCE, "too much")
    refusal = Refusal(Reason.POLICY_DENIED, 403, "too much", "payments/large", spoke=(spoke,))
    return line_of(
        Trace(
            ident, 0.0, 10.0, 10.001, 10.001, 10.002, request, Agent("pay-1", ("payer",)), Run("r1"), "bank",
            "POST /transfers", "abc", refusal, Outcome(403, sent=20),
        )
    )  # fmt: skip


def test_the_story_of_a_recorded_call_is_found_among_torn_lines(tmp_path: Path) -> None:
    log = tmp_path / "trace.jsonl"
    log.write_bytes(trace("c-1") + b'{"call": "c-2", "torn\n' + trace("c-2"))
    done = CliRunner().invoke(toolgate, ["explain", "--call-id", "c-2", "--trace", str(log)])
    assert done.stdout.splitlines() == [
        "1970-01-01T00:00:00.000Z  call c-2, policy abc",
        "  pay-1 (payer), run r1",
        "  POST /bank/transfers -> tool bank, operation POST /transfers",
        "  rule payments/large: deny (Enforce) too much",
        "  decision: refused: policy_denied by payments/large: too much",
        "  tool was not asked; agent got 403, 20 bytes, in 2 ms",
    ]
    as_json = CliRunner().invoke(toolgate, ["explain", "--call-id", "c-2", "--trace", str(log), "--json"])
    assert json.loads(as_json.stdout)["call"] == "c-2"


def test_the_story_tells_what_of_an_answer_was_kept_back_and_what_it_cost(tmp_path: Path) -> None:
    told = {
        "amendments": ["max_tokens 9 -> 4"],
        "withheld": {"reason": "result_denied", "rule": "p/no-shell", "detail": "no shell"},
        "proposed": [{"name": "bash", "refused": "p/no-shell"}, {"name": "search", "refused": None}],
        "usage": {"input": 30, "output": 9},
        "cost_usd": 0.00295,
        "notes": ["usage estimated"],
    }
    log = tmp_path / "trace.jsonl"
    log.write_bytes(json.dumps({**json.loads(trace("c-1")), **told}).encode() + b"\n")
    done = CliRunner().invoke(toolgate, ["explain", "--call-id", "c-1", "--trace", str(log)])
    assert done.stdout.splitlines()[-5:] == [
        "  changed in the request: max_tokens 9 -> 4",
        "  kept from the agent: result_denied by p/no-shell: no shell",
        "  the model proposed: bash (taken out by p/no-shell), search",
        "  cost: 30 tokens read, 9 written, 0.00295 US dollars",
        "  note: usage estimated",
    ]


def test_a_call_that_is_not_in_the_log_is_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "trace.jsonl").write_bytes(trace("c-1"))
    done = CliRunner().invoke(toolgate, ["explain", "--call-id", "c-9", "--trace", str(tmp_path / "trace.jsonl")])
    assert done.exit_code == 1
    assert "there is no call 'c-9'" in done.stderr
