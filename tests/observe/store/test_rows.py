"""What is indexed of a record is what the record says."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Agent, Findings, Outcome, Permit, Reason, Refusal, Run
from gateway.observe.store.rows import COLUMNS, stored, stored_record
from gateway.observe.trace import line_of
from tests.builders import call
from tests.observe.support import SPOKE, trace

WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
FOUND = st.builds(Findings, st.booleans(), spoke=st.lists(st.just(SPOKE), max_size=2).map(tuple))
DECISIONS = st.one_of(
    st.none(),
    st.builds(Permit, st.just(structs.replace(call(), implied=True)), WORDS, spoke=st.just((SPOKE,))),
    st.builds(Permit, st.just(call())),
    st.builds(Refusal, st.sampled_from(Reason), st.integers(400, 599), WORDS, rule=WORDS),
)
PARENTS = st.one_of(WORDS, st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))


@given(
    decision=DECISIONS,
    outcome=st.builds(
        Outcome,
        st.integers(100, 599),
        st.integers(0, 599),
        st.sampled_from(["", "tool", "agent"]),
        found=FOUND,
        cost_usd=st.none() | st.floats(0, 100),
    ),
    run=st.one_of(
        st.builds(Run, WORDS, PARENTS),
        st.builds(Run, WORDS, PARENTS, root=st.tuples(st.just("chief"), WORDS), lineage=st.just("token")),
    ),
    agent=st.none() | st.builds(Agent, WORDS),
    operation=WORDS,
    wall=st.floats(0, 4e9),
    took=st.floats(0, 1e5),
)
def test_the_row_of_a_trace_is_that_of_its_record(decision, outcome, run, agent, operation, wall, took):
    made = structs.replace(
        trace(decision, outcome), run=run, agent=agent, operation=operation, wall=wall, ended=100.0 + took
    )
    line = line_of(made)
    row = stored(made, line)
    assert len(row.values) == len(COLUMNS)
    assert row == stored_record(orjson.loads(line), line)


@pytest.mark.parametrize("record", [{}, {"ts": "now", "call": "c"}, {"ts": 5, "call": "c"}, {"ts": "2026-01-01"}])
def test_what_is_no_record_is_told_apart(record):
    with pytest.raises(ValueError):
        stored_record(record, b"")


def test_records_of_older_versions_are_read():
    row = stored_record({"ts": "2026-01-01T00:00:00.250Z", "call": "c", "run": "r", "agent": "a"}, b"{}")
    told = dict(zip(COLUMNS, row.values, strict=True))
    assert (told["ms"] % 1000, told["tree_agent"], told["tree_run"], told["decision"]) == (250, "a", "r", None)
