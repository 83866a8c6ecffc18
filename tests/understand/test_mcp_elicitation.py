"""Where a client opens pages for its user, a call that waits sends the user to the page of its approval."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from mcp import UrlElicitationRequiredError
from mcp_types import CallToolRequestParams, ErrorData, InputRequiredResult
from msgspec import structs

from gateway.model import Agent, Answered, Call, Reason, Refusal, Ruling
from gateway.understand.mcp_elicitation import CAPABILITIES_KEY, Openers, without_response
from tests.understand.mcp_world import Judge, asked, post, read, reader

URL = "https://gate.test/approvals/ap-1"
OPENS = {"elicitation": {"form": {}, "url": {}}}
IN_IT = ("Mcp-Session-Id", "s-1")
SESSION, STATELESS = ("MCP-Protocol-Version", "2025-11-25"), ("MCP-Protocol-Version", "2026-07-28")
CALL = {"name": "pay", "arguments": {"n": 1}}
OURS = {"toolgate/approval": {"action": "accept"}}
PENDING = Refusal(
    Reason.APPROVAL_PENDING,
    403,
    "waiting for a person: too much",
    ruling=Ruling(False, "ap-1", verb="pending", url=URL),
)


def opens(by: Any, params: dict[str, Any], *fields: tuple[str, str]) -> bool:
    of, body = post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, *fields)
    return by.opens(read(by, of, body), body)


def begins(by: Any, capabilities: Any, session: str = "s-1", agent: str = "report-1") -> None:
    """The server begins a session with such a client."""
    params = {"protocolVersion": "2025-11-25", "capabilities": capabilities}
    call = asked(by, "initialize", params)
    call = structs.replace(call, agent=Agent(agent))
    by.answer(call, Answered(200, 0.1, "application/json", "", session), Judge())


# -- sessions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capabilities", "can"),
    [
        (OPENS, True),
        ({"elicitation": {}}, False),
        ({"elicitation": {"form": {}}}, False),
        ({}, False),
        (None, False),
        ([], False),
    ],
)
def test_a_client_opens_pages_that_said_so_when_its_session_began(capabilities: Any, can: bool):
    by = reader()
    assert not opens(by, CALL, SESSION, IN_IT)
    begins(by, capabilities)
    assert opens(by, CALL, SESSION, IN_IT) is can


def test_an_older_revision_knows_no_pages():
    by = reader()
    begins(by, OPENS)
    assert not opens(by, CALL, ("MCP-Protocol-Version", "2025-06-18"), IN_IT)
    assert not opens(by, CALL, IN_IT)


def test_what_one_session_declares_says_nothing_of_another_nor_of_another_agents():
    by = reader()
    begins(by, OPENS, "s-2")
    begins(by, OPENS, agent="mallory")
    begins(by, OPENS, "")
    assert not opens(by, CALL, SESSION, IN_IT)
    assert not opens(by, CALL, SESSION)
    assert opens(by, CALL, SESSION, ("Mcp-Session-Id", "s-2"))


def test_as_many_sessions_are_remembered_as_there_is_room_for():
    known = Openers()
    for number in range(5000):
        known.began("notes", "mallory", f"session {number}" * 50, OPENS)
    assert len(known._open) == 4096
    assert known.open("notes", "mallory", "session 4999" * 50)
    assert not known.open("notes", "mallory", "session 1" * 50)


def test_the_error_is_the_one_that_clients_know():
    of, body = post({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": CALL}, SESSION)
    message = orjson.loads(reader().phrase(PENDING, "call-7", of, body).body)
    assert message["id"] == 4
    error = UrlElicitationRequiredError.from_error(ErrorData.model_validate(message["error"]))
    (elicitation,) = error.elicitations
    assert (elicitation.url, elicitation.elicitation_id) == (URL, "ap-1")
    assert message["error"]["data"]["reason"] == "approval_pending"


# -- without sessions -------------------------------------------------------------------------------------------------


def declaring(capabilities: Any, **more: Any) -> dict[str, Any]:
    return {**CALL, "_meta": {CAPABILITIES_KEY: capabilities}, **more}


@pytest.mark.parametrize(
    ("params", "can"),
    [
        (declaring(OPENS), True),
        (declaring({}), False),
        (CALL, False),
        (declaring(OPENS, inputResponses=OURS), False),
        (declaring(OPENS, requestState="s"), False),
    ],
)
def test_each_request_declares_it_and_is_asked_once(params: dict[str, Any], can: bool):
    assert opens(reader(), params, STATELESS) is can


def test_the_result_is_the_one_that_requires_input():
    of, body = post({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": declaring(OPENS)}, STATELESS)
    message = orjson.loads(reader().phrase(PENDING, "call-7", of, body).body)
    result = InputRequiredResult.model_validate(message["result"])
    assert result.input_requests is not None
    assert result.input_requests["toolgate/approval"].params.url == URL


def call_of(params: dict[str, Any]) -> Call:
    CallToolRequestParams.model_validate({key: value for key, value in params.items() if key != "_meta"})
    return asked(reader(), "tools/call", params, STATELESS)


def test_the_response_to_us_is_not_told_to_the_server_and_leaves_the_call_the_same():
    plain, repeated = call_of(CALL), call_of({**CALL, "inputResponses": OURS})
    assert orjson.loads(repeated.body or b"")["params"] == CALL
    assert (plain.body, plain.args, plain.operation) == (None, repeated.args, repeated.operation)


def test_responses_to_the_server_stay():
    theirs = {"city": {"action": "accept", "content": {"name": "Ulm"}}}
    both = call_of({**CALL, "inputResponses": {**OURS, **theirs}, "requestState": "s"})
    assert orjson.loads(both.body or b"")["params"] == {**CALL, "inputResponses": theirs, "requestState": "s"}
    assert call_of({**CALL, "inputResponses": theirs}).body is None


@pytest.mark.parametrize(
    "message", [{}, {"params": []}, {"params": {"inputResponses": []}}, {"params": {"inputResponses": {}}}]
)
def test_what_has_no_response_for_us_stays_as_it_is(message: dict[str, Any]):
    assert without_response(message) is None


# -- otherwise --------------------------------------------------------------------------------------------------------


def test_without_a_page_the_model_is_told():
    of, body = post({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": CALL}, SESSION)
    plain = Refusal(Reason.APPROVAL_PENDING, 403, "waiting", ruling=Ruling(False, "ap-1", verb="pending"))
    assert orjson.loads(reader().phrase(plain, "call-7", of, body).body)["result"]["isError"] is True


def test_only_calls_of_tools_open_pages():
    by = reader()
    begins(by, OPENS)
    of, body = post({"jsonrpc": "2.0", "id": 1, "method": "prompts/get", "params": {"name": "p"}}, SESSION, IN_IT)
    assert not by.opens(read(by, of, body), body)
