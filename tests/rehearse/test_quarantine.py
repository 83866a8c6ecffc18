"""Quarantines where calls are not live: tests of policies, explanations, replays."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.described import Described
from gateway.model import Permit, Reason, Refusal
from gateway.rehearse.perform import Performance
from gateway.rehearse.stage import Stage
from tests.rehearse.support import document, ran, told
from tests.rehearse.test_replay import EPOCH, kind, log_of, replayed, version

GRANT = document("Grant", "all", '{agents: ["*"], tools: ["*"]}')


def trap(more: str, *, path: str = "/trap") -> str:
    """A rule that quarantines whoever goes there."""
    rule = f"""{{name: r, when: 'request.path == "{path}"', then: deny, message: a trap, {more}}}"""
    return document("Policy", "p", f"\n  match: {{tools: ['*']}}\n  rules: [{rule}]")


@pytest.mark.parametrize(
    ("scope", "still"),
    [("run", ["same run"]), ("agent", ["same run", "other run"]), ("tool", ["same run", "other run", "other agent"])],
)
def test_a_case_sees_that_later_calls_are_refused(tmp_path: Path, scope: str, still: list[str]) -> None:
    others = {"same run": "{run: a}", "other run": "{run: b}", "other agent": "{run: a, agent: pay-2}"}
    expected = {
        name: f"{{decision: refuse, reason: quarantined, rule: p/r, message: this {scope} is quarantined}}"
        if name in still
        else "allow"
        for name in others
    }
    steps = "\n".join(f"    - {{call: {call}, expect: {expected[name]}}}" for name, call in others.items())
    cases = f"""
- name: a trap
  call: {{tool: bank, path: /x, method: GET}}
  steps:
    - {{call: {{run: a}}, expect: allow}}
    - {{call: {{run: a, path: /trap}}, expect: {{decision: refuse, reason: policy_denied}}}}
{steps}
    - {{at: 59s, call: {{run: a}}, expect: {{decision: refuse, reason: quarantined}}}}
    - {{at: 61s, call: {{run: a}}, expect: allow}}
"""
    policies = GRANT + trap(f"quarantine: {scope}, quarantine_for: 1m")
    assert told(tmp_path, policies, cases) == []
    assert len(ran(tmp_path, policies, cases)[0].results) == 7


def test_an_answer_can_spring_it(tmp_path: Path) -> None:
    rule = "{name: r, phase: response, when: response.status == 418, then: deny, quarantine: run, message: odd}"
    policies = GRANT + document("Policy", "p", f"\n  match: {{tools: [bank]}}\n  rules: [{rule}]")
    cases = """
- name: an odd answer
  call: {tool: bank, path: /x, method: GET, run: a}
  steps:
    - {answer: {status: 418, body: '{}'}, expect: {decision: refuse, reason: result_denied}}
    - {expect: {decision: refuse, reason: quarantined}}
    - {call: {run: b}, expect: allow}
"""
    assert told(tmp_path, policies, cases) == []


def test_a_rule_that_is_only_tried_quarantines_nobody(tmp_path: Path) -> None:
    cases = """
- name: tried
  call: {tool: bank, path: /trap, method: GET, run: a}
  steps: [{repeat: 2, expect: allow}]
"""
    assert told(tmp_path, GRANT + trap("quarantine: run, mode: Audit"), cases) == []


def test_a_rule_that_fails_to_be_evaluated_quarantines_nobody(tmp_path: Path) -> None:
    policies = GRANT + document(
        "Policy",
        "p",
        "\n  match: {tools: ['*']}\n  rules: [{name: r, when: args.amount > 5, then: deny, quarantine: run}]",
    )
    cases = """
- name: without an amount
  call: {tool: bank, path: /transfers, method: POST, run: a}
  steps:
    - {call: {args: {other: 1}}, expect: {decision: refuse, reason: policy_error}}
    - {call: {args: {amount: 1}}, expect: allow}
"""
    assert told(tmp_path, policies, cases) == []


CONFIG = "tools:\n  bank: {url: 'http://bank.test'}\n"


def calls(path: str) -> list[Described]:
    return [Described(agent="a", tool="bank", run="r", path=each, method="GET") for each in ("/x", path, "/x", "/y")]


def test_a_stage_refuses_what_an_earlier_call_has_quarantined(tmp_path: Path) -> None:
    stage = Stage(version(tmp_path / "v", GRANT + trap("quarantine: run, quarantine_for: 10s"), CONFIG), EPOCH)
    decisions = [stage.decide(stage.call_of(call), at) for at, call in enumerate(calls("/trap"))]
    assert [type(each) for each in decisions] == [Permit, Refusal, Refusal, Refusal]
    assert isinstance(decisions[2], Refusal)
    assert (decisions[2].reason, decisions[2].retry_after) == (Reason.QUARANTINED, 9.0)
    assert isinstance(stage.decide(stage.call_of(calls("/trap")[0]), 11.0), Permit)


@pytest.mark.parametrize("known", ["before", "after"])
def test_a_replay_tells_what_a_quarantine_would_have_changed(tmp_path: Path, known: str) -> None:
    without = version(tmp_path / "without", GRANT + trap("mode: Audit"), CONFIG)
    trapped = version(tmp_path / "with", GRANT + trap("quarantine: run"), CONFIG)
    then, now = (trapped, without) if known == "before" else (without, trapped)
    play = Performance(Stage(then, EPOCH))
    acts = [play.begin(call, None, at) for at, call in enumerate(calls("/trap"))]
    play.until()
    traces = [act.record() for act in acts]
    deny = ["allow", "deny", "deny", "deny"]
    assert [kind(trace) for trace in traces] == (deny if known == "before" else ["allow"] * 4)
    changes = replayed(log_of(traces), now)["changes"]
    assert sum(group["calls"] for group in changes) == 3
    assert replayed(log_of(traces), then)["changes"] == [], "under its own rules nothing changes"
