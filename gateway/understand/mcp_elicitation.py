"""Sending an agent's own user to the page of an approval, where its client opens URLs (MCP elicitation, mode ``url``).

In sessions (2025-11-25) by the error -32042, which lists what must be opened; since 2026-07-28 by a result that
requires input, after which clients repeat the request by themselves, with a response that is for us and not for the
server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.model import Refusal
from gateway.policy.guards import short

KEY = "toolgate/approval"
"""Of our request among those that a result requires, and of its response."""
URL_ELICITATION_REQUIRED = -32042
FIRST = "2025-11-25"
"""The first revision with it."""
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
"""The key of ``_meta`` under which clients declare what they can, since 2026-07-28."""
_RESPONSES, _STATE = "inputResponses", "requestState"
_MOST = 4096
"""Sessions that are remembered: agents begin as many as they like."""


class Openers:
    """The sessions whose clients declared at their begin that they open URLs. One that is not remembered does not."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str, str], None] = {}

    def began(self, tool: str, agent: str, session: str, capabilities: object) -> None:
        """A session has begun."""
        if not opens_urls(capabilities):
            return
        if len(self._open) >= _MOST:
            del self._open[next(iter(self._open))]
        self._open[tool, agent, short(session)] = None

    def open(self, tool: str, agent: str, session: str) -> bool:
        """Whether the client of this session does."""
        return (tool, agent, short(session)) in self._open


def opens_urls(capabilities: object) -> bool:
    """Whether a client with these capabilities opens URLs."""
    elicitation = capabilities.get("elicitation") if isinstance(capabilities, dict) else None
    return isinstance(elicitation, dict) and isinstance(elicitation.get("url"), dict)


def asks_first(params: Mapping[str, Any]) -> bool:
    """Whether a request (since 2026-07-28) may be answered by asking for input: its client opens URLs, and it is not
    itself the answer to such a question, the server's or ours."""
    meta = params.get("_meta")
    declared = meta.get(CAPABILITIES_KEY) if isinstance(meta, dict) else None
    return opens_urls(declared) and _RESPONSES not in params and _STATE not in params


def without_response(message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The message as the server gets it, without the response that is for us; None where it has none."""
    params = message.get("params")
    responses = params.get(_RESPONSES) if isinstance(params, dict) else None
    if not isinstance(params, dict) or not isinstance(responses, dict) or KEY not in responses:
        return None
    left = {name: value for name, value in responses.items() if name != KEY}
    others = {name: value for name, value in params.items() if name != _RESPONSES}
    return {**message, "params": {**others, _RESPONSES: left} if left else others}


def required(refusal: Refusal, url: str) -> dict[str, Any]:
    """A result that requires the page to be opened (2026-07-28)."""
    asked = {"method": "elicitation/create", "params": {"mode": "url", "message": _message(refusal), "url": url}}
    return {"resultType": "input_required", "inputRequests": {KEY: asked}}


def elicitations(refusal: Refusal, url: str, ident: str) -> dict[str, Any]:
    """``data`` of the error that requires it (2025-11-25)."""
    return {"elicitations": [{"mode": "url", "elicitationId": ident, "url": url, "message": _message(refusal)}]}


def _message(refusal: Refusal) -> str:
    return f"{refusal.detail}. Open the page to look at the call and decide on it."
