"""The memory as an MCP server: what a model reads, also where it must do better."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from aiohttp.test_utils import TestClient

from gateway.memory.caller import FIELD, Caller
from gateway.memory.offered import OFFERED
from tests.memory.support import ADA, BOB, World, by_field, mcp

SCHEMAS = {tool["name"]: tool for tool in OFFERED}


async def rpc(client: TestClient, method: str, params: Any = None, by: Caller = ADA) -> tuple[Any, Any]:
    """The message that answers, and the labels that the gateway takes."""
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params or {}}
    async with client.post("/mcp", json=message, headers={FIELD: by_field(by)}) as response:
        told = await response.json()
        assert told["id"] == 7
        return told, response.headers.get("X-Toolgate-Labels", "")


async def call(client: TestClient, name: str, by: Caller = ADA, **args: Any) -> tuple[Any, str]:
    """The structured result, or the text of a refusal; arguments and result fit the schemas that the tool has."""
    jsonschema.validate(args, SCHEMAS[name]["inputSchema"])
    told, labels = await rpc(client, "tools/call", {"name": name, "arguments": args}, by)
    result = told["result"]
    if result["isError"]:
        assert "structuredContent" not in result
        return result["content"][0]["text"], labels
    jsonschema.validate(result["structuredContent"], SCHEMAS[name]["outputSchema"])
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    return result["structuredContent"], labels


async def test_a_model_that_was_overtaken_reads_what_stands_and_writes_again() -> None:
    async with mcp(World()) as client:
        made, _ = await call(client, "memory_write", namespace="team", key="plan", value={"tasks": ["a"]})
        await call(
            client, "memory_write", BOB,
            namespace="team", key="plan", value={"tasks": ["a", "b"]}, expected_version=made["version"],
        )  # fmt: skip
        mine = {"namespace": "team", "key": "plan", "value": {"tasks": ["a", "c"]}}
        text, labels = await call(client, "memory_write", **mine, expected_version=made["version"])
        assert text.startswith("conflict: plan is not as it was seen: bob has written it")
        assert labels == "untrusted"
        version = text.rsplit("expected_version ", 1)[1]
        assert '"tasks":["a","b"]' in text
        done, _ = await call(
            client, "memory_write",
            namespace="team", key="plan", value={"tasks": ["a", "b", "c"]}, expected_version=version,
        )  # fmt: skip
        read, _ = await call(client, "memory_read", namespace="team", key="plan")
        assert (read["value"], read["version"]) == ({"tasks": ["a", "b", "c"]}, done["version"])


async def test_every_tool_does_what_it_says() -> None:
    async with mcp(World()) as client:
        assert (await call(client, "memory_list"))[0] == {"namespaces": [{"name": "team", "may_write": True}]}
        text, _ = await call(client, "memory_write", namespace="team", key="t", value="a text", ttl="1h")
        assert text["kind"] == "text"
        puts = [{"key": "a", "value": [1]}, {"key": "t", "delete": True, "expected_version": text["version"]}]
        compares = [{"key": "z", "expected_version": None}]
        done, _ = await call(client, "memory_commit", namespace="team", puts=puts, compares=compares)
        assert [item["key"] for item in done["items"]] == ["a", "t"]
        listed, _ = await call(client, "memory_list", namespace="team", prefix="a", limit=1)
        assert [item["key"] for item in listed["items"]] == ["a"]
        past, _ = await call(client, "memory_read", namespace="team", key="t", at=text["version"])
        assert past["value"] == "a text"
        versions, _ = await call(client, "memory_history", namespace="team", key="t", values=True)
        assert [version.get("value") for version in versions["versions"]] == [None, "a text"]
        version = listed["items"][0]["version"]
        gone, _ = await call(client, "memory_delete", namespace="team", key="a", expected_version=version)
        assert gone["deleted"]


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("memory_read", {"namespace": "team", "key": "none"}, "no_value"),
        ("memory_read", {"namespace": "other", "key": "k"}, "no_namespace"),
        ("memory_write", {"namespace": "team", "key": "k", "value": 2}, "unseen"),
        ("memory_write", {"namespace": "team", "key": "k", "value": 2, "expected_version": None}, "conflict"),
        ("memory_delete", {"namespace": "team", "key": "none", "expected_version": "life1-1"}, "conflict"),
        ("memory_read", {"namespace": "team", "key": "k", "at": "life1-9"}, "forgotten"),
        ("memory_write", {"namespace": "team", "key": "k", "value": 1, "ttl": "soon"}, "unusable"),
    ],
)
async def test_what_a_model_did_wrong_is_told_with_what_to_do(name: str, args: dict[str, Any], said: str) -> None:
    async with mcp(World()) as client:
        await call(client, "memory_write", namespace="team", key="k", value=1)
        text, _ = await call(client, name, **args)
        assert text.startswith(f"{said}: ")
        assert "\nDo this: " in text


async def test_what_others_wrote_comes_with_its_labels() -> None:
    async with mcp(World()) as client:
        await call(client, "memory_write", BOB, namespace="team", key="k", value=1)
        for name, args in (("memory_read", {"key": "k"}), ("memory_list", {}), ("memory_history", {"key": "k"})):
            assert (await call(client, name, namespace="team", **args))[1] == "untrusted"
        assert (await call(client, "memory_write", namespace="team", key="new", value=1))[1] == ""


async def test_both_eras_are_spoken() -> None:
    async with mcp(World()) as client:
        told, _ = await rpc(client, "initialize", {"protocolVersion": "2025-06-18"})
        assert told["result"]["protocolVersion"] == "2025-06-18"
        told, _ = await rpc(client, "initialize", {"protocolVersion": "1999-01-01"})
        assert told["result"]["protocolVersion"] == "2025-11-25"
        meta = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}
        told, _ = await rpc(client, "server/discover", meta)
        assert told["result"]["resultType"] == "complete"
        meta = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2030-01-01"}}
        told, _ = await rpc(client, "tools/list", meta)
        assert told["error"]["code"] == -32022
        assert "2026-07-28" in told["error"]["data"]["supported"]
        assert (await rpc(client, "resources/list"))[0]["error"]["code"] == -32601
        assert (await rpc(client, "tools/call", {"name": "rm"}))[0]["error"]["code"] == -32602
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        async with client.post("/", json=note, headers={FIELD: by_field(ADA)}) as response:
            assert (response.status, await response.read()) == (202, b"")
        for body in (b"[]", b"{", b'{"id": 1, "id": 2}'):
            async with client.post("/", data=body, headers={FIELD: by_field(ADA)}) as response:
                assert response.status == 400


def test_every_tool_says_whether_it_changes_anything() -> None:
    for tool in OFFERED:
        jsonschema.Draft202012Validator.check_schema(tool["inputSchema"])
        jsonschema.Draft202012Validator.check_schema(tool["outputSchema"])
        reads = tool["name"] in ("memory_read", "memory_list", "memory_history")
        assert tool["annotations"]["readOnlyHint"] == reads
