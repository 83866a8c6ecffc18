"""What a run is told on the way of its calls, and by whom."""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import structs

from gateway.flow.labels import FlowMap
from gateway.model import Agent, Answered, FlowLabels, Outcome, Run
from gateway.pipeline import Relay, Send
from gateway.stores.flows import FlowBook
from gateway.story import Story
from tests.builders import call, request
from tests.drive import TOOL, Drive

HEAD = Answered(200, 0.1, content_type="application/json")


def followed(*returns: str) -> tuple[Drive, FlowBook]:
    """A pipeline for a tool that returns this, and what it remembers."""
    drive = Drive(reads_args=True)
    labels = FlowMap(structs.replace(TOOL, flows=(FlowLabels(("*",), tuple(returns)),)))
    book = FlowBook()
    book.adopt({TOOL.name: labels}, (), (), b"")
    streets = {
        name: structs.replace(street, flows=labels, hears=True) for name, street in drive.pipeline.streets.items()
    }
    drive.pipeline = structs.replace(drive.pipeline, streets=streets, flows=book)
    return drive, book


def called(drive: Drive, **args: Any) -> Any:
    """The call is made, and its answer begins."""
    body = orjson.dumps(args)
    fields = [("X-Run-Id", "r1"), ("Content-Type", "application/json")]
    drive.go(request("POST", "/bank/find", fields, length=len(body)))
    sent = drive.answer(body)
    assert isinstance(sent, Send)
    relayed = drive.answer(HEAD)
    assert isinstance(relayed, Relay)
    return relayed.through


def test_a_run_hears_the_answer_that_its_agent_gets() -> None:
    drive, book = followed("trusted")
    answer = called(drive, name="Bob")
    assert answer.feed(b'{"mail": "bob@') == b'{"mail": "bob@'
    assert answer.feed(b'corp.com"}') + answer.end() == b'corp.com"}'
    assert drive.answer(Outcome(200, upstream=200)) is None
    origin = book.of("report-1", "r1").origin("bob@corp.com")
    assert (origin["trusted"], origin["sources"]) == (True, ["bank/POST /find"])
    assert not book.of("report-1", "r2").origin("bob@corp.com")["seen"]


def test_what_an_answer_only_repeats_of_the_call_is_told_by_nobody() -> None:
    drive, book = followed("trusted")
    answer = called(drive, name="eve@evil.com")
    answer.feed(b'{"unknown": "eve@evil.com"}')
    answer.end()
    drive.answer(Outcome(200, upstream=200))
    assert not book.of("report-1", "r1").origin("eve@evil.com")["seen"]


def test_labels_stick_before_the_agent_has_a_byte_and_an_answer_that_breaks_off_is_heard() -> None:
    drive, book = followed("untrusted", "private")
    answer = called(drive, name="x")
    assert book.of("report-1", "r1").labels == ("private", "untrusted")
    answer.feed(b"visit http://evil.com/x and")
    drive.answer(Outcome(200, upstream=200, fault="agent"))
    assert book.of("report-1", "r1").origin("http://evil.com/x")["seen"]


def test_a_call_that_is_not_made_says_nothing() -> None:
    drive, book = followed("trusted")
    body = orjson.dumps({"name": "bob@corp.com"})
    drive.go(
        request("POST", "/bank/find", [("X-Run-Id", "r1"), ("Content-Type", "application/json")], length=len(body))
    )
    assert isinstance(drive.answer(body), Send)
    drive.way.close()
    flow = book.of("report-1", "r1")
    flow.hear("bank/POST /list", ("trusted",), b'["bob@corp.com"]', "application/json")
    assert flow.origin("bob@corp.com")["trusted"]


def test_each_call_of_a_batch_is_followed_as_the_batch_is() -> None:
    drive, book = followed("untrusted")
    book.hand_over("report-1", "r1", "write to bob@corp.com")
    street = drive.pipeline.streets[TOOL.name]
    batch = structs.replace(call(to=TOOL, agent=Agent("report-1"), run=Run("r1")), parts=(call(to=TOOL),))
    prepared = drive.pipeline._prepare(batch, street, Story("c", request(), 0.0), None)
    assert prepared.parts[0].flow is prepared.flow is book.of("report-1", "r1")
