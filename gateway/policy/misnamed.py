"""Operations as people write them who have not read how MCP servers and models are named: what to write instead."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.model import Tool
from gateway.policy.globs import matches_any

_BARE = re.compile(r"[A-Za-z0-9_.*?-]+")
_RESERVED = frozenset({"initialize", "ping", "response", "stream", "batch"})
_OPENAI = (
    "POST /chat/completions", "POST /responses", "POST /responses/compact", "POST /responses/input_tokens",
    "POST /completions", "POST /embeddings",
)  # fmt: skip
_GEMINI = tuple(
    f"POST /models/{{model}}:{method}"
    for method in ("generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents")
)
ENDPOINTS = {
    "openai": _OPENAI,
    "anthropic": ("POST /v1/messages", "POST /v1/messages/count_tokens"),
    "gemini": _GEMINI,
}
"""Operations that ask a model, by protocol: the same whatever stands before them in a path."""
_MODEL = re.compile(r"(?<=/)\\\{model\\\}")


def instead(pattern: str, tools: Sequence[Tool]) -> tuple[str, str] | None:
    """Message and hint where ``pattern`` names no operation of these tools, though what it means can be told.

    ``tools/call search`` of an MCP server means ``search``; ``POST /v1/chat/completions`` of OpenAI's API means
    ``POST /chat/completions``. A rule with such a pattern would be dead, without a word.
    """
    protocols = {tool.protocol for tool in tools}
    method, _, name = pattern.partition(" ")
    if "mcp" in protocols and method == "tools/call" and name not in _RESERVED and (not name or _BARE.fullmatch(name)):
        return f"{pattern!r} matches no tool with a usual name: its name alone is the operation", f"write {name or '*'}"
    if not protocols <= ENDPOINTS.keys():
        return None  # of other tools, it may well be an operation
    endpoints = [operation for protocol in sorted(protocols) for operation in ENDPOINTS[protocol]]
    if any(matches_any([pattern], operation) for operation in endpoints):
        return None
    for operation in sorted(endpoints, key=len, reverse=True):
        asked, _, path = operation.partition(" ")
        if method in (asked, "*") and re.search(_MODEL.sub("[^/]+", re.escape(path)) + "$", name):
            return (
                f"{pattern!r} matches no request to a model, which has one name whatever the path",
                f"write {operation}",
            )
    return None
