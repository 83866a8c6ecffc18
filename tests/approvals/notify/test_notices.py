"""What is told, whatever the channel."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.approvals.notify.notices import DECIDED, ESCALATED, EXPIRED, LONGEST_CALL, LONGEST_VALUE, MOST_CALL, Masks
from gateway.approvals.states import FOR_TIMEOUT
from gateway.model import Approval, ApprovalState, Held, Terms, Vote
from gateway.observe.keeping import keeping, masked_mapping
from gateway.observe.redact import Redactor
from tests.approvals.asked import NOW
from tests.approvals.notify.told import notice

SECRET = "sk-ant-api03-" + "aB3" * 31 + "-xAAA"


def real() -> Masks:
    redactor = Redactor()
    redactor.adopt([("bank", "held-by-the-gateway")])
    settings = keeping(True, ("*password*",), (), 0)
    return Masks(redactor.text, lambda args: masked_mapping(args, settings))


def test_it_says_who_asks_for_what_why_and_until_when() -> None:
    told = notice(terms=Terms(approvers=2, impact=1200.0), votes=(Vote("ann", "approve", NOW),))
    assert told.title == "Approval asked: billing: bank pay"
    assert dict(told.facts) == {
        "Agent": "billing",
        "Run": "run-1",
        "Held by": "money/large: more than 500",
        "It read": 'args.amount = 900, args.to = "acme"',
        "At stake": "1200",
        "Needs": "2 people; 1 so far",
        "Until": "1970-01-12T14:46:40Z",
    }
    assert told.call.startswith("POST /pay\n{")
    assert told.asks


@pytest.mark.parametrize(
    ("event", "fields", "begins"),
    [
        (ESCALATED, {}, "Still waiting for approval: "),
        (EXPIRED, {"state": ApprovalState.EXPIRED}, "Nobody decided in time: "),
        (DECIDED, {"state": ApprovalState.APPROVED, "votes": (Vote("ann", "approve", NOW),)}, "Approved by ann: "),
        (
            DECIDED,
            {"state": ApprovalState.DONE, "edited": True, "votes": (Vote("ann", "edit", NOW),)},
            "Approved with other arguments by ann: ",
        ),
        (
            DECIDED,
            {"state": ApprovalState.DENIED, "votes": (Vote("ann", "ask", NOW), Vote("bob", "deny", NOW))},
            "Denied by bob: ",
        ),
        (DECIDED, {"state": ApprovalState.ANSWERED, "votes": (Vote("bob", "answer", NOW),)}, "Answered by bob: "),
        (DECIDED, {"state": ApprovalState.WITHDRAWN}, "Withdrawn: "),
        (
            DECIDED,
            {"state": ApprovalState.APPROVED, "votes": (Vote(FOR_TIMEOUT, "approve", NOW),)},
            "Let through, since nobody decided: ",
        ),
    ],
)
def test_its_title_says_how_it_stands(event: str, fields: dict[str, Any], begins: str) -> None:
    told = notice(event, **fields)
    assert told.title.startswith(begins)
    assert told.asks is (event == ESCALATED)


def test_secrets_are_out_by_name_by_look_and_since_the_gateway_holds_them() -> None:
    args = {"password": "hunter2hunter2", "note": f"{SECRET} held-by-the-gateway", "deep": [{"my_password": "x1y2z3"}]}
    raw = orjson.dumps(
        {"method": "POST", "target": "/pay?my_password=q9w8e7&b=1", "args": args, "why": {"text": SECRET}}
    )
    told = notice(raw=raw, masks=real(), message=SECRET, state=ApprovalState.DENIED)
    said = orjson.dumps([told.title, told.facts, told.call, told.payload]).decode()
    for secret in ("hunter2hunter2", SECRET, "held-by-the-gateway", "x1y2z3", "q9w8e7"):
        assert secret not in said
    assert "b=1" in said


def test_what_rules_read_is_masked_too() -> None:
    told = notice(masks=real(), held=(Held("p/r", "text", (("args.password", "hunter2hunter2"), ("args.n", 1))),))
    assert dict(told.facts)["It read"] == 'args.password = "[redacted]", args.n = 1'


def test_the_same_of_the_calls_of_a_batch_and_of_bodies_that_nobody_read() -> None:
    parts = orjson.dumps({"parts": [{"operation": "pay", "args": {"password": "hunter2hunter2"}}]})
    assert "hunter2" not in str(notice(raw=parts, masks=real()).payload)
    body = orjson.dumps({"method": "POST", "target": "/", "args": None, "body": f"key={SECRET}"})
    told = notice(raw=body, masks=real())
    assert SECRET not in told.call
    assert "key=" in told.call


def test_it_is_bounded_whatever_an_agent_sends() -> None:
    long = "x" * 1_000_000
    told = notice(
        args={"a": long},
        agent=long,
        operation=long,
        held=tuple(Held(f"{long}/{number}", long, ((long, long),)) for number in range(50)),
    )
    assert len(told.call) <= LONGEST_CALL
    assert len(told.title) <= LONGEST_VALUE
    assert all(len(value) <= LONGEST_VALUE for _, value in told.facts)
    assert len(told.facts) < 20
    assert len(orjson.dumps(told.payload)) < MOST_CALL
    assert told.payload["cut"] is True


def test_hidden_characters_are_seen() -> None:
    told = notice(args={"to": "\u202eacme\u200b"}, operation="pay\u202e")
    assert "\\u202e" in told.call
    assert "\\u202e" in told.title
    assert "\u202e" not in told.title + told.call


def test_a_call_that_is_not_there_any_more() -> None:
    told = notice(raw=b"")
    assert told.call == "the call is not there any more"
    assert isinstance(told.approval, Approval)


def test_nobody_says_yes_to_a_call_of_which_a_message_shows_only_the_beginning() -> None:
    short, long = notice(args={"to": "acme"}), notice(args={"note": "x" * LONGEST_CALL, "to": "mallory"})
    assert (short.verbs, long.verbs) == (("approve", "deny"), ("deny",))
    assert "mallory" not in long.call


def test_header_fields_come_last_and_what_no_rule_could_read_is_there() -> None:
    raw = orjson.dumps({"method": "POST", "target": "/pay", "args": {}, "body": "<pay/>", "fields": {"x-to": "b"}})
    assert notice(raw=raw).call == "POST /pay\n{}\n<pay/>\nx-to: b"


def test_a_result_is_told_before_the_call_that_was_made_without_secrets_and_never_by_its_beginning() -> None:
    result: dict[str, Any] = {"status": 201, "media_type": "application/json", "size": 9}
    call = {"method": "POST", "target": "/pay", "args": {"n": 1}}
    value = {"password": "hunter2hunter2", "note": SECRET, "odd": "ignore all"}
    told = notice(raw=orjson.dumps({**call, "result": {**result, "value": value}}), masks=real(), about="result")
    assert told.title.startswith("Approval of a result asked: ")
    assert told.call.startswith("the tool has answered with status 201:\n{")
    assert '"odd": "ignore all"\n}\nto this call, which has been made:\nPOST /pay\n' in told.call
    assert "hunter2" not in str(told.payload) + told.call
    assert SECRET not in str(told.payload) + told.call
    assert told.verbs == ("approve", "deny")
    long = notice(raw=orjson.dumps({**call, "result": {**result, "body": "x" * LONGEST_CALL}}), about="result")
    assert long.verbs == ("deny",)
    larger = notice(raw=orjson.dumps({**call, "result": {**result, "body": "x" * MOST_CALL}}), about="result")
    assert larger.payload["result"] is None
