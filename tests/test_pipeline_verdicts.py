"""Labels and masks on the way of a call: when a run is marked, what the tool gets, and what is recorded."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from gateway.decide.shapes import Judgement
from gateway.model import Call, Outcome, Permit, Reason, Refusal, Run, Spoke
from gateway.pipeline import ReadBody, Reply, Send
from tests.builders import labelling, redacting, request
from tests.drive import DONE, TOOL, Drive, problem
from tests.reading import HEAD, Judged, Saying, Speaks

MASKS = Judgement(spoke=(redacting("args.pin"),), fields=("args.pin",))
JSON = [("Content-Type", "application/json"), ("X-Run-Id", "job-1")]
BODY = b'{"pin":1234,"n":1}'


def of_run(run: str = "job-1", length: int = 3) -> Any:
    return request("POST", "/bank/x", [("Content-Type", "application/json"), ("X-Run-Id", run)], length=length)


def asked(drive: Drive, body: bytes = BODY) -> Any:
    """The effect after the body was read."""
    assert isinstance(drive.go(request("POST", "/bank/x", JSON, length=len(body))), ReadBody)
    return drive.answer(body)


# -- masks -------------------------------------------------------------------------------------------------------


def test_what_is_sent_has_masks_and_the_record_says_so():
    drive = Drive(check=MASKS, reads_args=True)
    sent = asked(drive)
    assert isinstance(sent, Send)
    assert sent.permit.call.body == b'{"pin":"[redacted]","n":1}'
    drive.answer(HEAD)
    drive.answer(DONE)
    trace = drive.recorded()
    assert trace.amendments == ("redacted args.pin",)
    assert trace.call is not None
    assert trace.call.args == {"pin": "[redacted]", "n": 1}


def test_where_a_field_is_not_there_the_body_is_sent_as_it_came():
    drive = Drive(check=MASKS, reads_args=True)
    sent = asked(drive, b'{ "n": 1 }')
    assert (sent.permit.call.body, sent.permit.call.amendments) == (None, ())


def test_a_call_that_cannot_be_masked_is_refused_with_nothing_reserved():
    drive = Drive(check=MASKS, reads_args=True, to=structs.replace(TOOL, head_only=True))
    told = problem(asked(drive, b"<pin>1</pin>"))
    assert (told["status"], told["reason"], told["rule"]) == (403, "redaction_failed", "payments/redact-rule")
    assert drive.world.reserved == []
    drive.answer(Outcome(403))
    assert isinstance(drive.recorded().decision, Refusal)


def test_a_reader_that_breaks_while_it_masks_refuses():
    class Broken(Speaks):
        def redact(self, *given: Any) -> Call:
            raise KeyError("pin")

    drive = Drive(check=MASKS, reader=Broken())
    told = problem(drive.go())
    assert (told["status"], told["reason"]) == (500, "internal_error")
    assert drive.world.reserved == []


# -- labels ------------------------------------------------------------------------------------------------------


def marked(drive: Drive, run: str = "job-1") -> tuple[str, ...]:
    return drive.runs.labels(("report-1", run))


def test_a_run_is_marked_as_soon_as_the_decision_has_spoken():
    drive = Drive(check=Judgement(spoke=(labelling("paid"), labelling("also"))))
    assert isinstance(drive.go(of_run()), Send)
    assert marked(drive) == ("also", "paid")
    assert marked(drive, "job-2") == ()


@pytest.mark.parametrize(
    ("judgement", "grants"),
    [(Judgement(Refusal(Reason.POLICY_DENIED, 403, "no"), spoke=(labelling("tried"),)), True),
     (Judgement(spoke=(labelling("tried"),)), False)],
)  # fmt: skip
def test_a_refused_call_marks_its_run_too(judgement, grants):
    drive = Drive(check=judgement)
    drive.world.grants = grants
    assert isinstance(drive.go(of_run()), Reply)
    assert marked(drive) == ("tried",)


def test_a_call_without_a_run_marks_nothing():
    drive = Drive(check=Judgement(spoke=(labelling("paid"),)))
    drive.go()
    assert marked(drive, "") == ()


@pytest.mark.parametrize(("reads", "labels"), [(True, ("paid",)), (False, ())])
def test_labels_are_looked_up_only_where_a_rule_reads_them(reads, labels):
    drive = Drive()
    street = structs.replace(drive.pipeline.streets["bank"], reads_labels=reads)
    drive.pipeline = structs.replace(drive.pipeline, streets={"bank": street})
    drive.runs.mark(("report-1", "job-1"), ("paid",))
    drive.runs.mark(("other", "job-1"), ("theirs",))
    sent = drive.go(of_run())
    assert sent.permit.call.run == Run("job-1", labels=labels)
    drive.answer(HEAD)
    drive.answer(DONE)
    assert drive.recorded().run.labels == labels


def test_what_is_said_of_an_answer_marks_the_run_while_the_answer_is_on_its_way():
    judged = Judged()
    drive = Drive(reader=Speaks(Saying()), results=judged)
    drive.go(of_run())
    drive.answer(HEAD)
    said: tuple[Spoke, ...] = (labelling("secret"),)
    judged.hears(said)
    assert marked(drive) == ("secret",)
    assert drive.world.traces == []


def test_the_permit_is_the_one_that_was_decided():
    drive = Drive(check=MASKS, reads_args=True)
    asked(drive)
    drive.answer(HEAD)
    drive.answer(DONE)
    decision = drive.recorded().decision
    assert isinstance(decision, Permit)
    assert decision.call is drive.recorded().call
