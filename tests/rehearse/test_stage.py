"""A stage decides calls that are known already, with counters, circuits and costs of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from gateway.config.described import Described
from gateway.config.load import load
from gateway.model import Answered, Call, Hold, Outcome, Permit, Reason, Refusal, Run
from gateway.rehearse.stage import Stage, Turn, Turns
from tests.builders import rate
from tests.config.support import written
from tests.rehearse.support import document, rule

CONFIG = """\
tools:
  bank: {url: "http://bank", operations: [POST /transfers], limits: {concurrency: 1}, cost: 0.5}
"""
GRANT = document("Grant", "all", "{agents: ['pay-*'], tools: ['*']}")
DONE = Outcome(200, upstream=200)


def staged(tmp_path: Path, policies: str = "") -> Stage:
    return Stage(load(written(tmp_path, CONFIG, p=GRANT + policies)), epoch=1_700_000_000.0)


def transfer(stage: Stage, **more: object) -> Call:
    return stage.call_of(Described(agent="pay-1", tool="bank", method="post", path="/transfers", run="r", **more))  # type: ignore[arg-type]


def test_a_described_call_is_the_call_that_the_gateway_would_read(tmp_path: Path) -> None:
    stage = staged(tmp_path, rule("args.amount > 5"))
    call = transfer(stage, args={"amount": 6}, query="a=1", headers={"X-More": "b"})
    assert (call.operation, call.agent.id, call.run.id) == ("POST /transfers", "pay-1", "r")
    assert (call.query, call.request.header(b"x-more")) == ("a=1", "b")
    assert dict(call.args) == {"a": "1", "amount": 6}


def test_a_described_agent_has_the_claims_that_are_described(tmp_path: Path) -> None:
    stage = staged(tmp_path, rule('has(agent.claims.team) && agent.claims.team == "red"'))
    assert isinstance(stage.decide(transfer(stage, claims={"team": "red"}), 0.0), Refusal)
    assert isinstance(stage.decide(transfer(stage, claims={"team": "blue"}), 0.0), Permit)


def test_a_permit_holds_its_place_until_the_call_is_settled(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    call = transfer(stage)
    first = stage.decide(call, 0.0)
    assert isinstance(first, Permit)
    second = stage.decide(call, 1.0)
    assert isinstance(second, Refusal)
    assert second.reason is Reason.CONCURRENCY_LIMITED
    stage.settle(call, second, Outcome(503), 1.0)
    assert isinstance(stage.decide(call, 1.5), Refusal)
    stage.settle(call, first, DONE, 2.0)
    assert isinstance(stage.decide(call, 2.0), Permit)


def test_circuits_hear_of_answers_and_of_calls_that_got_none(tmp_path: Path) -> None:
    stage = staged(tmp_path, document("Breaker", "b", "{failures: 2, rate: 0, open: 10s}"))
    call = transfer(stage)
    first = stage.decide(call, 0.0)
    stage.answered(first, Answered(500, 0.1), 0.1)
    stage.settle(call, first, Outcome(500, upstream=500), 0.2)
    second = stage.decide(call, 1.0)
    stage.settle(call, second, Outcome(502, fault="tool"), 1.0)
    third = stage.decide(call, 2.0)
    assert isinstance(third, Refusal)
    assert third.rule == "breaker/b"
    stage.answered(third, Answered(200, 0.1), 2.0)
    assert isinstance(stage.decide(call, 2.0), Refusal)


def test_costs_are_priced_or_taken_as_they_are_told(tmp_path: Path) -> None:
    stage = staged(tmp_path, rule("run.cost_usd > 1.0"))
    call = transfer(stage)
    stage.settle(call, stage.decide(call, 0.0), DONE, 0.0)
    assert stage.runs.cost(("pay-1", "r")) == 0.5
    stage.settle(call, stage.decide(call, 1.0), Outcome(200, upstream=200, cost_usd=0.75), 1.0)
    assert stage.runs.cost(("pay-1", "r")) == 1.25
    refused = stage.decide(call, 2.0)
    assert isinstance(refused, Refusal)
    assert refused.rule == "p/r"
    stage.settle(call, refused, Outcome(403, cost_usd=9.0), 2.0)
    assert stage.runs.cost(("pay-1", "r")) == 1.25


def test_limits_fill_up_by_the_clock_that_is_set(tmp_path: Path) -> None:
    stage = staged(tmp_path, document("Limit", "l", "{per: [agent], rate: 1/m, burst: 1}"))
    call = transfer(stage)

    def allowed(at: float) -> bool:
        decision = stage.decide(call, at)
        stage.settle(call, decision, DONE, at)
        return isinstance(decision, Permit)

    assert [allowed(at) for at in (0.0, 59.9, 60.0, 61.0, 120.0)] == [True, False, True, False, True]


def test_a_limit_that_waits_lets_pass_what_its_turn_comes_in_time(tmp_path: Path) -> None:
    limit = "{per: [agent], rate: 1/s, burst: 1, mode: wait, max_wait: 1s}"
    stage = staged(tmp_path, document("Limit", "l", limit))
    call = transfer(stage)
    decisions = []
    for _ in range(3):
        decisions.append(stage.decide(call, 0.0))
        stage.settle(call, decisions[-1], DONE, 0.0)
    assert [isinstance(decision, Permit) for decision in decisions] == [True, True, False]


def test_nobody_approves_and_what_breaks_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = staged(tmp_path, rule("true", "approve"))
    asked = stage.decide(transfer(stage), 0.0)
    assert isinstance(asked, Refusal)
    assert asked.reason is Reason.APPROVAL_REQUIRED

    def broken(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("gateway.decide.rules.Rules.judge", broken)
    refused = stage.decide(transfer(stage), 0.0)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.detail) == (Reason.INTERNAL_ERROR, "RuntimeError while deciding: boom")


def test_a_key_that_cannot_be_had_is_a_refusal(tmp_path: Path) -> None:
    stage = staged(tmp_path, document("Limit", "l", "{per: [string(args.to)], rate: 1/m}"))
    refused = stage.decide(transfer(stage), 0.0)
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.POLICY_ERROR


def test_an_effect_that_is_not_known_is_a_mistake_of_ours(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    with pytest.raises(TypeError, match="decide asked for"):
        stage._answer("something")  # type: ignore[arg-type]


def test_turns_come_one_after_the_other() -> None:
    now = [0.0]
    turns = Turns(lambda: now[0])
    claim = rate(1, 1, wait=2.5)
    now_granted, too_late = Hold(claim, True, 0.0, 0.0, "paced"), Hold(claim, False, 0.0, 2.5, "paced")
    assert turns.pace(claim) == now_granted
    waits = [turns.pace(claim), turns.pace(claim)]
    assert [turn.seconds for turn in waits if isinstance(turn, Turn)] == [1.0, 2.0]
    assert turns.pace(claim) == too_late
    now[0] = 3.0
    assert turns.pace(claim) == now_granted
    way = Turn(1.0, now_granted).__await__()
    assert next(way).seconds == 1.0
    with pytest.raises(StopIteration) as done:
        next(way)
    assert done.value.value is now_granted


def test_budgets_are_spent_on_the_stage_by_its_clock_and_never_wait(tmp_path: Path) -> None:
    stage = staged(tmp_path, document("Budget", "dollar", "{per: [], window: hour, usd: 1.0}"))
    stage.epoch = 1_000_000 * 3600.0
    calls = [structs.replace(transfer(stage), id=f"c{number}", run=Run()) for number in range(4)]
    bank = stage.streets["bank"]
    stage.streets["bank"] = structs.replace(bank, quotas=bank.quotas[-1:])  # but for the bulkhead
    first, second = stage.decide(calls[0], 1.0), stage.decide(calls[1], 1.0)
    assert isinstance(first, Permit)
    assert isinstance(second, Permit)
    refused = stage.decide(calls[2], 2.0)
    assert isinstance(refused, Refusal)
    assert refused.rule == "budget/dollar"
    stage.settle(calls[0], first, Outcome(502, fault="tool", unsent=True), 3.0)
    stage.settle(calls[1], second, DONE, 3.0)
    assert isinstance(stage.decide(calls[2], 4.0), Permit)
    assert isinstance(stage.decide(calls[3], 5.0), Refusal)
    assert isinstance(stage.decide(calls[3], 3602.0), Permit), "the next hour"
