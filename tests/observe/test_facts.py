"""What a record tells beside the decision: the step, how far the call came, budgets, quarantines, phases of time."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.model import (
    NO_FACTS,
    UNREAD,
    Agent,
    BudgetClaim,
    BudgetSettings,
    Findings,
    Hold,
    LoopClaim,
    LoopSettings,
    Mode,
    Outcome,
    Permit,
    Proposal,
    Reason,
    Refusal,
    Ruling,
    Spoke,
    Usage,
    Verdict,
)
from gateway.observe.keeping import args_digest, keeping
from gateway.observe.trace import record_of
from tests.builders import call
from tests.observe.support import trace

ARGS = keeping(True, [], [], 1000)
DOLLARS = BudgetClaim("day", ("day",), "c1", 5_000, BudgetSettings(2_000_000))
TOKENS = BudgetClaim("day", ("day",), "c1", 500, BudgetSettings(9_000, "tokens"))


@pytest.mark.parametrize(
    ("facts", "implied", "step"),
    [
        ({}, False, "tool_call"),
        ({"llm.model": "m"}, False, "model_turn"),
        ({"why.kind": "memory_write"}, False, "memory_write"),
        ({"llm.model": "m", "why.kind": "plan"}, False, "plan"),
        ({"why.kind": "nonsense"}, False, "tool_call"),
        ({"mcp.method": "initialize"}, True, None),
    ],
)
def test_a_step_is_what_the_agent_says_or_else_what_the_protocol_tells(facts, implied, step):
    asked = structs.replace(call(), implied=implied)
    made = structs.replace(trace(Permit(asked)), facts=facts or NO_FACTS, call=asked)
    assert record_of(made)["step"] == step


@pytest.mark.parametrize(
    ("changes", "outcome", "reached"),
    [
        ({"agent": None}, Outcome(401), "identify"),
        ({"decision": Refusal(Reason.UNREADABLE_BODY, 400, "")}, Outcome(400), "understand"),
        ({"call": call()}, Outcome(499), "decide"),
        ({"call": call(), "decision": Refusal(Reason.POLICY_DENIED, 403, "")}, Outcome(403), "decide"),
        ({"call": call(), "decision": Permit(call())}, Outcome(502, fault="tool"), "execute"),
        ({"call": call(), "decision": Permit(call())}, Outcome(499, 200, fault="agent"), "answer"),
    ],
)
def test_how_far_a_call_came_is_told_whatever_became_of_it(changes, outcome, reached):
    assert record_of(structs.replace(trace(None, outcome), **changes))["reached"] == reached


@pytest.mark.parametrize(
    ("claim", "outcome", "told"),
    [
        (DOLLARS, Outcome(200, 200, cost_usd=0.0012), {"unit": "usd", "limit": 2, "reserved": 0.005, "spent": 0.0012}),
        (DOLLARS, Outcome(502, fault="tool"), {"unit": "usd", "limit": 2, "reserved": 0.005, "spent": 0.005}),
        (DOLLARS, Outcome(502, unsent=True), {"unit": "usd", "limit": 2, "reserved": 0.005, "spent": 0}),
        (
            TOKENS,
            Outcome(200, 200, found=Findings(usage=Usage("m", 70, 30))),
            {"unit": "tokens", "limit": 9_000, "reserved": 500, "spent": 100},
        ),
    ],
)
def test_a_budget_tells_what_was_reserved_and_what_was_charged(claim, outcome, told):
    (guard,) = record_of(trace(Permit(call(), holds=(Hold(claim, True, 1_000_000),)), outcome))["guards"]
    assert guard["budget"] == told
    assert guard["left"] == (1.0 if claim is DOLLARS else 1_000_000)


def test_a_call_that_a_budget_refused_was_charged_nothing():
    refused = Refusal(Reason.BUDGET_EXHAUSTED, 403, "", holds=(Hold(DOLLARS, False, 100), Hold(TOKENS, True)))
    guards = record_of(trace(refused, Outcome(403)))["guards"]
    assert [(one["budget"]["reserved"], one["budget"]["spent"]) for one in guards] == [(0, 0), (500, 0)]


def test_what_a_guard_found_is_told_in_its_words():
    claim = LoopClaim("l", ("l",), "", True, False, LoopSettings())
    hold = Hold(claim, False, state="repeats", detail="the same call again", escalate=True)
    (guard,) = record_of(trace(Refusal(Reason.LOOP_DETECTED, 403, "", holds=(hold,))))["guards"]
    assert (guard["state"], guard["detail"], guard["escalate"]) == ("repeats", "the same call again", True)


def test_quarantines_are_told_once_for_each_thing_and_cause():
    rule = Spoke("p", "r", Verdict.DENY, Mode.ENFORCE, quarantine="run", seconds=60)
    late = structs.replace(rule, rule="s", quarantine="agent", seconds=0.0)
    failed, watching = structs.replace(late, error="no such key"), structs.replace(late, mode=Mode.AUDIT)
    refused = Refusal(Reason.POLICY_DENIED, 403, "", "p/r", quarantine="run", seconds=60, spoke=(rule, failed))
    assert record_of(trace(refused))["quarantines"] == [{"scope": "run", "by": "p/r", "seconds": 60}]
    found = Findings(spoke=(late, watching))
    (one,) = record_of(trace(Permit(call()), Outcome(200, 200, found=found)))["quarantines"]
    assert one == {"scope": "agent", "by": "p/s", "seconds": 0.0}


def test_phases_add_up_to_the_whole():
    made = structs.replace(
        trace(Permit(call())), began=10.0, read=0.25, queued=0.5, asked=0.5, decided=12.0, opened=12.5, ended=14.0
    )
    assert record_of(made)["timings"] == {
        "read_ms": 250.0,
        "queue_ms": 500.0,
        "asked_ms": 500.0,
        "decide_ms": 750.0,
        "upstream_first_byte_ms": 30.0,
        "answer_ms": 1500.0,
        "total_ms": 4000.0,
    }


def test_what_people_said_is_told_and_what_ruled_in_their_place():
    edited = Ruling(True, "ap-1", ("ada", "bob"), "edit", edited={"n": 1}, waited=2.5)
    assert record_of(trace(Permit(call(), ruling=edited)))["approval"] == {
        "id": "ap-1",
        "verb": "edit",
        "by": ["ada", "bob"],
        "waited_ms": 2500.0,
        "edited": True,
        "why": None,
    }
    exempt = Refusal(Reason.RATE_LIMITED, 429, "", ruling=Ruling(True, verb="exempt", why="ex-1", by=("ada",)))
    told = record_of(trace(exempt))["approval"]
    assert (told["id"], told["verb"], told["why"], told["edited"]) == (None, "exempt", "ex-1", False)


def test_an_agent_that_left_while_it_waited_has_waited_and_nothing_was_answered():
    made = structs.replace(trace(None, Outcome(499)), began=10.0, decided=10.0, opened=10.0, ended=13.0, queued=2.5)
    timings = record_of(made)["timings"]
    assert (timings["queue_ms"], timings["decide_ms"], timings["answer_ms"]) == (2500.0, 500.0, None)


def test_what_a_tool_said_of_a_failure_is_told_only_where_arguments_are_kept():
    found = Findings(digest="d1", complaint="no such account 4711")
    made = trace(Permit(call()), Outcome(200, 200, found=found))
    assert record_of(made)["result"] == {"digest": "d1", "complaint": None}
    assert record_of(made, ARGS)["result"] == {"digest": "d1", "complaint": "no such account 4711"}


def test_proposals_have_the_ids_that_the_model_gave_them():
    found = Findings(proposed=(Proposal("a", {"x": 1}, "call_1"), Proposal("b", refused="p/r")))
    assert record_of(trace(Permit(call()), Outcome(200, 200, found=found)))["proposed"] == [
        {"name": "a", "refused": None, "id": "call_1"},
        {"name": "b", "refused": "p/r", "id": None},
    ]


def test_arguments_have_a_digest_that_only_this_process_can_make():
    one, other = call(args={"a": 1, "b": 2}), call(args={"b": 2, "a": 1}, agent=Agent("bob"))
    assert args_digest(one, b"salt") == args_digest(other, b"salt")
    assert args_digest(one, b"salt") != args_digest(one, b"pepper")
    assert args_digest(one, b"salt") != args_digest(call(args={"a": 1}), b"salt")
    assert args_digest(structs.replace(one, args=UNREAD), b"salt") is None
    assert args_digest(call(args={"a": "\ud800", "b": 1 << 70}), b"salt") is not None
