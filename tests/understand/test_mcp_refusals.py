"""A refusal reaches the model behind an MCP client, and ends no session."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Reason, Refusal
from gateway.understand.mcp_refusals import text
from tests.builders import request
from tests.understand.mcp_world import post, reader
from tests.understand.test_mcp import BODIES

DENIED = Refusal(Reason.POLICY_DENIED, 403, "pay only known recipients", "payments/known", advice="ask the user")
CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "pay", "arguments": {}}}
NOTIFICATION = {"jsonrpc": "2.0", "method": "notifications/initialized"}
STATELESS = ("MCP-Protocol-Version", "2026-07-28")


def told(body, *fields, refusal: Refusal = DENIED, by=None):
    """Status and JSON of the answer to a refused request."""
    of, data = post(body, *fields)
    phrased = (by or reader()).phrase(refusal, "call-7", of, data)
    assert dict(phrased.fields)[b"Content-Type"] == b"application/json"
    assert dict(phrased.fields)[b"X-Toolgate-Call"] == b"call-7"
    return phrased.status, orjson.loads(phrased.body)


DATA = {
    "reason": "policy_denied",
    "rule": "payments/known",
    "call_id": "call-7",
    "retryable": False,
    "retry_after": None,
    "advice": "ask the user",
}
TEXT = "Refused: pay only known recipients. Ask the user."


def test_a_refused_tool_call_is_a_result_that_the_model_reads():
    assert told(CALL) == (
        200,
        {
            "jsonrpc": "2.0",
            "id": 7,
            "result": {
                "content": [{"type": "text", "text": TEXT}],
                "isError": True,
                "_meta": {"toolgate/refusal": DATA},
            },
        },
    )


def test_since_revision_2026_07_28_results_say_that_they_are_complete():
    assert told(CALL, STATELESS)[1]["result"]["resultType"] == "complete"
    assert "resultType" not in told(CALL, ("MCP-Protocol-Version", "2025-11-25"))[1]["result"]


def test_a_tool_call_can_be_refused_with_an_error_instead():
    error = {"code": 1403, "message": TEXT, "data": DATA}
    assert told(CALL, by=reader(refusal="error")) == (200, {"jsonrpc": "2.0", "id": 7, "error": error})


@pytest.mark.parametrize(
    "method", ["resources/read", "prompts/get", "initialize", "server/discover", "tools/list", "sampling/x"]
)
def test_other_requests_have_no_such_result_and_are_refused_with_an_error(method):
    status, answer = told(CALL | {"method": method})
    assert (status, answer["id"], answer["error"]["code"]) == (200, 7, 1403)


@pytest.mark.parametrize("ident", [0, -3, "7", "", 2**53, "x" * 256])
def test_the_answer_has_the_id_of_its_request_in_value_and_type(ident):
    got = told(CALL | {"id": ident})[1]["id"]
    assert got == ident
    assert type(got) is type(ident)


@pytest.mark.parametrize("message", [NOTIFICATION, {"jsonrpc": "2.0", "id": 3, "result": {}}])
def test_a_refused_notification_or_answer_is_told_so_without_ending_the_session(message):
    status, answer = told(message)
    assert (status, answer["id"], answer["error"]["code"]) == (200, None, 1403)


def test_a_refused_batch_has_a_refusal_for_each_request_in_it():
    batch = [CALL, NOTIFICATION, CALL | {"id": "8", "method": "prompts/get"}]
    status, answers = told(batch)
    assert status == 200
    assert [(answer["id"], "result" in answer) for answer in answers] == [(7, True), ("8", False)]


def test_a_refused_batch_of_notifications_has_one_error():
    assert told([NOTIFICATION, NOTIFICATION])[1]["id"] is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/call"}', -32700),
        (b"[" * 1000, -32700),
        ({"jsonrpc": "1.0", "id": 1, "method": "x"}, -32600),
        (CALL | {"id": None}, -32600),
        (CALL | {"Method": "x"}, -32600),
        ([], -32600),
        ([CALL, CALL], -32600),
        (b'{"jsonrpc":"2.0","id":18446744073709551616,"method":"ping"}', -32600),
        (b'[{"jsonrpc":"2.0","id":-9223372036854775809,"method":"tools/call","params":{"name":"pay"}}]', -32600),
    ],
)
def test_what_is_no_message_is_refused_as_json_rpc_says(body, code):
    status, answer = told(body, refusal=Refusal(Reason.UNREADABLE_BODY, 400, "no"))
    assert (status, answer["id"], answer["error"]["code"]) == (400, None, code)


def test_a_batch_where_there_are_none_is_an_invalid_request():
    status, answer = told([CALL], refusal=Refusal(Reason.BAD_REQUEST, 400, "no batches"))
    assert (status, answer["id"], answer["error"]["code"]) == (400, None, -32600)


def test_a_number_that_parsers_read_differently_does_not_end_the_session_of_the_model_that_wrote_it():
    body = orjson.dumps(CALL | {"params": {"name": "pay", "arguments": {"id": 2**60}}})
    status, answer = told(body, refusal=Refusal(Reason.UNREADABLE_BODY, 400, "integer beyond 2^53"))
    assert (status, answer["id"], answer["result"]["isError"]) == (200, 7, True)


@pytest.mark.parametrize(("fields", "status"), [((), 200), ((STATELESS,), 400)])
def test_params_that_are_not_as_the_method_has_them_are_invalid_params(fields, status):
    refusal = Refusal(Reason.BAD_REQUEST, 400, "$.params.uri is missing")
    got, answer = told(CALL | {"method": "resources/read"}, *fields, refusal=refusal)
    assert (got, answer["id"], answer["error"]["code"]) == (status, 7, -32602)


@pytest.mark.parametrize(("body", "ident"), [(CALL, 7), (NOTIFICATION, None), ([CALL], None)])
def test_a_header_that_says_otherwise_than_the_body_is_a_mismatch_by_the_protocol(body, ident):
    status, answer = told(body, refusal=Refusal(Reason.HEADER_MISMATCH, 400, "Mcp-Name"))
    assert (status, answer["id"], answer["error"]["code"]) == (400, ident, -32020)


def test_a_tool_that_cannot_be_reached_is_told_to_the_model_too():
    refusal = Refusal(Reason.UPSTREAM_TIMEOUT, 504, "no answer within 60 s", retryable=True)
    status, answer = told(CALL, refusal=refusal)
    assert status == 200
    assert answer["result"]["content"][0]["text"] == "The tool failed: no answer within 60 s. Try again later."


def test_when_to_come_back_is_told_to_clients_and_to_the_model():
    refusal = Refusal(Reason.RATE_LIMITED, 429, "10 calls in 1 s", retry_after=2.2, retryable=True)
    of, data = post(CALL)
    phrased = reader().phrase(refusal, "call-7", of, data)
    assert dict(phrased.fields)[b"Retry-After"] == b"3"
    assert orjson.loads(phrased.body)["result"]["content"][0]["text"] == "Refused: 10 calls in 1 s. Try again in 3 s."


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (Refusal(Reason.POLICY_DENIED, 403, "no."), "Refused: no. Do not repeat the call unchanged."),
        (Refusal(Reason.INTERNAL_ERROR, 500, "no", advice="Stop."), "Refused: no. Stop."),
        (
            Refusal(Reason.INVALID_ARGUMENTS, 400, 'did you mean "x"?', advice="fix it"),
            'Refused: did you mean "x"? Fix it.',
        ),
    ],
)
def test_a_refusal_is_two_sentences(refusal, said):
    assert text(refusal) == said


@pytest.mark.parametrize(
    ("of", "body", "refusal"),
    [
        (request("POST", "/notes"), None, Refusal(Reason.UNAUTHENTICATED, 401, "no key")),
        (*post(CALL), Refusal(Reason.UNAUTHENTICATED, 401, "no key")),
        (*post(CALL), Refusal(Reason.FOREIGN_ORIGIN, 403, "evil")),
        (*post(CALL, ("Content-Type", "text/plain")), Refusal(Reason.UNREADABLE_BODY, 415, "text")),
        (*post(CALL, target="/notes/x"), Refusal(Reason.BAD_REQUEST, 404, "elsewhere")),
        (*post({"redirect_uris": []}), DENIED),
        (request("GET", "/notes"), None, DENIED),
        (request("POST", "/notes", length=9), None, Refusal(Reason.BODY_TOO_LARGE, 413, "much")),
    ],
)
def test_what_was_not_read_as_json_rpc_is_refused_in_plain_http(of, body, refusal):
    phrased = reader().phrase(refusal, "call-7", of, body)
    assert phrased.status == refusal.status
    assert dict(phrased.fields)[b"Content-Type"] == b"application/problem+json"
    assert orjson.loads(phrased.body)["reason"] == refusal.reason.value


@given(
    BODIES | st.binary(max_size=40),
    st.sampled_from(list(Reason)),
    st.sampled_from([400, 403, 429, 500, 502, 504]),
    st.text(max_size=10),
    st.sampled_from(["result", "error"]),
)
def test_any_refusal_of_any_body_is_json_rpc_or_a_problem(body, reason, status, detail, style):
    of, body = post(body)
    phrased = reader(refusal=style).phrase(Refusal(reason, status, detail), "call-7", of, body)
    answer = orjson.loads(phrased.body)
    if dict(phrased.fields)[b"Content-Type"] == b"application/problem+json":
        assert (answer["status"], phrased.status) == (status, status)
        return
    assert phrased.status in (200, 400)
    for one in answer if isinstance(answer, list) else [answer]:
        assert one["jsonrpc"] == "2.0"
        assert ("result" in one) != ("error" in one)
        if "error" in one:
            code = one["error"]["code"]
            assert code == 1000 + status or -32768 <= code <= -32000
