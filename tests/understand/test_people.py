"""What agents are told of people's decisions, in each protocol's words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.model import Reason, Refusal, Ruling
from gateway.understand.http import HttpReader, phrase
from tests.builders import call, request, tool
from tests.understand.mcp_world import Offered, asked, post, reader
from tests.understand.test_llm import CHAT
from tests.understand.test_llm import reader as llm_reader

PENDING = Refusal(
    Reason.APPROVAL_PENDING,
    403,
    "waiting for a person: more than 100",
    "payments/large",
    advice="repeat exactly the same call later",
    ruling=Ruling(False, "ap-1", verb="pending"),
)
DENIED = Refusal(Reason.APPROVAL_DENIED, 403, "not today", ruling=Ruling(False, "ap-1", ("ada",), "deny"))
STATUS = "/.well-known/toolgate/approvals/ap-1"
TOOL_CALL = {"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "pay", "arguments": {}}}


def answer(text: str) -> Refusal:
    return Refusal(Reason.ANSWERED_BY_PERSON, 200, text, "payments/large", ruling=Ruling(False, "ap-1", (), "answer"))


# -- plain HTTP ---------------------------------------------------------------------------------------------------


def test_a_call_that_waits_is_a_problem_that_no_sdk_repeats_and_that_tells_where_to_ask():
    fields, body = phrase(PENDING, "call-7")
    problem = orjson.loads(body)
    assert dict(fields)[b"x-should-retry"] == b"false"
    assert b"Retry-After" not in dict(fields)
    assert (problem["approval_id"], problem["status_url"], problem["approval_state"]) == ("ap-1", STATUS, "waiting")
    assert problem["message"] == "waiting for a person: more than 100; repeat exactly the same call later"


def test_what_people_have_nothing_to_do_with_names_no_approval():
    refused = [
        Refusal(Reason.POLICY_DENIED, 403, "no"),
        Refusal(Reason.STATE_UNAVAILABLE, 503, "away", ruling=Ruling(False)),
    ]
    for refusal in refused:
        assert "approval_id" not in orjson.loads(phrase(refusal, "call-7")[1])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"paid": true}', b"application/json"),
        ("[1]", b"application/json"),
        ("{not json", b"text/plain; charset=utf-8"),
        ("42", b"text/plain; charset=utf-8"),
        ("Grüße", b"text/plain; charset=utf-8"),
    ],
)
def test_a_persons_answer_is_the_answer_of_the_tool(text: str, kind: bytes):
    by = HttpReader(tool(), reads_args=False, looks_at_path=False)
    told = by.phrase(answer(text), "call-7", request(), None)
    assert (told.status, told.body) == (200, text.encode())
    assert told.fields == (
        (b"Content-Type", kind),
        (b"X-Toolgate-Answered-By", b"person"),
        (b"X-Toolgate-Call", b"call-7"),
    )


@pytest.mark.parametrize(
    ("method", "upgrade", "can"), [("GET", "", True), ("HEAD", "", False), ("GET", "websocket", False)]
)
def test_what_has_no_text_for_an_answer_is_not_answered_by_people(method: str, upgrade: str, can: bool):
    fields = [("Upgrade", upgrade)] if upgrade else []
    by = HttpReader(tool(), reads_args=False, looks_at_path=False)
    assert by.answers(call(of=request(method, "/github/user", fields))) is can


# -- MCP ----------------------------------------------------------------------------------------------------------


def said(what: Refusal, **settings: Any) -> dict[str, Any]:
    of, body = post(TOOL_CALL)
    phrased = reader(**settings).phrase(what, "call-7", of, body)
    assert (phrased.status, dict(phrased.fields)[b"Content-Type"]) == (200, b"application/json")
    message = orjson.loads(phrased.body)
    assert message["id"] == 4
    return message["result"]


def test_the_model_reads_that_the_call_waits_and_what_to_do():
    result = said(PENDING)
    (content,) = result["content"]
    assert content["text"] == ("Not done yet: waiting for a person: more than 100. Repeat exactly the same call later.")
    assert result["isError"] is True
    told = result["_meta"]["toolgate/refusal"]
    assert (told["approval_id"], told["status_url"], told["approval_state"]) == ("ap-1", STATUS, "waiting")
    assert told["reason"] == "approval_pending"


def test_the_model_reads_what_the_person_says_who_denied_it():
    result = said(DENIED)
    assert result["content"][0]["text"] == "Denied: not today. Do not repeat the call unchanged."
    assert result["_meta"]["toolgate/refusal"]["approval_state"] == "denied"


@pytest.mark.parametrize("refusal", ["result", "error"])
def test_a_persons_answer_is_a_result_and_no_error(refusal: str):
    result = said(answer("it is 7 degrees"), refusal=refusal)
    assert result["content"] == [{"type": "text", "text": "it is 7 degrees"}]
    assert result["isError"] is False
    assert "structuredContent" not in result
    assert result["_meta"] == {"toolgate/answer": {"by": "person", "call_id": "call-7"}}


def test_an_answer_with_structure_has_it_where_it_fits():
    assert said(answer('{"id": 1}'))["structuredContent"] == {"id": 1}
    fits = said(answer('{"id": 1}'), catalogue=Offered(structured=True))
    assert (fits["structuredContent"], fits["isError"]) == ({"id": 1}, False)


@pytest.mark.parametrize("text", ["seven", '{"no": 1}', "[1]"])
def test_an_answer_without_the_structure_that_the_tool_promises_is_told_as_an_error(text: str):
    result = said(answer(text), catalogue=Offered(structured=True))
    assert result["content"][0]["text"] == f"A person answered in the place of the tool: {text}"
    assert result["isError"] is True
    assert "structuredContent" not in result


def test_a_persons_answer_says_of_itself_that_it_is_complete_since_that_is_required():
    of, body = post({**TOOL_CALL}, ("MCP-Protocol-Version", "2026-07-28"))
    message = orjson.loads(reader().phrase(answer("done"), "call-7", of, body).body)
    assert message["result"]["resultType"] == "complete"


def test_only_calls_of_tools_are_answered_by_people():
    by = reader()
    assert by.answers(asked(by, "tools/call", {"name": "pay"}))
    assert not by.answers(asked(by, "prompts/get", {"name": "pay"}))


# -- requests to models ---------------------------------------------------------------------------------------------


def test_a_request_to_a_model_that_waits_is_an_error_in_the_providers_shape():
    of = request("POST", "/llm/v1/chat/completions", [("Content-Type", "application/json")])
    phrased = llm_reader().phrase(PENDING, "call-7", of, orjson.dumps(CHAT))
    members = orjson.loads(phrased.body)
    assert phrased.status == 403
    assert members["approval_id"] == "ap-1"
    assert "repeat exactly the same call later" in members["error"]["message"]
    assert getattr(llm_reader(), "answers", None) is None
