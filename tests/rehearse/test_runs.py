"""Runs in cases and replays: their bounds, and what rules read of them."""

from __future__ import annotations

from pathlib import Path

from tests.rehearse.support import document, rule, told

BOUND = document("Run", "bounded", "{match: {tools: [bank]}, steps: 3, duration: 1m, depth: 2}")


def test_bounds_count_through_the_steps_of_a_case(tmp_path: Path) -> None:
    cases = """\
    - name: three steps
      steps:
        - {call: {run: r1}, repeat: 3, expect: allow}
        - {call: {run: r1}, expect: {decision: refuse, rule: run/bounded, reason: run_limited, status: 403}}
        - {call: {run: r2}, expect: allow}
        - {repeat: 5, expect: allow}
    - name: one minute
      steps:
        - {call: {run: r1}, expect: allow}
        - {at: 59s, call: {run: r1}, expect: allow}
        - {at: 60s, call: {run: r1}, expect: {decision: refuse, rule: run/bounded}}
    """
    assert told(tmp_path, BOUND, cases) == []


def test_runs_that_an_agent_says_another_began_are_bounded_with_it(tmp_path: Path) -> None:
    cases = """\
    - name: of one tree
      steps:
        - {call: {run: r1}, expect: allow}
        - {call: {run: c1, headers: {x-parent-run-id: r1}}, repeat: 2, expect: allow}
        - {call: {run: c2, headers: {x-parent-run-id: r1}}, expect: {decision: refuse, rule: run/bounded}}
    - name: too deep
      steps:
        - {call: {run: c1, headers: {x-parent-run-id: r1}}, expect: allow}
        - {call: {run: c2, headers: {x-parent-run-id: c1}}, expect: allow}
        - {call: {run: c3, headers: {x-parent-run-id: c2}}, expect: {decision: refuse, rule: run/bounded}}
    """
    assert told(tmp_path, BOUND, cases) == []


def test_rules_read_steps_errors_and_age(tmp_path: Path) -> None:
    cases = """\
    - name: steps
      steps:
        - {call: {run: r1}, repeat: 4, expect: allow}
        - {call: {run: r1}, expect: refuse}
    - name: errors
      steps:
        - {call: {run: r1}, answer: {status: 404}, expect: allow}
        - {call: {run: r1}, answer: {status: 200}, expect: allow}
        - {call: {run: r1}, answer: {status: 404}, repeat: 2, expect: allow}
        - {call: {run: r1}, expect: refuse}
    - name: age
      steps:
        - {call: {run: r1}, expect: allow}
        - {at: 29s, call: {run: r1}, expect: allow}
        - {at: 30s, call: {run: r1}, expect: refuse}
    """
    when = "run.steps > 3 || run.errors_in_row > 1 || run.age >= 30.0"
    assert told(tmp_path, rule(when), cases) == []
