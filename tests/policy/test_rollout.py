"""Rollout: who is in is in everywhere and always, and those outside are only recorded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Mode, Spoke
from gateway.policy.rollout import Rollout, share
from tests.policy.support import book_of, call_to, compiled, document

NAMES = [f"run-{number}" for number in range(4000)]


def rolled(rollout: dict[str, Any] | None, mode: str = "Enforce", **rule: Any) -> Any:
    rules = [{"name": "r", "when": "true", "then": "deny", "mode": mode, **rule}]
    return document("Policy", "small", rules=rules, **({"rollout": rollout} if rollout else {}))


def said(policy: Any, **call: Any) -> Spoke:
    (spoke,) = book_of(policy).rules("bank", "POST /transfers").judge(call_to(**call))
    return spoke


def test_the_share_is_the_same_on_every_machine() -> None:
    """Digests computed elsewhere: a change of these moves runs in and out of every rollout that is under way."""
    assert [round(share("payments", name), 6) for name in ("run-1", "run-2", "")] == SHARES


SHARES = [26.985571, 37.228649, 28.599611]


@pytest.mark.parametrize("percent", [1, 10, 50, 90])
def test_about_as_many_are_in_as_the_percentage_says(percent: int) -> None:
    inside = sum(share("payments", name) < percent for name in NAMES) / len(NAMES) * 100
    assert abs(inside - percent) < 3


def test_each_policy_picks_its_own() -> None:
    first, second = ({name for name in NAMES if share(policy, name) < 10} for policy in ("one", "two"))
    assert len(first & second) < len(first) / 3


@given(st.text(), st.text())
def test_a_share_is_below_a_hundred_so_that_a_hundred_is_everybody(policy: str, name: str) -> None:
    assert 0 <= share(policy, name) < 100


@given(st.text(), st.text(), st.floats(0, 100), st.floats(0, 100))
def test_who_is_in_stays_in_when_more_come_in(agent: str, run: str, one: float, other: float) -> None:
    few, more = (Rollout("p", percent, True) for percent in sorted((one, other)))
    call = call_to(agent=agent, run=run)
    assert not few.covers(call) or more.covers(call)


@pytest.mark.parametrize(("percent", "mode"), [(0, Mode.AUDIT), (100, Mode.ENFORCE), (100.0, Mode.ENFORCE)])
def test_a_policy_is_enforced_inside_and_audited_outside_of_its_rollout(percent: float, mode: Mode) -> None:
    spoke = said(rolled({"percent": percent}))
    assert (spoke.mode, spoke.outside) == (mode, mode is Mode.AUDIT)


def test_without_a_rollout_everybody_is_in() -> None:
    assert (said(rolled(None)).mode, said(rolled(None)).outside) == (Mode.ENFORCE, False)


@pytest.mark.parametrize("mode", [Mode.AUDIT, Mode.WARN])
@pytest.mark.parametrize("percent", [0, 100])
def test_what_is_not_enforced_is_not_rolled_out(mode: Mode, percent: int) -> None:
    policy = rolled({"percent": percent}, mode.value)
    policy["spec"]["rules"].append({"name": "s", "when": "false", "then": "deny"})
    assert (said(policy).mode, said(policy).outside) == (mode, False)


def test_canaries_are_in_in_any_case() -> None:
    policy = rolled({"agents": ["canary-*"]})
    assert said(policy, agent="canary-7").mode is Mode.ENFORCE
    assert said(policy, agent="pay-1").mode is Mode.AUDIT


def test_a_run_is_in_or_out_whichever_agent_works_on_it() -> None:
    policy = rolled({"percent": 50})
    for run in NAMES[:20]:
        assert len({said(policy, run=run, agent=agent).mode for agent in ("a", "b", "c")}) == 1
    assert {said(policy, run=run).mode for run in NAMES[:20]} == {Mode.ENFORCE, Mode.AUDIT}


def test_without_a_run_the_agent_counts() -> None:
    policy = rolled({"percent": 50})
    for agent in NAMES[:20]:
        assert said(policy, run="", agent=agent).mode == said(policy, run=agent).mode


def test_by_agent_an_agents_runs_are_all_in_or_out() -> None:
    policy = rolled({"percent": 50, "by": "agent"})
    for agent in NAMES[:20]:
        assert len({said(policy, run=run, agent=agent).mode for run in ("a", "b", "")}) == 1
    assert {said(policy, agent=agent).mode for agent in NAMES[:20]} == {Mode.ENFORCE, Mode.AUDIT}


def test_a_rule_that_cannot_be_evaluated_refuses_only_inside() -> None:
    out, inside = (said(rolled({"percent": percent}, when='args.x == "y"')) for percent in (0, 100))
    assert (out.mode, inside.mode) == (Mode.AUDIT, Mode.ENFORCE)
    assert out.error == inside.error != ""


def test_explain_tells_that_a_call_is_outside() -> None:
    (told,) = book_of(rolled({"percent": 0})).rules("bank", "POST /transfers").explain(call_to())
    assert (told.mode, told.outside) == (Mode.AUDIT, True)


def test_a_rollout_of_nothing_that_is_enforced_is_a_warning() -> None:
    _, (complaint,) = compiled(rolled({"percent": 5}, "Audit"))
    assert (complaint.severity, complaint.path) == ("warning", ("spec", "rollout"))
