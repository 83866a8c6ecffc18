"""Calls of cases go the whole way of the pipeline: guards, waiting, faults, answers of every protocol, overlap."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.rehearse.perform import Performance
from gateway.rehearse.run import run_case
from gateway.rehearse.stage import Stage
from tests.rehearse.support import HEAD, TOOLS, document, rule, suites, told

LIMIT = document("Limit", "slow-down", "{match: {tools: [bank]}, per: [agent], rate: 1/s, burst: 2}")


def test_a_limit_counts_through_the_steps_of_a_case_and_fills_up_with_time(tmp_path: Path) -> None:
    cases = """\
    - name: two at once, then one a second
      steps:
        - {expect: allow, repeat: 2}
        - {expect: {decision: refuse, rule: limit/slow-down, reason: rate_limited, status: 429}}
        - {at: 900ms, expect: refuse}
        - {at: 1s, expect: allow}
        - {expect: refuse}
        - {at: 2s, repeat: 5, every: 1s, expect: allow}
    - name: another case knows nothing of it
      steps: [{expect: allow, repeat: 2}, {call: {agent: pay-2}, expect: allow}]
    """
    assert told(tmp_path, LIMIT, cases) == []


def test_a_difference_tells_what_was_expected_and_what_came(tmp_path: Path) -> None:
    cases = """\
    - name: too many
      steps: [{repeat: 3, expect: {decision: allow, rule: limit/slow-down}}]
    """
    assert told(tmp_path, LIMIT, cases) == [
        "rule: limit/slow-down, ", "rule: limit/slow-down, ", "decision: allow, refuse",
    ]  # fmt: skip


def test_a_limit_that_waits_holds_a_call_back_until_its_turn(tmp_path: Path) -> None:
    waits = document(
        "Limit", "turns", "{match: {tools: [bank]}, per: [], rate: 1/s, burst: 1, mode: wait, max_wait: 2s}"
    )
    cases = """\
    - name: in turn
      steps:
        - {expect: {decision: allow, waited: 0}}
        - {expect: {decision: allow, waited: 1s}}
        - {at: 500ms, expect: {decision: allow, waited: 1.5s}}
        - {expect: {decision: refuse, rule: limit/turns}}
        - {at: 3s, expect: {decision: allow, waited: 0}}
    """
    assert told(tmp_path, waits, cases) == []


def test_calls_whose_answers_take_time_are_under_way_at_once(tmp_path: Path) -> None:
    cases = """\
    - name: two places
      steps:
        - {answer: {after: 2s}, repeat: 2, expect: {decision: allow, status: 200}}
        - {at: 1s, expect: {decision: refuse, rule: concurrency}}
        - {at: 2s, expect: allow}
    """
    assert told(tmp_path, "", cases) == []


FAULTS = [("unreachable", 502, 2), ("timeout", 504, 2), ("broken", 200, 2)]


@pytest.mark.parametrize(("fault", "status", "calls"), FAULTS)
def test_a_circuit_opens_by_faults_and_closes_again(tmp_path: Path, fault: str, status: int, calls: int) -> None:
    breaker = document("Breaker", "b", "{match: {tools: [bank]}, failures: 0, rate: 50%, minimum: 2, open: 10s}")
    cases = f"""\
    - name: opens
      steps:
        - {{answer: {{fault: {fault}}}, repeat: {calls}, expect: {{decision: allow, status: {status}}}}}
        - {{at: 1s, expect: {{decision: refuse, rule: breaker/b, reason: circuit_open}}}}
        - {{at: 12s, expect: allow}}
        - {{expect: allow}}
    """
    assert told(tmp_path, breaker, cases) == []


def test_slow_answers_open_a_circuit_too(tmp_path: Path) -> None:
    breaker = document(
        "Breaker", "b", "{match: {tools: [bank]}, failures: 0, rate: 0, slow: 1s, slow_rate: 50%, minimum: 2}"
    )
    cases = """\
    - name: slow
      steps:
        - {answer: {after: 1500ms}, repeat: 2, every: 2s, expect: allow}
        - {at: 5s, expect: {rule: breaker/b}}
    """
    assert told(tmp_path, breaker, cases) == []


def test_an_approval_is_told_from_a_refusal(tmp_path: Path) -> None:
    policies = rule("args.amount > 5", "approve", ", message: too much")
    cases = """\
    - name: asks
      call: {method: POST, path: /transfers, args: {amount: 6}}
      expect: {decision: approve, rule: p/r, rules: [p/r], reason: approval_required, message: too much, status: 403}
    - name: does not ask
      call: {method: POST, path: /transfers, args: {amount: 5}}
      expect: {decision: allow, rules: [], grant: everybody}
    """
    assert told(tmp_path, policies, cases) == []


def test_a_rule_over_the_answer_of_an_http_tool_refuses_what_it_reads(tmp_path: Path) -> None:
    policies = rule("has(result.secret)", more=", phase: response, message: kept back")
    cases = """\
    - name: with the secret
      answer: {result: {secret: 1}}
      expect: {decision: refuse, reason: result_denied, rule: p/r, message: kept back, status: 403}
    - name: without it
      answer: {result: {open: 1}}
      expect: {decision: allow, status: 200}
    - name: not JSON
      answer: {body: no, content_type: text/plain}
      expect: {decision: refuse, reason: result_unreadable}
    - name: without an answer the rule is not asked
      expect: {decision: allow, status: 204}
    """
    assert told(tmp_path, policies, cases) == []


def test_an_answer_longer_than_a_rule_may_read_is_refused(tmp_path: Path) -> None:
    policies = rule("has(result.secret)", more=", phase: response")
    body = f'{{"a": "{"x" * 1024}"}}'
    cases = f"""\
    - name: long
      answer: {{body: '{body}'}}
      expect: {{decision: refuse, reason: result_unreadable, message: over 1024 bytes}}
    """
    assert told(tmp_path, policies, cases) == []


def test_a_body_longer_than_a_rule_may_read_is_refused(tmp_path: Path) -> None:
    cases = f"""\
    - name: long
      call: {{method: POST, path: /transfers, args: {{text: {"x" * 1024}}}}}
      expect: {{decision: refuse, reason: body_too_large, status: 413}}
    """
    assert told(tmp_path, rule("has(args.secret)"), cases) == []


def test_an_mcp_tool_is_called_and_its_results_are_judged(tmp_path: Path) -> None:
    policies = rule("response.isError", more=", phase: response", match="{tools: [mail], operations: [send]}")
    cases = """\
    - name: fails
      call: {tool: mail, operation: send, args: {to: a}}
      answer: {isError: true, result: {content: []}}
      expect: {decision: refuse, rule: p/r, reason: result_denied}
    - name: works
      call: {tool: mail, operation: send}
      answer: {}
      expect: allow
    - name: another
      call: {tool: mail, operation: resources/read file:///a}
      answer: {isError: true}
      expect: allow
    """
    assert told(tmp_path, policies, cases) == []


MODELS = [
    ("gpt", "/v1/chat/completions", "{model: m, messages: []}"),
    ("gpt", "/v1/responses", "{model: m, input: hi}"),
    ("claude", "/v1/messages", "{model: m, max_tokens: 5, messages: []}"),
    ("gemini", "/v1beta/models/m:generateContent", "{contents: []}"),
]


@pytest.mark.parametrize(("tool", "path", "args"), MODELS)
def test_a_models_proposals_and_tokens_are_read_in_each_dialect(
    tmp_path: Path, tool: str, path: str, args: str
) -> None:
    policies = rule('proposal.name == "rm" && proposal.args.force', more=", phase: proposal") + document(
        "Policy",
        "q",
        "{match: {tools: ['*']}, rules: [{name: tokens, when: usage.output_tokens > 10, then: deny, phase: response}]}",
    )
    cases = f"""\
    - name: one of two is kept back
      call: {{tool: {tool}, method: POST, path: "{path}", args: {args}}}
      answer: {{proposals: [{{name: rm, args: {{force: true}}}}, {{name: ls}}], usage: {{output_tokens: 10}}}}
      expect: {{decision: refuse, withheld: [rm], rules: [p/r], reason: result_denied, status: 200}}
    - name: none
      call: {{tool: {tool}, method: POST, path: "{path}", args: {args}}}
      answer: {{proposals: [{{name: rm, args: {{force: false}}}}], usage: {{input_tokens: 50, output_tokens: 10}}}}
      expect: {{decision: allow, withheld: [], rules: []}}
    - name: too many tokens
      call: {{tool: {tool}, method: POST, path: "{path}", args: {args}}}
      answer: {{usage: {{output_tokens: 11}}}}
      expect: {{decision: refuse, rule: q/tokens}}
    """
    assert told(tmp_path, policies, cases) == []


def test_a_cap_changes_a_request_and_says_so(tmp_path: Path) -> None:
    cap = document("Cap", "small", "{match: {tools: [gpt]}, max_tokens: 100}")
    cases = """\
    - name: lowered
      call: {tool: gpt, method: POST, path: /v1/chat/completions, args: {model: m, messages: [], max_tokens: 500}}
      expect: {decision: allow, amended: ["max_tokens 500 -> 100"]}
    - name: small enough
      call: {tool: gpt, method: POST, path: /v1/chat/completions, args: {model: m, messages: [], max_tokens: 50}}
      expect: {decision: allow, amended: []}
    """
    assert told(tmp_path, cap, cases) == []


def test_what_a_run_has_cost_counts_for_its_next_call_alone(tmp_path: Path) -> None:
    policies = rule("run.cost_usd >= 1.0")
    cases = """\
    - name: a budget
      call: {tool: gpt, method: POST, path: /v1/chat/completions, args: {model: gpt-4o, messages: []}, run: r1}
      answer: {model: gpt-4o, usage: {output_tokens: 100000}}
      steps: [{expect: {decision: allow, cost_usd: 1.0}}, {expect: refuse}, {call: {run: r2}, expect: allow}]
    """
    assert told(tmp_path, policies, cases) == []


def test_a_run_is_named_in_the_header_that_the_configuration_says(tmp_path: Path) -> None:
    cases = """\
    - {name: named, call: {run: r1}, expect: refuse}
    - {name: by hand, call: {headers: {X-Run-Id: r1}}, expect: refuse}
    - {name: none, expect: allow}
    """
    assert told(tmp_path, rule('request.headers.exists(h, h == "x-run-id") && run.id == "r1"'), cases) == []


def test_a_request_that_cannot_be_read_in_one_way_is_refused_before_any_rule(tmp_path: Path) -> None:
    cases = """\
    - name: twice
      call: {method: POST, path: /transfers, body: '{"a": 1, "a": 2}', headers: {content-type: application/json}}
      expect: {decision: refuse, reason: unreadable_body, rules: []}
    """
    assert told(tmp_path, rule("has(args.a)"), cases) == []


RESULT = rule("has(result.a)", more=", phase: response")


def broken(*_: object, **__: object) -> None:
    raise RuntimeError("boom")


def test_what_breaks_within_the_gateway_is_no_allow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.answers.told", broken)
    cases = """\
    - name: breaks
      steps:
        - {answer: {result: {}}, expect: {decision: refuse, reason: internal_error, message: "RuntimeError: boom"}}
    """
    assert told(tmp_path, RESULT, cases) == []


STREAM = """\
- name: breaks
  call: {tool: mail, operation: send}
  answer: {body: "data: {}\\n\\n", content_type: text/event-stream}
  expect: {decision: %s, status: %s}
"""


def test_an_answer_that_a_reader_breaks_over_is_kept_back_where_it_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.understand.mcp_answers.Events.feed", broken)
    assert told(tmp_path, RESULT, STREAM % ("refuse", 200)) == []
    monkeypatch.setattr("gateway.understand.mcp_answers.Tap.feed", broken)
    assert told(tmp_path, "", STREAM % ("allow", 200)) == []


def test_an_answer_that_breaks_off_before_a_rule_has_seen_it_all_is_not_passed_on(tmp_path: Path) -> None:
    cases = "- {name: breaks, answer: {fault: broken, result: {}}, expect: {decision: allow, status: 502}}\n"
    assert told(tmp_path, RESULT, cases) == []


OFFERS = (
    "  offers: {mail: [{name: ls, annotations: {readOnlyHint: true}, inputSchema: {type: object, required: [a]}}]}\n"
)


def test_what_a_server_offers_is_known_to_rules_and_arguments_are_held_to_it(tmp_path: Path) -> None:
    policies = rule("!tool.readOnly", match="{tools: [mail]}")
    cases = """\
    - name: offered
      call: {tool: mail, operation: ls, args: {a: 1}}
      expect: allow
    - name: wrong arguments
      call: {tool: mail, operation: ls}
      expect: {decision: refuse, reason: invalid_arguments}
    - name: not offered
      call: {tool: mail, operation: rm}
      expect: {decision: refuse, rule: p/r}
    """
    found, errors = suites(tmp_path, policies, cases, head=HEAD + TOOLS + OFFERS)
    assert errors == []
    results = [run_case(case, suite.loaded, suite.offers) for suite in found for case in suite.cases]
    assert [result.failed for result in results] == [(), (), ()]


def test_a_run_is_marked_and_fields_are_masked_as_the_cases_expect(tmp_path: Path) -> None:
    spec = (
        "{match: {tools: [bank]}, rules: ["
        "{name: mark, when: has(args.secret), then: label, label: tainted},"
        "{name: mask, when: has(args.secret), then: redact, fields: [args.secret]},"
        "{name: result, when: has(result.ssn), then: redact, fields: [result.ssn], phase: response},"
        "{name: stop, when: \"'tainted' in run.labels && !has(args.secret)\", then: deny}]}"
    )
    cases = """\
    - name: marked
      call: {method: POST, path: /transfers, args: {secret: x}, run: r}
      steps:
        - {call: {args: {}}, expect: {decision: allow, labels: [], redacted: []}}
        - {expect: {decision: allow, labels: [tainted], redacted: [args.secret], amended: []}}
        - {call: {args: {}}, expect: {decision: refuse, rule: p/stop}}
        - {call: {args: {}, run: s}, answer: {result: {ssn: 1}}, expect: {decision: allow, redacted: [result.ssn]}}
    """
    assert told(tmp_path, document("Policy", "p", spec), cases) == []


def test_rules_read_the_time_that_the_case_says(tmp_path: Path) -> None:
    cases = """\
    - name: noon
      steps: [{expect: allow}, {at: 21599s, expect: allow}, {at: 6h, expect: refuse}]
    - name: early
      start: 2026-01-05T08:59:59+01:00
      steps: [{expect: refuse}, {at: 1s, expect: allow}]
    """
    closed = "request.time.getHours() < 8 || request.time.getHours() >= 18"
    assert told(tmp_path, rule(closed), cases) == []


def test_a_call_on_its_way_has_no_record_yet(tmp_path: Path) -> None:
    found, _ = suites(tmp_path, "", "- {name: slow, answer: {after: 1s}, expect: allow}\n")
    (step,) = found[0].cases[0].steps
    performance = Performance(Stage(found[0].loaded))
    act = performance.begin(step.call, step.answer, 0.0)
    performance.until(0.9)
    with pytest.raises(RuntimeError, match="not ended yet"):
        act.record()
    performance.until(1.0)
    assert act.record().ended == 1.0
