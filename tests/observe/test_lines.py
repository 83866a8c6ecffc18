"""The line of the usual call is the line that its record would have."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import (
    NO_FACTS,
    NOTHING_FOUND,
    UNREAD,
    Agent,
    BudgetClaim,
    BudgetSettings,
    CircuitClaim,
    CircuitSettings,
    Findings,
    Glance,
    Hold,
    Outcome,
    Permit,
    Proposal,
    Reason,
    Recalled,
    Refusal,
    Ruling,
    Run,
    Shift,
    SlotClaim,
    Touch,
    Usage,
)
from gateway.observe.keeping import keeping
from gateway.observe.lines import usual_line
from gateway.observe.links import Link
from gateway.observe.trace import line_of, record_of
from tests.builders import call, request

from .support import SPOKE, trace

TEXTS = st.text(max_size=20)
SIZES = st.integers(0, 2**53)
SECONDS = st.floats(0, 1e6)
BUDGETS = st.builds(BudgetSettings, st.integers(1, 10**9), st.sampled_from(["usd", "tokens", "calls"]))
HOLDS = st.builds(
    Hold,
    st.one_of(
        st.builds(SlotClaim, TEXTS.filter(bool), st.tuples(TEXTS), st.integers(1, 9)),
        st.builds(BudgetClaim, TEXTS.filter(bool), st.tuples(TEXTS), TEXTS, st.integers(0, 10**9), BUDGETS),
        st.builds(CircuitClaim, TEXTS.filter(bool), st.tuples(TEXTS), st.just(CircuitSettings())),
    ),
    st.booleans(),
    st.floats(0, 1e9),
    st.floats(0, 1e9),
    st.sampled_from(["", "closed", "half-open"]),
)

PAIRS = st.one_of(st.just(()), st.tuples(TEXTS, TEXTS))
TRACEPARENTS = st.one_of(TEXTS, st.just("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
RUNS = st.builds(
    Run,
    TEXTS,
    TRACEPARENTS,
    root=PAIRS,
    led=PAIRS,
    depth=st.integers(0, 9),
    span=TEXTS,
    lineage=st.sampled_from(["", "token"]),
)


def usual(holds=(), **changes):
    """A trace of a call that nothing is to be said of."""
    made = trace(Permit(call(), "payers", tuple(holds)), Outcome(200, 200, received=1, sent=2, first_byte=0.0123456))
    return structs.replace(made, **{"facts": NO_FACTS, "amendments": (), **changes})


def parsed(line: bytes):
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return orjson.loads(line)


@given(
    holds=st.lists(HOLDS, max_size=3),
    run=RUNS,
    agent=st.builds(Agent, TEXTS, st.lists(TEXTS, max_size=2).map(tuple)),
    texts=st.tuples(TEXTS, TEXTS, TEXTS),
    times=st.tuples(SECONDS, SECONDS, SECONDS),
    outcome=st.builds(
        Outcome,
        st.integers(100, 599),
        st.integers(0, 599),
        received=SIZES,
        sent=SIZES,
        found=st.sampled_from([NOTHING_FOUND, Findings(digest="0123456789abcdef")]),
        cost_usd=st.none() | st.floats(0, 1e6),
    ),
    target=st.from_regex(r"/[!-~]{0,20}", fullmatch=True),
)
def test_it_is_the_line_of_its_record(holds, run, agent, texts, times, outcome, target):
    tool, operation, policy = texts
    began, decided, total = times
    made = usual(
        holds,
        run=run,
        agent=agent,
        tool=tool,
        operation=operation,
        policy=policy,
        began=began,
        decided=began + decided,
        ended=began + total,
        outcome=outcome,
        request=request("GET", target),
    )
    try:
        record = orjson.loads(orjson.dumps(record_of(made)))
    except orjson.JSONEncodeError:  # a lone surrogate
        assert usual_line(made, "t") is None
        return
    line = usual_line(made, record["ts"])
    assert line is not None
    told = parsed(line)
    assert list(told) == list(record)
    assert told == record
    assert line_of(made) == line


ARGS = st.dictionaries(
    TEXTS, st.recursive(TEXTS | st.integers(), lambda inner: st.lists(inner, max_size=3)), max_size=4
)


@given(
    st.sampled_from([keeping(*one, 200, b"salt") for one in ((False, [], []), (True, ["*s*"], []), (True, [], ["a"]))]),
    st.just(UNREAD) | ARGS,
    st.sampled_from(["", "a=1&secret=2", "x" * 300]),
    st.none() | st.builds(Link, TEXTS, TEXTS, TEXTS, st.booleans()),
)
def test_it_keeps_what_the_record_keeps(settings, args, query, link):
    made = usual()
    kept = structs.replace(made, decision=Permit(structs.replace(call(), args=args, query=query)))
    try:
        record = orjson.loads(orjson.dumps(record_of(kept, settings, link)))
    except orjson.JSONEncodeError:  # a lone surrogate in what the model called its proposal
        assert usual_line(kept, "t", settings, link) is None
        return
    line = usual_line(kept, record["ts"], settings, link)
    assert line is not None
    assert list(parsed(line)) == list(record)
    assert parsed(line) == record
    assert line_of(kept, settings, link) == line


@pytest.mark.parametrize(
    "changes",
    [
        {"agent": None},
        {"facts": {"mcp.method": "ping"}},
        {"amendments": ("max_tokens 2 -> 1",)},
        {"outcome": Outcome(200, 200, found=Findings(is_error=True))},
        {"outcome": Outcome(200, 200, found=Findings(digest="ab", complaint="no"))},
        {"outcome": Outcome(200, 200, found=Findings(digest="ab", notes=("cut",)))},
        {"outcome": Outcome(200, 200, found=Findings(digest="ab", usage=Usage("m", 1, 2)))},
        {"outcome": Outcome(200, 200, found=Findings(digest="ab", refusal=Refusal(Reason.RESULT_DENIED, 403, "no")))},
        {"outcome": Outcome(200, 200, found=Findings(digest="ab", spoke=(SPOKE,)))},
        {"outcome": Outcome(200, 200, found=Findings(digest="ab", proposed=(Proposal("a", None),)))},
        {"outcome": Outcome(499, 0, "agent", "it left")},
        {"decision": None},
        {"decision": Permit(call(), spoke=(SPOKE,))},
        {"decision": Permit(structs.replace(call(), implied=True))},
        {"decision": Permit(structs.replace(call(), parts=(call(),)))},
        {"decision": Permit(call(), ruling=Ruling(True, verb="exempt"))},
        {"shifts": (Shift("policy", "v1", "v2"),)},
        {"asked": 1.0},
        {"operation": "x" * 300},
    ],
)
def test_whatever_is_not_usual_is_left_to_the_record(changes):
    made = usual(**changes)
    assert usual_line(made, "t") is None
    assert parsed(line_of(made)) == orjson.loads(orjson.dumps(record_of(made)))


@given(
    st.lists(st.builds(Glance, st.builds(Touch, TEXTS, TEXTS, st.booleans(), st.booleans())), max_size=3),
    st.lists(st.builds(Recalled, st.tuples(TEXTS, TEXTS), st.sampled_from(["read", "written"]), TEXTS), max_size=3),
    st.none() | st.lists(TEXTS, max_size=3).map(tuple),
)
def test_it_tells_what_the_record_tells_of_memories(glances, came, drift):
    asked = structs.replace(call(), glances=tuple(glances), drift=drift)
    made = structs.replace(usual(), call=asked, decision=Permit(asked), recalled=tuple(came))
    try:
        record = orjson.loads(orjson.dumps(record_of(made)))
    except orjson.JSONEncodeError:  # a lone surrogate in a key
        assert usual_line(made, "t") is None
        return
    line = usual_line(made, record["ts"])
    assert line is not None
    assert parsed(line) == record
    assert line_of(made) == line
