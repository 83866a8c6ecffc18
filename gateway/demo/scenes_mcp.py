"""Scenes with an MCP server: its list, refusals that a model reads, arguments to correct, a tool that changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.demo.client import NO_FIELDS, Client
from gateway.demo.library import HANDSHAKE, MODERN, TOOLS
from gateway.demo.scene import Stage, Surprise, expect
from gateway.demo.table import ALLOWED, REFUSED, Seen

_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "toolgate-demo", "version": "1"},
}
_ACCEPT = {"Accept": "application/json, text/event-stream"}
_GREETING = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": {"name": "toolgate-demo", "version": "1"}}


async def listed(stage: Stage) -> None:
    """An MCP server shows each agent what it may call. The server offers delete_all too, which no grant of this agent
    names; so its model never hears of it."""
    client = stage.client
    seen, _ = await _ask(client, "initialize", _GREETING, NO_FIELDS)
    await expect(stage, (seen, ALLOWED))
    version = {"MCP-Protocol-Version": HANDSHAKE}
    seen, _ = await _ask(client, "notifications/initialized", {}, version)
    await expect(stage, (seen, ALLOWED))
    seen, result = await _ask(client, "tools/list", {}, version)
    await expect(stage, (seen, ALLOWED))
    _must_list(result, "search", "read_note")
    client.table.say(f"  (the server itself lists: {', '.join(TOOLS)})", "2")


async def told(stage: Stage) -> None:
    """Models understand refusals. A refused call is answered with a tool result that says what to do: agents hand it to
    the model as any other result, and no session breaks."""
    await expect(
        stage,
        (await _call(stage.client, "read_note", {"name": "tides"}), ALLOWED),
        (await _call(stage.client, "delete_all", {}), REFUSED),
        (await _call(stage.client, "search", {"query": "tides", "limit": 500}), REFUSED),
    )


async def corrected(stage: Stage) -> None:
    """Wrong arguments end at the gateway. They are held against the schema that the server published; the refusal says
    what to correct, and the corrected call goes through."""
    await expect(
        stage,
        (await _call(stage.client, "search", {"query": "tides", "limt": "many"}), REFUSED),
        (await _call(stage.client, "search", {"query": "tides", "limit": 5}), ALLOWED),
    )


async def poisoned(stage: Stage) -> None:
    """A tool that changes behind your back is caught. The server rewrites the description of search to ask for
    passwords. The new text is kept from the model, and the tool is not called, until it is as it was or a person
    approves it."""
    client, chaos = stage.client, f"{stage.library}/_chaos"
    for changed, outcome, names in ((True, REFUSED, ["read_note"]), (False, ALLOWED, ["search", "read_note"])):
        await client.direct(chaos, {"poisoned": changed})
        client.table.say(f"  (the server {'changes the description' if changed else 'takes the change back'})", "2")
        seen, result = await _modern(client, "tools/list", {})
        await expect(stage, (seen, ALLOWED))
        _must_list(result, *names)
        await expect(stage, (await _call(client, "search", {"query": "storm"}), outcome))


def _must_list(result: Mapping[str, Any], *names: str) -> None:
    if (listed := [tool["name"] for tool in result["tools"]]) != list(names):
        raise Surprise(f"the list should be {', '.join(names)}, not {', '.join(listed)}")


async def _call(client: Client, name: str, arguments: Mapping[str, Any]) -> Seen:
    """``tools/call`` as a client of 2026-07-28 makes it."""
    return (await _modern(client, "tools/call", {"name": name, "arguments": arguments}))[0]


async def _modern(client: Client, method: str, params: Mapping[str, Any]) -> tuple[Seen, Mapping[str, Any]]:
    fields = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    if "name" in params:
        fields["Mcp-Name"] = params["name"]
    return await _ask(client, method, {**params, "_meta": _META}, fields)


async def _ask(
    client: Client, method: str, params: Mapping[str, Any], fields: Mapping[str, str]
) -> tuple[Seen, Mapping[str, Any]]:
    """POST one message; how it came out, and its result."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    if not method.startswith("notifications/"):
        message["id"] = 1
    heard = await client.exchange("assistant", "POST", "/library", orjson.dumps(message), {**_ACCEPT, **fields})
    told = method
    if method == "tools/call":
        told = f"{params['name']} {orjson.dumps(params['arguments']).decode()}"
    result = orjson.loads(heard.content).get("result", {}) if heard.media == "application/json" else {}
    refusal = result.get("_meta", {}).get("toolgate/refusal")
    problem = refusal and {**refusal, "text": result["content"][0]["text"]}
    return heard.seen("assistant", f"library: {told}", problem, "" if refusal else _note(result)), result


def _note(result: Mapping[str, Any]) -> str:
    if "tools" in result:
        return f"the agent sees: {', '.join(tool['name'] for tool in result['tools'])}"
    return f"result: {result['content'][0]['text']}" if "content" in result else ""
