"""Conditions in CEL: they choose the records that the same condition in Python chooses, with and without SQL's help."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model import NO_FACTS, Agent, Findings, Outcome, Permit, Reason, Refusal, Run, Usage
from gateway.observe.store.file import temporary
from gateway.observe.store.found import Filter
from gateway.observe.store.reader import TraceReader
from gateway.observe.store.where import VARIABLES, Where
from gateway.observe.store.writing import insert
from gateway.observe.trace import line_of, record_of
from gateway.policy.engine import CelError
from gateway.policy.engines import load_engine
from tests.builders import call

from .support import kept, made

ENGINE = load_engine()

TEXTS = {"tool": ["bank", "github", "n'o\\"], "agent": ["a", "b"], "reason": ["policy_denied", "rate_limited", ""]}
ORDERS = {
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    ">=": lambda one, other: one >= other,
}


def literal(value):
    return '"' + value.replace("\\", "\\\\") + '"' if isinstance(value, str) else repr(value)


@st.composite
def comparisons(draw):
    """An expression, and what it means in Python."""
    name = draw(st.sampled_from([*TEXTS, "status", "upstream_status", "cost_usd", "timings.total_ms"]))
    operator = draw(st.sampled_from(["==", "!="] if name in TEXTS else [*ORDERS]))
    value = draw(st.sampled_from(TEXTS.get(name, [0, 200, 403, 1500])))
    outer, _, inner = name.partition(".")

    def means(record):
        found = record[outer][inner] if inner else record[outer]
        return ORDERS[operator](("" if name in TEXTS else 0) if found is None else found, value)

    if draw(st.booleans()):
        return f"{name} {operator} {literal(value)}", means
    swapped = {"<": ">", ">=": "<="}.get(operator, operator)
    return f"{literal(value)}{swapped}{name}", means


def joined(parts):
    return st.one_of(
        st.tuples(parts, parts).map(
            lambda two: (f"{two[0][0]} && {two[1][0]}", lambda r: two[0][1](r) and two[1][1](r))
        ),
        st.tuples(parts, parts).map(
            lambda two: (f"({two[0][0]} || {two[1][0]})", lambda r: two[0][1](r) or two[1][1](r))
        ),
        parts.map(lambda one: (f"!({one[0]})", lambda r: not one[1](r))),
    )


CONDITIONS = st.recursive(comparisons(), joined, max_leaves=5)
TRACES = st.lists(
    st.builds(
        lambda decision, outcome, agent, tool: (decision, outcome, agent, tool),
        st.one_of(
            st.just(Permit(call())),
            st.builds(Refusal, st.sampled_from([Reason.POLICY_DENIED, Reason.RATE_LIMITED]), st.just(403), st.just("")),
        ),
        st.builds(
            Outcome,
            st.sampled_from([200, 403]),
            st.sampled_from([0, 200]),
            cost_usd=st.sampled_from([None, 0.0, 200.0]),
        ),
        st.sampled_from([None, Agent("a"), Agent("b")]),
        st.sampled_from(["bank", "github", "", "n'o\\"]),
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
@given(condition=CONDITIONS, drawn=TRACES)
def test_it_chooses_what_the_same_condition_in_python_chooses(condition, drawn):
    source, means = condition
    traces = [
        made(number, decision, outcome, agent=agent, tool=tool, ended=100.0 + number)
        for number, (decision, outcome, agent, tool) in enumerate(drawn)
    ]
    connection = temporary()
    insert(connection, kept(*traces))
    reader = TraceReader(connection)
    where = Where(source, ENGINE)
    found = [row.call for row in reader.calls(Filter(where=where), limit=100)]
    reader.close()
    assert where.failed == 0
    assert found == [one.id for one in reversed(traces) if means(record_of(one))]


def test_every_key_of_a_record_is_a_variable():
    keys = set(record_of(made(facts=NO_FACTS)))
    assert {name.partition(".")[0] for name in VARIABLES} == keys


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ('decision == "refuse" && tool == "github"', [("decision = ?", "refuse"), ("tool = ?", "github")]),
        (
            'status >= 500 && args.amount > 5 && "a" != agent',
            [("coalesce(status, 0) >= ?", 500.0), ("agent IS NOT ?", "a")],
        ),
        ("500 > status", [("coalesce(status, 0) < ?", 500.0)]),
        ('tool == "a" || tool == "b"', []),
        ('(tool == "a" || tool == "b") && run == "r"', [("run = ?", "r")]),
        ('rules.exists(r, r.rule == "x" && r.mode == "Audit")', []),
        ('tool == "a" ? true : false', []),
        ('tool == ""', []),
        (r'tool == "a\"b"', []),
        ('tool == r"a"', []),
        ("status == 0x10", []),
    ],
)
def test_sql_is_asked_what_it_understands_as_cel_does(source, asked):
    assert Where(source, ENGINE).conditions == asked


@pytest.mark.parametrize(
    ("source", "means"),
    [
        ('decision=="deny"', 'decision=="refuse"'),
        ("'deny' != decision && tool == 'deny'", "'refuse' != decision && tool == 'deny'"),
        ('rules.exists(r, r.verdict == "deny")', 'rules.exists(r, r.verdict == "deny")'),
        ('args.decision == "deny"', 'args.decision == "deny"'),
    ],
)
def test_deny_is_understood_as_what_records_call_refuse(source, means):
    assert Where(source, ENGINE).source == means


@pytest.mark.parametrize("source", ['decision == "hold"', "tool == 'x' && 'denied' != decision"])
def test_a_decision_that_no_call_has_is_a_mistake(source):
    with pytest.raises(CelError, match="no call has the decision"):
        Where(source, ENGINE)


def test_a_decision_of_something_else_may_be_any():
    assert Where('args.decision == "hold" && decision == ""', ENGINE).failed == 0


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("cost > 1.0", "cost_usd"),
        ("agent == 'a' && latency > 100", "timings.total_ms"),
        ("status == '503'", "without quotes"),
        ("labels.contains('tainted')", '"x" in list'),
        ("ts > '2026-11-30T03:00:00Z'", 'timestamp("'),
    ],
)
def test_what_people_write_who_have_not_looked_it_up_is_told_how_it_is_written(source, hint):
    with pytest.raises(CelError) as caught:
        Where(source, ENGINE)
    assert hint in caught.value.hint


def test_what_an_agent_did_not_say_of_a_call_is_empty():
    said = record_of(made(facts=NO_FACTS | {"why.step": "2"}))
    for source, fits in (('why.step == "2" && why.reason == ""', True), ('why.goal.contains("x")', False)):
        where = Where(source, ENGINE)
        assert (where.fits(said), where.failed) == (fits, 0)
    assert Where('why.reason == ""', ENGINE).fits(record_of(made()))


@pytest.mark.parametrize("source", ["tol == 'x'", "status", "status == 'x'", "tool ==", "", "cost_usd + 1"])
def test_what_is_no_condition_is_a_mistake_with_a_place(source):
    with pytest.raises(CelError):
        Where(source, ENGINE)


@pytest.mark.parametrize(
    "source",
    [
        "usage.input > 1000",
        "labels.exists(l, l == 'tainted')",
        "ts.getFullYear() == 2023",
        "rules[0].verdict == 'deny'",
    ],
)
def test_nested_keys_and_times_can_be_asked_for(source):
    found = Findings(usage=Usage("m", 2000))
    one = made(outcome=Outcome(200, 200, found=found), run=Run("r", labels=("tainted",)))
    assert Where(source, ENGINE).fits(orjson.loads(line_of(one)))


def test_a_record_that_lacks_what_is_read_does_not_fit_and_is_counted():
    where = Where("args.amount > 5", ENGINE)
    assert not where.fits(record_of(made()))
    assert where.failed == 1
    assert "amount" in where.reason
