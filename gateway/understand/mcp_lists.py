"""Lists of what an MCP server offers, without what the agent may not use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from gateway.policy.pins import COVERED
from gateway.understand.catalogue import Catalogue
from gateway.understand.jsonrpc import lookalike
from gateway.understand.mcp_operations import READS, operation_of
from gateway.understand.reader import Judge

ENTRIES: Mapping[str, tuple[str, str]] = {
    "tools": ("tools/call", "name"),
    "resources": ("resources/read", "uri"),
    "resourceTemplates": ("resources/read", "uriTemplate"),
    "prompts": ("prompts/get", "name"),
}
"""Members of a result that are lists: the method that uses an entry, and the entry's member that it is used by."""
_NAMES = frozenset({*COVERED, "uri", "uriTemplate"})
"""Members of entries that clients act upon: one whose name differs only in case makes an entry mean two things."""
_RESPONSE = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])


class Lists:
    """Filters the lists of one answer. ``first``: the request asked for the first page."""

    def __init__(self, catalogue: Catalogue, judge: Judge, *, first: bool) -> None:
        self._catalogue, self._judge, self._first = catalogue, judge, first

    def filter(self, data: bytes, result: Mapping[str, Any]) -> bytes:
        """A response without the entries that are not for the agent; ``data`` itself where all are.

        ``data`` is the response as it came, ``result`` its result. What stays keeps its bytes.
        """
        kept: dict[str, list[int]] = {}
        for key, (method, by) in ENTRIES.items():
            entries = result.get(key)
            if not isinstance(entries, list):
                continue
            if key == "tools":
                complete = self._first and not result.get("nextCursor")
                tools = [entry for entry in entries if isinstance(entry, dict)]
                self._catalogue.learn(tools, complete=complete)
            stay = [at for at, entry in enumerate(entries) if self._offers(method, entry, by)]
            if len(stay) < len(entries):
                kept[key] = stay
        return _with_only(data, kept) if kept else data

    def _offers(self, method: str, entry: object, by: str) -> bool:
        about = entry.get(by) if isinstance(entry, dict) else None
        if not isinstance(about, str) or not isinstance(entry, dict) or lookalike(entry, _NAMES):
            return False
        facts: dict[str, Any] = {"mcp.method": method, "mcp.name": about if by == "name" else ""}
        if method != "tools/call":
            facts.update(READS)
        elif self._catalogue.verdict(about)[0] in ("refuse", "approve"):
            return False
        else:
            facts.update(self._catalogue.facts(about))
        return self._judge.lists(operation_of(method, about), facts)


def _with_only(data: bytes, kept: Mapping[str, list[int]]) -> bytes:
    response = _RESPONSE.decode(data)
    result = _RESPONSE.decode(response["result"])
    for key, stay in kept.items():
        entries = _LIST.decode(result[key])
        result[key] = Raw(msgspec.json.encode([entries[at] for at in stay]))
    if "cacheScope" in result:
        result["cacheScope"] = Raw(b'"private"')  # it is this agent's list now
    response["result"] = Raw(msgspec.json.encode(result))
    return msgspec.json.encode(response)
