"""Arguments that a header repeats."""

from __future__ import annotations

import json
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.bridge import message as rpc
from gateway.bridge.message import Message, RpcError
from gateway.bridge.mirrors import Mirrors

SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "size": {"type": "integer", "x-mcp-header": "Size"},
        "deep": {"type": "object", "properties": {"on": {"type": "boolean", "x-mcp-header": "On"}}},
        "rate": {"type": "number", "x-mcp-header": "Rate"},
    },
    "anyOf": [{"properties": {"other": {"type": "string", "x-mcp-header": "Other"}}}],
}


def taught(schema: Any) -> Mirrors:
    mirrors = Mirrors()
    answer = {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "t", "inputSchema": schema}]}}
    mirrors.learn(rpc.parse(json.dumps(answer).encode()).members)
    return mirrors


def call(arguments: Any) -> Message:
    params = {"name": "t", "arguments": arguments}
    return rpc.parse(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode())


def fields(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict([(f"mcp-param-{name}", value) for name, value in pairs]))


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ({}, []),
        ({"region": None}, []),
        ({"region": "eu"}, [("region", "eu")]),
        ({"region": "zürich"}, [("region", "=?base64?esO8cmljaA==?=")]),
        ({"size": 42}, [("SIZE", "42")]),
        ({"size": 42.0}, [("size", "42")]),
        ({"size": 42}, [("size", "42.0")]),
        ({"size": 10**30}, [("size", str(10**30))]),
        ({"deep": {"on": True}}, [("on", "true")]),
        ({"region": ["eu"]}, []),
        ({"rate": 1.5, "other": "x"}, []),
        ("no object", []),
    ],
)
def test_what_agrees_passes(arguments: Any, given: list[tuple[str, str]]) -> None:
    taught(SCHEMA).check(call(arguments), fields(*given))


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ({}, [("region", "eu")]),
        ({"region": None}, [("region", "")]),
        ({"region": "eu"}, []),
        ({"region": "eu"}, [("region", "us")]),
        ({"region": "eu"}, [("region", "eu"), ("region", "eu")]),
        ({"region": "eu"}, [("region", "=?base64?ZXV=?=")]),
        ({"region": "eu"}, [("region", "=?base64?!?=")]),
        ({"size": 42}, [("size", "42.5")]),
        ({"size": 42}, [("size", "9" * 5000)]),
        ({"deep": {"on": True}}, [("on", "1")]),
        ({"region": ["eu"]}, [("region", "eu")]),
    ],
)
def test_what_disagrees_is_refused(arguments: Any, given: list[tuple[str, str]]) -> None:
    with pytest.raises(RpcError) as raised:
        taught(SCHEMA).check(call(arguments), fields(*given))
    assert raised.value.code == rpc.HEADER_MISMATCH


def test_a_tool_is_to_be_asked_for_only_where_something_could_disagree() -> None:
    assert taught(SCHEMA).knows(call({"region": "eu"}), fields())
    assert not Mirrors().knows(call({"region": "eu"}), fields())
    assert not Mirrors().knows(call({}), fields(("region", "eu")))
    assert Mirrors().knows(call({}), fields())


@pytest.mark.parametrize("schema", [None, 3, {"properties": [1]}, {"properties": {"a": 1}}])
def test_a_schema_that_is_none_asks_for_nothing(schema: Any) -> None:
    taught(schema).check(call({"a": 1}), fields())


def test_a_list_that_is_none_teaches_nothing() -> None:
    mirrors = Mirrors()
    mirrors.learn(rpc.parse(b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":3}]}}').members)
    mirrors.learn(rpc.parse(b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}').members)
    assert not mirrors.knows(call({"a": 1}), fields())
