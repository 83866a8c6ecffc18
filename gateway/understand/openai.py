"""The API of OpenAI, and of the many servers that speak it: see ``dialect.py``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.model import Refusal
from gateway.understand.dialect import Endpoint
from gateway.understand.openai_chat import Chat
from gateway.understand.openai_plain import Completions, Embeddings
from gateway.understand.openai_responses import Responses
from gateway.understand.openai_shapes import error_of

_DEPLOYMENT = re.compile(r"/(?:deployments|engines)/(.+?)(?:/(?:extensions|v\d+))*$", re.IGNORECASE)
"""How Azure names the model, and OpenAI did, before the end that an endpoint is known by. LiteLLM's have slashes."""
_NO_PARAMS: Mapping[str, str] = {}


class OpenAi:
    """OpenAI's dialect. ``asks_usage``: ask for the usage of streams of chat completions where the agent does not, and
    hide it from the agent; without it, or where the server does not tell, usage is estimated."""

    provider = "openai"

    def __init__(self, *, asks_usage: bool = True) -> None:
        endpoints: tuple[Endpoint, ...] = (
            Chat(asks_usage=asks_usage),
            Completions(asks_usage=asks_usage),
            Embeddings(),
            Responses(),
            Responses("/compact", bounded=False),
            Responses("/input_tokens", bounded=False, metered="nothing"),
        )
        # ``/chat/completions`` also ends like ``/completions``: the longest first.
        self._ends = sorted(
            [(each.operation.removeprefix("POST "), each) for each in endpoints], key=lambda end: -len(end[0])
        )

    def endpoint(self, method: str, path: str) -> tuple[Endpoint, Mapping[str, str]] | None:
        """The endpoint by the end of its path; the parameter ``model`` where the path names a deployment (Azure)."""
        if method != "POST":
            return None
        low = path.lower()
        for end, endpoint in self._ends:
            if low.endswith(end):
                named = _DEPLOYMENT.search(path[: -len(end)])
                return endpoint, {"model": named[1]} if named else _NO_PARAMS
        return None

    def error(self, refusal: Refusal, ident: str) -> dict[str, Any]:  # noqa: ARG002
        """``error`` as OpenAI has it: its SDKs take class from the status, and text from ``error.message`` alone."""
        return {"error": error_of(refusal)}
