"""Whether a call may change something."""

from __future__ import annotations

from gateway.model import SAFE_METHODS, Call

_MODELS = frozenset({"openai", "anthropic", "gemini"})


def may_change(call: Call) -> bool:
    """By what the protocol tells: the hint of an MCP server's tool, else the method; where nothing is told, it may."""
    hint = call.facts.get("tool.readOnly")
    if isinstance(hint, bool):
        return not hint
    return call.request.method not in SAFE_METHODS and call.tool.protocol not in _MODELS
