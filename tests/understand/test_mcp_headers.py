"""What an MCP request says in its header must be what it says in its body."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.model import Reason
from gateway.understand.jsonrpc import Message
from gateway.understand.mcp_headers import VERSION_KEY, agree, agree_batch, version_of
from tests.builders import request

CALL = Message("tools/call", 1, {"name": "search", "_meta": {VERSION_KEY: "2026-07-28"}})


def check(*fields: tuple[str, str], of: Message = CALL) -> None:
    agree(request("POST", "/notes", fields), of)


def wrapped(text: str) -> str:
    return f"=?base64?{b64encode(text.encode()).decode()}?="


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (("Mcp-Method", "tools/call"),),
        (("mcp-NAME", "search"),),
        (("Mcp-Name", wrapped("search")),),
        (("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "search")),
        (("Mcp-Param-Region", "anything: the server knows which argument it repeats"),),
    ],
)
def test_fields_that_say_what_the_body_says_pass(fields):
    check(*fields)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ((("Mcp-Method", "tools/list"),), "Mcp-Method"),
        ((("Mcp-Method", "Tools/Call"),), "Mcp-Method"),
        ((("Mcp-Method", wrapped("tools/call")),), "Mcp-Method"),
        ((("Mcp-Name", "delete"),), "Mcp-Name"),
        ((("Mcp-Name", ""),), "Mcp-Name"),
        ((("Mcp-Name", "=?base64?c2VhcmN?="),), "Mcp-Name"),
        ((("Mcp-Name", "=?base64?c2VhcmNo!?="),), "Mcp-Name"),
        ((("Mcp-Name", "=?base64?c2VhcmNo\n?="),), "Mcp-Name"),
        ((("Mcp-Name", "=?base64?/w==?="),), "Mcp-Name"),
        ((("MCP-Protocol-Version", "2025-11-25"),), "MCP-Protocol-Version"),
        ((("Mcp-Method", "tools/call"), ("Mcp-Method", "tools/call")), "more than once"),
        ((("Mcp-Name", "search"), ("mcp-name", "search")), "more than once"),
        ((("MCP-Protocol-Version", "2026-07-28"), ("MCP-Protocol-Version", "2026-07-28")), "more than once"),
        ((("Mcp-Session-Id", "a"), ("Mcp-Session-Id", "b")), "more than once"),
    ],
)
def test_fields_that_differ_or_stand_twice_are_refused(fields, told):
    with pytest.raises(Refused, match=told) as caught:
        check(*fields)
    assert (caught.value.reason, caught.value.status) == (Reason.HEADER_MISMATCH, 400)


def test_base64_in_another_spelling_than_encoders_write_is_refused():
    """``YR==`` and ``YQ==`` are both ``a`` to a lax decoder: two readers could see two names."""
    with pytest.raises(Refused, match="Mcp-Name"):
        check(("Mcp-Name", "=?base64?YR==?="), of=Message("tools/call", 1, {"name": "a"}))


@pytest.mark.parametrize(
    ("method", "key"),
    [("prompts/get", "name"), ("resources/read", "uri"), ("tasks/get", "taskId"), ("tasks/cancel", "taskId")],
)
def test_the_name_is_that_of_what_the_method_is_about(method, key):
    check(("Mcp-Name", "it"), of=Message(method, 1, {key: "it"}))
    with pytest.raises(Refused):
        check(("Mcp-Name", "it"), of=Message(method, 1, {key: "another"}))


def test_a_name_beside_a_method_that_has_none_is_the_servers_matter():
    check(("Mcp-Name", "it"), of=Message("tools/list", 1, {}))


@given(st.text(min_size=1, max_size=20))
def test_any_name_passes_when_it_is_wrapped(name):
    check(("Mcp-Name", wrapped(name)), of=Message("tools/call", 1, {"name": name}))


@pytest.mark.parametrize("field", ["Mcp-Method", "Mcp-Name"])
def test_no_single_field_describes_a_batch(field):
    with pytest.raises(Refused, match=field):
        agree_batch(request("POST", "/notes", [(field, "tools/call")]))
    agree_batch(request("POST", "/notes", [("MCP-Protocol-Version", "2025-03-26")]))


def test_the_revision_is_that_of_the_header_or_else_of_the_body():
    said = request("POST", "/notes", [("MCP-Protocol-Version", "2025-06-18")])
    assert version_of(said, None) == "2025-06-18"
    assert version_of(request("POST", "/notes"), CALL) == "2026-07-28"
    assert version_of(request("POST", "/notes"), Message("ping", 1, {"_meta": {VERSION_KEY: 7}})) == ""
    assert version_of(request("GET", "/notes"), None) == ""
