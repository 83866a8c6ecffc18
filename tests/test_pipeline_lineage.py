"""Where a call stands in its tree of runs, on its way through the pipeline."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from msgspec import structs

from gateway.model import Agent, Answered, Run
from gateway.stores.lineage import TracedRuns
from tests.builders import call, request
from tests.drive import DONE, Drive
from tests.understand.mcp_world import JSON, NOTES, reader

NOW = 1_700_000_000.0


def traced(**options: Any) -> tuple[Drive, TracedRuns]:
    """A pipeline that traces calls through its tool."""
    drive = Drive(**options)
    lineage = TracedRuns(b"k" * 32, lambda: NOW, lambda size: b"\x07" * size)
    streets = {name: structs.replace(street, traces=True) for name, street in drive.pipeline.streets.items()}
    drive.pipeline = structs.replace(drive.pipeline, streets=streets, lineage=lineage)
    return drive, lineage


def passed_on(lineage: TracedRuns) -> dict[bytes, bytes]:
    """What a tool is told of a call of the planner."""
    return dict(lineage.onward(structs.replace(call(), agent=Agent("planner"), run=Run("r1"))))


def test_a_call_is_placed_by_its_head_and_its_tool_is_told_of_it():
    drive, lineage = traced()
    sent = drive.go(request("GET", "/bank/x", [("Baggage", passed_on(lineage)[b"baggage"].decode())]))
    made = sent.permit.call
    assert (made.tree, made.run.depth) == (("planner", "r1"), 1)
    assert [name for name, _ in made.onward] == [b"traceparent", b"baggage"]
    below = lineage.place(dict(made.onward), Agent("reader"), Run())
    assert (below.root, below.depth) == (("planner", "r1"), 2)


def test_a_tool_that_nobody_traces_through_is_told_nothing():
    drive = Drive()
    sent = drive.go(request("GET", "/bank/x", [("Baggage", "toolgate.run=x")]))
    assert sent.permit.call.onward == ()
    assert sent.permit.call.run == Run()


@pytest.mark.parametrize("names", [("traceparent", "baggage"), ("traceparent",), ("baggage",)])
def test_a_call_is_placed_by_its_message_where_the_head_says_nothing(names: tuple[str, ...]):
    drive, lineage = traced(to=NOTES, reader=reader(), counts=True)
    drive.runs.began(("planner", "r1"), 0.0)
    told = passed_on(lineage)
    params = {"name": "search", "arguments": {}, "_meta": {name: told[name.encode()].decode() for name in names}}
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    drive.go(request("POST", "/notes", [JSON], length=len(body)))
    sent = drive.answer(body)
    assert (sent.permit.call.tree, sent.permit.call.run.depth, sent.permit.call.run.steps) == (("planner", "r1"), 1, 1)


def test_a_call_is_a_step_of_the_tree_and_a_failed_one_an_error_in_its_row():
    drive, lineage = traced(counts=True)
    baggage = ("Baggage", passed_on(lineage)[b"baggage"].decode())
    drive.go(request("GET", "/bank/x", [baggage]))
    drive.way.close()
    assert drive.runs.tally(("planner", "r1"), 2000.0)[:2] == (1, 1), "an agent that has gone has seen no answer"


def test_what_the_record_says_is_where_the_call_was_placed():
    drive, lineage = traced()
    drive.go(request("GET", "/bank/x", [("Baggage", passed_on(lineage)[b"baggage"].decode()), ("X-Run-Id", "s1")]))
    drive.answer(Answered(200, 0.01))
    drive.answer(DONE)
    (trace,) = drive.world.traces
    assert (trace.run.id, trace.run.root, trace.run.lineage) == ("s1", ("planner", "r1"), "token")
    assert trace.call is not None
    assert trace.call.onward
