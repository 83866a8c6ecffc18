"""What a record tells of memories, and of what shifted while a run went on."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.model import (
    Agent,
    Change,
    Glance,
    How,
    Permit,
    Reason,
    Recalled,
    Refusal,
    Run,
    Seen,
    Shift,
    Standing,
    Touch,
)
from gateway.observe.constants import MOST, Constants
from gateway.observe.memory_words import memory_words
from gateway.observe.metrics import Metrics
from gateway.observe.trace import record_of
from gateway.stores.shares import Shares
from tests.builders import call
from tests.observe.support import trace

NOW = 1_700_000_000.0
OLD = Change("c1", How.FOUND, at=NOW - 60)
NEW = Change("c2", How.WRITTEN, "agent-b", "run-2", NOW - 12)
READ, WRITE = Touch("notes", "plan"), Touch("notes", "plan", writes=True)
STANDING = Standing((OLD, NEW))


def record(glances=(), recalled=(), **changes):
    asked = structs.replace(call(), glances=glances, at=NOW, **changes)
    return record_of(structs.replace(trace(Permit(asked)), call=asked, recalled=recalled))


@pytest.mark.parametrize(
    ("glance", "came", "found", "step", "words"),
    [
        (Glance(READ), ("read", "v1"), "new", "memory_lookup", "read notes/plan @v1"),
        (Glance(READ), ("gone", ""), "new", "memory_lookup", "read notes/plan: nothing stands there"),
        (
            Glance(WRITE, STANDING, Seen("c1", NOW - 50)),
            None,
            "stale",
            "memory_write",
            "would write notes/plan; agent-b has changed it since the run read it 50 s before",
        ),
        (
            Glance(WRITE, STANDING, Seen("c1", NOW - 50), "agent-b"),
            ("written", "v3"),
            "merged",
            "memory_write",
            "wrote notes/plan @v3, merged with a change of agent-b",
        ),
        (
            Glance(WRITE, STANDING),
            None,
            "unread",
            "memory_write",
            "would write notes/plan, which the run had not read",
        ),
        (
            Glance(WRITE, STANDING, Seen("c2", NOW - 1)),
            ("written", "v3"),
            "current",
            "memory_write",
            "wrote notes/plan @v3",
        ),
    ],
)
def test_a_step_tells_what_it_did_with_a_key_and_how_it_found_it(glance, came, found, step, words):
    recalled = () if came is None else (Recalled(("notes", "plan"), *came),)
    made = record((glance,), recalled)
    (one,) = made["memory"]
    assert (one["memory"], one["key"], one["found"]) == ("notes", "plan", found)
    assert made["step"] == step
    assert list(memory_words(made)) == [words]


def test_a_memory_is_no_matter_of_what_the_agent_says_the_step_is():
    asked = structs.replace(call(), glances=(Glance(WRITE),))
    made = structs.replace(trace(Permit(asked)), call=asked, facts={"why.kind": "plan"})
    assert record_of(made)["step"] == "memory_write"


def test_keys_that_only_the_answer_named_are_told_too_and_only_so_many():
    came = tuple(Recalled(("notes", str(number)), "read", "v1") for number in range(50))
    made = record((), came)
    assert len(made["memory"]) == 20
    assert made["memory"][0] == {
        "memory": "notes", "key": "0", "does": "read", "found": None, "seen_s": None, "changed_by": None,
        "came_of": "read", "version": "v1",
    }  # fmt: skip
    assert made["step"] == "memory_lookup"


def test_what_had_changed_is_told_where_a_rule_asked():
    made = record(drift=("notes/plan", "wiki/home"))
    assert made["drift"] == ["notes/plan", "wiki/home"]
    assert list(memory_words(made)) == ["changed since the run read it: notes/plan, wiki/home"]


# -- what should stay as it is in a run ------------------------------------------------------------------------------


def of_run(run="r1", policy="v1", agent=None, **facts):
    made = trace(Permit(call()))
    return structs.replace(
        made, run=Run(run), policy=policy, agent=agent or Agent("bot", ("a", "b"), "header"), facts=facts
    )


def test_the_first_call_and_one_like_it_tell_nothing():
    constants = Constants(Shares(10))
    for _ in range(2):
        made = of_run()
        assert constants.noted(made) is made


@pytest.mark.parametrize(
    ("later", "shift"),
    [
        ({"policy": "v2"}, Shift("policy", "v1", "v2")),
        ({"agent": Agent("bot", ("a",), "header")}, Shift("identity", "bot: a,b by header", "bot: a by header")),
        (
            {"agent": Agent("bot", ("b", "a"), "api_key")},
            Shift("identity", "bot: a,b by header", "bot: a,b by api_key"),
        ),
        ({"tool.pin": "changed"}, Shift("tool", "bank/POST /transfers: pinned", "bank/POST /transfers: changed")),
    ],
)
def test_what_shifts_within_a_run_is_told_once(later, shift):
    constants = Constants(Shares(10))
    constants.noted(of_run(**{"tool.pin": "pinned"}))
    later = {"tool.pin": "pinned", **later}
    assert constants.noted(of_run(**later)).shifts == (shift,)
    assert constants.noted(of_run(**later)).shifts == ()
    assert constants.noted(of_run("r2", **later)).shifts == (), "another run never knew it otherwise"


def test_calls_without_a_run_are_not_watched():
    constants = Constants(Shares(10))
    constants.noted(of_run(""))
    assert constants.noted(of_run("", "v2")).shifts == ()


def test_what_agents_choose_does_not_fill_the_memory():
    trees = Shares(10)
    constants = Constants(trees)
    for number in range(100):
        made = structs.replace(of_run(**{"tool.pin": "new"}), operation=str(number) * 1000)
        constants.noted(made)
        constants.noted(structs.replace(made, agent=Agent("bot"), run=Run(f"r{number}" * 100)))
    ((_, known),) = [pair for pair in trees if pair[0] == ("bot", "r1")] or [(None, None)]
    assert known is None or len(known.pins) <= MOST
    assert len(trees) == 10


# -- counters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("glance", "reason", "counted"),
    [
        (Glance(WRITE, STANDING, Seen("c1", NOW)), Reason.MEMORY_STALE, {("notes", "refused"): 1}),
        (Glance(WRITE, STANDING, Seen("c1", NOW)), None, {("notes", "let through"): 1}),
        (Glance(WRITE, STANDING, Seen("c1", NOW), "agent-b"), None, {("notes", "merged"): 1}),
        (Glance(WRITE, STANDING), Reason.MEMORY_UNREAD, {("notes", "unread"): 1}),
        (Glance(WRITE, STANDING, Seen("c2", NOW)), Reason.MEMORY_STALE, {("notes", "overtaken"): 1}),
        (Glance(WRITE, STANDING, Seen("c2", NOW)), None, {}),
        (Glance(WRITE, STANDING, Seen("c1", NOW)), Reason.NOT_GRANTED, {}),
        (Glance(READ, STANDING, Seen("c1", NOW)), None, {}),
    ],
)
def test_writes_that_were_not_based_on_what_stood_are_counted(glance, reason, counted):
    asked = structs.replace(call(), glances=(glance,))
    decision = Permit(asked) if reason is None else Refusal(reason, 412, "no")
    metrics = Metrics()
    metrics.record(structs.replace(trace(decision), call=asked))
    assert dict(metrics.coherence.conflicts) == counted


def test_what_came_of_keys_is_counted():
    metrics = Metrics()
    for how in ("read", "read", "late", "written", "unknown"):
        metrics.record(structs.replace(trace(Permit(call())), recalled=(Recalled(("notes", "plan"), how),)))
    assert dict(metrics.coherence.reads) == {("notes", "read"): 2, ("notes", "late"): 1}
    assert dict(metrics.coherence.writes) == {("notes", "written"): 1, ("notes", "unknown"): 1}
