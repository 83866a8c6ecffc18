"""Anthropic's API: ``POST /v1/messages`` and ``POST /v1/messages/count_tokens``, and its way of telling errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gateway.model import NOTHING_FOUND, Caps, Findings, Proposal, Refusal
from gateway.understand import anthropic_answer, anthropic_request
from gateway.understand.anthropic_stream import MessageStream
from gateway.understand.dialect import Asked, Endpoint

NO_PARAMS: Mapping[str, str] = {}


class Messages:
    """``POST /v1/messages``: the model answers."""

    operation = "POST /v1/messages"
    metered: Literal["nothing", "input", "both"] = "both"

    def asked(self, body: Mapping[str, Any], params: Mapping[str, str]) -> Asked:  # noqa: ARG002 - no values in the path
        """Read a request; Refused (400) where a member is not of its documented type."""
        return anthropic_request.read(body)

    def amend(self, body: dict[str, Any], raw: bytes, asked: Asked, caps: Caps) -> tuple[bytes, tuple[str, ...]]:  # noqa: ARG002
        """The body under the caps. ``max_tokens`` of fallbacks and advisors is lowered too.

        Raises:
            Refused: 403, ``fallbacks`` or a tool asks a model that the caps do not allow, or ``tool_choice`` names a
                tool that they forbid.
        """
        return anthropic_request.amend(body, raw, caps, bounded=True)

    def answer(self, body: Mapping[str, Any]) -> Findings:
        """Usage and proposals (``tool_use`` blocks) of a whole message."""
        return anthropic_answer.read(body)

    def without(self, body: Mapping[str, Any], refused: Sequence[tuple[Proposal, str]]) -> dict[str, Any]:
        """The message with a text block in the place of each refused proposal."""
        return anthropic_answer.without(body, refused)

    def stream(self, asked: Asked, raw: bytes, sent: bytes) -> MessageStream:  # noqa: ARG002 - nothing is asked for ourselves
        """A reader of the message's events."""
        return MessageStream(asked.model, len(sent))


class CountTokens(Messages):
    """``POST /v1/messages/count_tokens``: no model answers, and nothing is used."""

    operation = "POST /v1/messages/count_tokens"
    metered: Literal["nothing", "input", "both"] = "nothing"

    def amend(self, body: dict[str, Any], raw: bytes, asked: Asked, caps: Caps) -> tuple[bytes, tuple[str, ...]]:  # noqa: ARG002
        """As for messages, so that what would be sent is counted; ``max_tokens`` is none of this endpoint's members."""
        return anthropic_request.amend(body, raw, caps, bounded=False)

    def answer(self, body: Mapping[str, Any]) -> Findings:  # noqa: ARG002
        """Nothing."""
        return NOTHING_FOUND


_ENDPOINTS: tuple[tuple[str, Endpoint], ...] = (
    ("/messages", Messages()),
    ("/messages/count_tokens", CountTokens()),
)


class Anthropic:
    """The dialect of Anthropic (platform.claude.com/docs/en/api), and of gateways and clouds that speak it."""

    provider = "anthropic"

    def endpoint(self, method: str, path: str) -> tuple[Endpoint, Mapping[str, str]] | None:
        """The endpoint that a request is for, by the end of its path, trailing slashes and case put aside."""
        if method != "POST":
            return None
        plain = path.rstrip("/").lower()
        for end, endpoint in _ENDPOINTS:
            if plain.endswith(end):
                return endpoint, NO_PARAMS
        return None

    def error(self, refusal: Refusal, ident: str) -> dict[str, Any]:  # noqa: ARG002 - ids go into the problem
        """The ``error`` member, which the SDKs read.

        The API's own ``"type": "error"`` beside it is left out: no SDK looks at it, and problems have a ``type`` too.
        """
        return {"error": anthropic_answer.error_of(refusal)}
