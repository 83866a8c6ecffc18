"""Coverage: what cases have tried of rules, limits and breakers, over several files."""

from __future__ import annotations

from pathlib import Path

from gateway.rehearse.coverage import Coverage
from gateway.rehearse.run import run_case
from tests.rehearse.support import document, rule, suites

POLICIES = (
    rule("args.amount > 5", match="{tools: [bank], operations: ['POST *']}")
    + document(
        "Policy",
        "q",
        "{match: {tools: [bank]}, rules: [{name: shadow, when: 'true', then: deny, mode: Audit},"
        " {name: answer, when: has(result.a), then: deny, phase: response}]}",
    )
    + document("Limit", "l", "{match: {tools: [bank]}, per: [agent], rate: 1/s, burst: 1}")
    + document("Breaker", "b", "{match: {tools: [bank]}}")
    + document("Breaker", "mail", "{match: {tools: [mail]}}")
)


def covered(folder: Path, *files: str) -> Coverage:
    coverage = Coverage()
    for cases in files:
        found, errors = suites(folder, POLICIES, cases)
        assert errors == []
        for suite in found:
            loaded = coverage.watch(suite)
            for case in suite.cases:
                coverage.note(one.trace for one in run_case(case, loaded).results)
    return coverage


def gaps(coverage: Coverage) -> list[str]:
    return [f"{one.line} {one.name}: {', '.join(one.missing)}" for one in coverage.gaps()]


READS = "- {name: reads, call: {path: /accounts}, expect: allow}\n"
REST = """\
- name: the rest
  steps:
    - {call: {method: POST, path: /transfers, args: {amount: 6}}, answer: {result: {a: 1}}, expect: refuse}
    - {call: {method: POST, path: /transfers, args: {amount: 5}}, answer: {result: {a: 1}}, expect: refuse}
    - {call: {method: POST, path: /transfers, args: {amount: 5}}, expect: refuse}
    - {at: 9s, call: {path: /accounts}, answer: {result: {}}, expect: allow}
"""


def test_what_was_never_tried_is_told_with_its_place(tmp_path: Path) -> None:
    coverage = covered(tmp_path, READS)
    assert gaps(coverage) == [
        "7 p/r: never evaluated",
        "12 q/answer: never evaluated",
        "14 limit/l: never refused one",
        "19 breaker/b: never open",
        "24 breaker/mail: never let a call pass",
    ]
    assert round(coverage.percent) == round(100 * 3 / 11)


def test_several_files_add_up_to_one_coverage(tmp_path: Path) -> None:
    coverage = covered(tmp_path, READS, REST)
    assert gaps(coverage) == ["19 breaker/b: never open", "24 breaker/mail: never let a call pass"]
    assert round(coverage.percent) == round(100 * 8 / 11)


def test_a_rule_that_only_fails_is_neither_true_nor_false(tmp_path: Path) -> None:
    coverage = covered(tmp_path, "- {name: none, call: {method: POST, path: /transfers}, expect: refuse}\n")
    assert "7 p/r: never true (failed 1 times), never false (failed 1 times)" in gaps(coverage)


def test_rules_over_lists_and_proposals_are_watched_too(tmp_path: Path) -> None:
    policies = document(
        "Policy",
        "p",
        "{match: {tools: [mail, gpt]}, rules: [{name: hide, when: 'tool.operation == \"rm\"', then: deny, phase: list},"
        ' {name: kept, when: proposal.name == "rm", then: deny, phase: proposal}]}',
    )
    cases = """\
    - name: a list
      call: {tool: mail, operation: tools/list}
      answer: {result: {tools: [{name: rm, inputSchema: {type: object}}, {name: ls, inputSchema: {type: object}}]}}
      expect: allow
    - name: proposals
      call: {tool: gpt, method: POST, path: /v1/chat/completions, args: {model: m, messages: []}}
      answer: {proposals: [{name: rm}, {name: ls}]}
      expect: {withheld: [rm]}
    """
    found, errors = suites(tmp_path, policies, cases)
    assert errors == []
    coverage = Coverage()
    loaded = coverage.watch(found[0])
    for case in found[0].cases:
        assert run_case(case, loaded).failed == ()
    assert gaps(coverage) == []
    assert coverage.percent == 100.0


def test_nothing_to_cover_is_all_covered() -> None:
    assert Coverage().percent == 100.0
