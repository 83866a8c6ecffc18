"""What a verdict is bound to of a call's head and body, and what of it people are shown."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from msgspec import structs

from gateway.model import UNREAD, Call
from gateway.understand.bound_fields import UNSHOWN, shown_fields
from gateway.understand.petitions import binding_of, payload_of
from tests.builders import call, request, tool

JSON = ("Content-Type", "application/json")


def made(*fields: tuple[str, str], host: str = "gate:8080", **of_tool: Any) -> Call:
    return call("POST /pay", to=tool(**of_tool), of=request("POST", "/pay", fields), target="/pay", host=host)


def bound(one: Call, sent: bytes = b"{}") -> str:
    return binding_of(one, sent, "v1")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([("X-Dry-Run", "1"), ("Connection", "close")], [("X-Dry-Run", "1"), ("Connection", "X-Dry-Run")]),
        ([], [("Connection", "Upgrade"), ("Upgrade", "websocket")]),
        ([], [("X_HTTP_Method_Override", "DELETE")]),
        ([("If-None-Match", "*")], []),
        ([], [("X-HTTP-Method-Override", "DELETE")]),
        ([("Accept", "application/vnd.bank.v1+json")], [("Accept", "application/vnd.bank.v2+json")]),
        ([("Origin", "https://a.example")], [("Origin", "https://b.example")]),
        ([("From", "ann@example.org")], [("From", "bob@example.org")]),
    ],
)
def test_what_may_make_the_tool_do_another_thing_makes_it_another_call(before: Any, after: Any) -> None:
    assert bound(made(JSON, *before)) != bound(made(JSON, *after))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("Connection", "close", "keep-alive"),
        ("Idempotency-Key", "a", "b"),
        ("User-Agent", "a/1", "a/2"),
        ("Sec-WebSocket-Key", "YQ==", "Yg=="),
        ("X-Forwarded-Host", "a.example", "b.example"),  # the gateway writes its own
        ("X_Forwarded-Host", "a.example", "b.example"),
        ("X-Stainless-Retry-Count", "0", "1"),
        ("X-Toolgate-Prompt", "YQ", "Yg"),
    ],
)
def test_what_differs_each_time_does_not(name: str, one: str, other: str) -> None:
    assert bound(made(JSON, (name, one))) == bound(made(JSON, (name, other)))


def test_the_name_that_the_tool_is_told_of_the_gateway_is_bound_but_not_its_port() -> None:
    assert bound(made(host="gate:8080")) == bound(made(host="gate:8081"))
    assert bound(made(host="gate:8080")) != bound(made(host="evil.example:8080"))
    assert bound(made(host="gate:8080", forwarded="off")) == bound(made(host="evil.example", forwarded="off"))
    kept = {"forwarded": "off", "preserve_host": True}
    assert bound(made(host="gate:8080", **kept)) != bound(made(host="evil.example", **kept))


FORM = ("Content-Type", "application/x-www-form-urlencoded")


def test_only_what_says_to_be_json_is_taken_for_json() -> None:
    one, other = rb'{"x":"\u0026to=mallory"}', b'{"x":"&to=mallory"}'
    assert bound(made(JSON), one) == bound(made(JSON), other)
    assert bound(made(), one) == bound(made(), other)
    assert bound(made(FORM), one) != bound(made(FORM), other)
    assert bound(made(JSON, FORM), one) != bound(made(JSON, FORM), other)


def message(meta: dict[str, Any]) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": len(meta), "method": "tools/call", "params": {"_meta": meta}})


def test_a_notification_is_another_call_than_the_request() -> None:
    mcp = made(JSON, protocol="mcp")
    first, second, told = (
        orjson.dumps({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "pay"}, **ident})
        for ident in ({"id": 1}, {"id": "2"}, {})
    )
    assert bound(mcp, first) == bound(mcp, second) != bound(mcp, told)


def test_of_meta_only_what_names_the_exchange_may_differ() -> None:
    mcp = made(JSON, protocol="mcp")
    same: list[dict[str, Any]] = [
        {},
        {"progressToken": 7},
        {"claudecode/toolUseId": "toolu_1", "toolgate/why": {"goal": "x"}},
        {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "traceparent": "00-1"},
    ]
    assert len({bound(mcp, message(meta)) for meta in same}) == 1
    assert bound(mcp, message({"acme/tenantId": "a"})) != bound(mcp, message({"acme/tenantId": "b"}))


def test_people_see_the_fields_by_which_a_tool_may_do_another_thing_and_no_credential() -> None:
    one = made(JSON, ("X-HTTP-Method-Override", "DELETE"), ("X-Api-Key", "hush"), ("Cookie", "a=1"), ("X-Run-Id", "r"))
    fields = {"x-http-method-override": "DELETE", "x-api-key": UNSHOWN, "cookie": UNSHOWN}
    assert shown_fields(one) == fields
    assert payload_of(one, b"")["fields"] == fields
    assert "fields" not in payload_of(made(JSON), b"")


def test_a_body_that_no_rule_could_read_is_shown_beside_the_arguments_of_the_query() -> None:
    one = structs.replace(made(("Content-Type", "text/xml"), head_only=True), args={"dry": "1"})
    shown = payload_of(one, b"<pay to='mallory'/>")
    assert (shown["args"], shown["body"], shown["size"]) == ({"dry": "1"}, "<pay to='mallory'/>", 19)
    assert payload_of(structs.replace(one, args=UNREAD), b"<a/>")["body"] == "<a/>"
    assert "body" not in payload_of(made(JSON), b"{}")


def test_what_a_server_may_act_upon_in_meta_is_shown() -> None:
    mcp = made(JSON, protocol="mcp")
    assert payload_of(mcp, message({"acme/tenantId": "a", "progressToken": 1}))["fields"] == {
        "_meta acme/tenantId": '"a"'
    }
    hidden = message({"x": 1}).replace(b"_meta", rb"\u005fmeta")
    assert payload_of(mcp, hidden)["fields"] == {"_meta x": "1"}
    both = b"[%b, %b]" % (message({"x": 1}), message({"x": 2}))
    assert payload_of(mcp, both)["fields"] == {"_meta x": "1, 2"}
    assert "fields" not in payload_of(mcp, message({"progressToken": 1}))
    assert "fields" not in payload_of(mcp, b'["_meta')
