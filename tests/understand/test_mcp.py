"""MCP requests: which tool of which server is called with which arguments, and what is no call at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.model import Question, Reason
from tests.builders import request, tool
from tests.understand.mcp_world import JSON, Offered, asked, post, read, reader

GOLDEN = [
    pytest.param(exchange, id=f"{file.stem}: {exchange['name']}")
    for file in sorted((Path(__file__).parent / "golden" / "mcp").glob("*.json"))
    for exchange in json.loads(file.read_text())
]
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {"q": "x"}}}


def refused(by, of, body=None):
    with pytest.raises(Refused) as caught:
        read(by, of, body)
    return caught.value.reason, caught.value.status


@pytest.mark.parametrize("exchange", GOLDEN)
def test_messages_of_every_revision_are_the_calls_that_they_are(exchange):
    body = exchange["body"].encode()
    call = read(reader(), *post(body, *exchange["fields"].items()))
    assert (call.operation, call.implied, call.args) == (exchange["operation"], exchange["implied"], exchange["args"])
    assert exchange["facts"].items() <= call.facts.items()
    assert [part.operation for part in call.parts] == exchange.get("parts", [])
    assert call.body is None, "the tool gets the bytes that came"


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["search", "a.b-c_D9", "x" * 256, "Search"])
def test_a_tool_is_named_as_its_server_names_it(name):
    assert asked(reader(), "tools/call", {"name": name}).operation == name


@pytest.mark.parametrize(
    "name",
    [
        "tools/list",
        "initialize",
        "ping",
        "stream",
        "batch",
        "response",
        "GET /",
        "search\n",
        " search",
        "search\u200b",
        "ѕearch",
        "*",
    ],
)
def test_a_tool_with_another_kind_of_name_cannot_be_taken_for_anything_else(name):
    call = asked(reader(), "tools/call", {"name": name})
    assert (call.operation, call.implied) == (f"tools/call {name}", False)


@pytest.mark.parametrize("method", ["search", "stream", "batch", "initialized", "session/end", "TOOLS"])
def test_an_unknown_method_cannot_be_taken_for_a_tool(method):
    call = asked(reader(), method, {"x": 1, "_meta": {"y": 2}})
    assert (call.operation, call.implied, call.args) == (f"method {method}", False, {"x": 1})


def test_an_unknown_method_with_a_slash_is_its_own_operation_and_must_be_granted():
    call = asked(reader(), "sampling/createMessage")
    assert (call.operation, call.implied) == ("sampling/createMessage", False)


def test_hints_of_the_tool_are_facts():
    catalogue = Offered(annotations={"search": {"readOnlyHint": True, "openWorldHint": False}})
    facts = asked(reader(catalogue=catalogue), "tools/call", {"name": "search"}).facts
    assert (facts["tool.readOnly"], facts["tool.openWorld"], facts["tool.pin"]) == (True, False, "pinned")


@pytest.mark.parametrize("given", [{}, {"arguments": None}, {"arguments": {}}])
def test_a_tool_call_may_have_no_arguments(given):
    assert asked(reader(), "tools/call", {"name": "search"} | given).args == {}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", None),
        ("tools/call", {"name": ""}),
        ("tools/call", {"name": 7}),
        ("tools/call", {"name": "x" * 257}),
        ("tools/call", {"name": "search", "arguments": []}),
        ("tools/call", {"name": "search", "arguments": "{}"}),
        ("prompts/get", {"name": None}),
        ("resources/read", {"uri": ["notes://1"]}),
        ("resources/read", {"uri": "n" * 4097}),
        ("completion/complete", {"ref": "greet"}),
        ("completion/complete", {"ref": {"name": "a", "uri": "b"}}),
        ("completion/complete", {"ref": {}}),
    ],
)
def test_params_that_are_not_as_the_method_has_them_are_refused(method, params):
    with pytest.raises(Refused, match=r"\$\.params\.") as caught:
        asked(reader(), method, params)
    assert (caught.value.reason, caught.value.status) == (Reason.BAD_REQUEST, 400)


# -- what is read and what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list","\\u006dethod":"tools/call"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":1,"x":2}}}',
        b'{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping"} {}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping"',
        b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
        '{"jsonrpc":"2.0","id":1,"method":"ping"}'.encode("utf-16"),
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\\ud800"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":' + b"[" * 70 + b"]" * 70 + b"}}",
        b"[" * 100_000,
        b"NaN",
    ],
)
def test_json_that_parsers_read_differently_is_refused(body):
    assert refused(reader(), *post(body)) == (Reason.UNREADABLE_BODY, 400)


@pytest.mark.parametrize(
    "fields",
    [
        (("Content-Type", "text/plain"),),
        (("Content-Type", "application/json-rpc"),),
        (("Content-Type", "application/json; charset=utf-16"),),
        (("Content-Type", ""),),
        (JSON, JSON),
        (JSON, ("Content-Encoding", "gzip")),
        (("Content-Type", "application/x-www-form-urlencoded"),),
    ],
)
def test_a_message_that_does_not_say_that_it_is_json_is_refused(fields):
    assert refused(reader(), *post(CALL, *fields)) == (Reason.UNREADABLE_BODY, 415)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
def test_parameters_and_case_of_the_type_do_not_matter(kind):
    assert read(reader(), *post(CALL, ("Content-Type", kind))).operation == "search"


def test_a_body_over_the_limit_is_refused_even_where_others_are_decided_on_their_head():
    of, _ = post(CALL)
    assert refused(reader(), of) == (Reason.BODY_TOO_LARGE, 413)


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", "2026-07-28"])
def test_newer_revisions_have_no_batches(version):
    assert refused(reader(), *post([CALL], ("MCP-Protocol-Version", version))) == (Reason.BAD_REQUEST, 400)


def test_every_message_of_a_batch_is_a_call_with_all_that_rules_read():
    catalogue = Offered(annotations={"search": {"readOnlyHint": True}})
    call = read(reader(catalogue=catalogue), *post([CALL, CALL | {"id": "1"}]))
    assert [(part.operation, part.args, part.facts["tool.readOnly"]) for part in call.parts] == [
        ("search", {"q": "x"}, True)
    ] * 2
    assert not call.implied


def test_a_batch_that_only_keeps_the_session_going_is_implied():
    assert read(reader(), *post([{"jsonrpc": "2.0", "method": "notifications/initialized"}])).implied


def test_header_and_body_must_agree_in_every_revision():
    for version in ("2025-03-26", "2026-07-28"):
        of = post(CALL, ("Mcp-Name", "delete"), ("MCP-Protocol-Version", version))
        assert refused(reader(), *of) == (Reason.HEADER_MISMATCH, 400)
    assert refused(reader(), *post([CALL], ("Mcp-Method", "tools/call"))) == (Reason.HEADER_MISMATCH, 400)


def test_a_foreign_page_is_refused_before_anything_is_read():
    assert refused(reader(), *post(b"?", ("Origin", "http://evil.example"))) == (Reason.FOREIGN_ORIGIN, 403)
    allowed = reader(allowed_hosts=["evil.example"])
    assert read(allowed, *post(CALL, ("Origin", "http://evil.example"))).operation == "search"


# -- arguments and pins -----------------------------------------------------------------------------------------------


def test_arguments_are_held_to_the_tools_schema():
    catalogue = Offered(wrong="$.q is missing: give it as a string")
    flaw = read(reader(catalogue=catalogue), *post(CALL)).flaw
    assert (flaw.reason, flaw.status, flaw.detail) == (
        Reason.INVALID_ARGUMENTS,
        400,
        "$.q is missing: give it as a string",
    )
    assert read(reader(catalogue=catalogue, validate=False), *post(CALL)).operation == "search"
    assert asked(reader(catalogue=catalogue), "prompts/get", {"name": "search"}).operation == "prompts/get search"


def test_a_tool_that_was_changed_is_refused_where_its_pin_says_so():
    catalogue = Offered(verdicts={"search": ("refuse", "search is not as approved")})
    for call in (
        read(reader(catalogue=catalogue), *post(CALL)),
        *read(reader(catalogue=catalogue), *post([CALL])).parts,
    ):
        assert (call.flaw.reason, call.flaw.status) == (Reason.TOOL_CHANGED, 403)


def test_a_tool_that_a_person_must_approve_is_asked_about():
    catalogue = Offered(verdicts={"search": ("approve", "search is not as approved")})
    assert read(reader(catalogue=catalogue), *post(CALL)).flaw == Question("pins", "search is not as approved")


def test_what_a_pin_only_tells_is_noted():
    catalogue = Offered(verdicts={"search": ("warn", "search is not as approved")})
    call = read(reader(catalogue=catalogue), *post(CALL))
    assert (call.flaw, call.amendments) == (None, ("search is not as approved",))


# -- what is no message -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "operation"), [("GET", "stream"), ("DELETE", "session/end")])
def test_streams_and_ends_of_sessions_are_implied(method, operation):
    of = request(method, "/notes", [("Mcp-Session-Id", "s-1"), ("MCP-Protocol-Version", "2025-06-18")])
    call = read(reader(), of)
    assert (call.operation, call.implied, call.facts["mcp.session"]) == (operation, True, "s-1")
    assert call.facts["mcp.version"] == "2025-06-18"


def test_a_stream_is_asked_for_without_a_body():
    of = request("GET", "/notes", [("X-HTTP-Method-Override", "POST"), JSON], length=20)
    assert refused(reader(), of) == (Reason.BAD_REQUEST, 400)


@pytest.mark.parametrize(
    ("of", "operation"),
    [
        (request("GET", "/notes/.well-known/oauth-protected-resource"), "GET /.well-known/oauth-protected-resource"),
        (request("OPTIONS", "/notes"), "OPTIONS /"),
        (request("DELETE", "/notes/else"), "DELETE /else"),
        (request("POST", "/notes/ping"), "POST /ping"),
    ],
)
def test_everything_else_is_plain_http_and_must_be_granted(of, operation):
    call = read(reader(), of)
    assert (call.operation, call.implied, call.facts) == (operation, False, {})


@pytest.mark.parametrize(
    ("kind", "body", "args"),
    [
        ("application/x-www-form-urlencoded", b"grant_type=refresh&x=%7B%22method%22%7D", {"x": '{"method"}'}),
        ("application/json", b'{"redirect_uris":["http://localhost/cb"]}', {"redirect_uris": ["http://localhost/cb"]}),
    ],
)
def test_forms_and_documents_of_oauth_are_plain_http(kind, body, args):
    call = read(reader(), *post(body, ("Content-Type", kind), target="/notes/token"))
    assert call.operation == "POST /token"
    assert args.items() <= call.args.items()


@pytest.mark.parametrize("body", [b'\n{"jsonrpc":"2.0"}', b"[1]", b"\xef\xbb\xbf{}", b"\xff"])
def test_a_message_is_no_form_whatever_its_type_says(body):
    of = post(body, ("Content-Type", "application/x-www-form-urlencoded"))
    assert refused(reader(), *of) == (Reason.UNREADABLE_BODY, 415)


@pytest.mark.parametrize("target", ["/notes/admin", "/notes/%2e", "/notes//", "/notes/mcp"])
def test_messages_are_taken_at_the_endpoint_only(target):
    """Another path could be anything of the server, which the grants of tools say nothing about."""
    assert refused(reader(), *post(CALL, target=target)) == (Reason.BAD_REQUEST, 404)


@pytest.mark.parametrize(
    ("to", "rest", "target"),
    [
        (tool("notes", base_path="/v1/mcp"), {}, "/notes/"),
        (tool("notes"), {}, "/notes/mcp"),
        (tool("notes"), {}, "/notes/mcp/"),
        (tool("notes"), {}, "/notes?key=1"),
        (tool("notes"), {"endpoints": ["/v2/mcp"]}, "/notes/v2/mcp"),
    ],
)
def test_the_endpoint_is_the_tools_url_or_what_the_configuration_says(to, rest, target):
    assert read(reader(to=to, **rest), *post(CALL, target=target)).operation == "search"


def test_the_body_of_every_post_is_read():
    by = reader()
    assert by.wants_body(request("POST", "/notes", length=3))
    assert by.wants_body(request("POST", "/notes", length=-1))
    assert not by.wants_body(request("POST", "/notes"))
    assert not by.wants_body(request("GET", "/notes"))


# -- whatever comes ---------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["2.0", "tools/call", "tools/list", "resources/read", "completion/complete", "search", "ping"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "arguments", "uri", "_meta", "ref", "Name"]) | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | VALUES,
        "id": st.integers() | VALUES,
        "method": WORDS | VALUES,
        "params": VALUES,
        "result": VALUES,
        "error": VALUES,
    },
)
BODIES = (MESSAGES | st.lists(MESSAGES, max_size=4) | VALUES).map(lambda value: json.dumps(value).encode())


@given(BODIES | st.binary(max_size=40))
def test_any_body_is_a_call_or_refused(body):
    by = reader()
    of, body = post(body)
    try:
        call = read(by, of, body)
    except Refused as error:
        assert error.status in (400, 415)
    else:
        assert call.operation
