"""Answers of Anthropic's Messages API: usage, proposals, and answers without those that were refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.model import Findings, Proposal, Refusal, Usage
from gateway.understand.members import count, items, mapping, refused_text, text

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_of(refusal: Refusal) -> dict[str, str]:
    """The ``error`` member of an error's body and of ``error`` events (platform.claude.com/docs/en/api/errors)."""
    said = f"{refusal.detail}; {refusal.advice}" if refusal.advice else refusal.detail
    return {"type": _ERRORS.get(refusal.status, "api_error"), "message": said}


def usage_of(model: str, told: Mapping[str, Any]) -> Usage:
    """A ``usage`` object. Input is the sum of what was read afresh, from the cache and into the cache.

    Tokens of compactions are counted too, which the API leaves out of its totals.
    """
    fresh, written, read, out = _four(told)
    for turn in items(told.get("iterations")):
        if isinstance(turn, dict) and turn.get("type") == "compaction":
            more = _four(turn)
            fresh, written, read, out = fresh + more[0], written + more[1], read + more[2], out + more[3]
    thought = count(mapping(told.get("output_tokens_details")).get("thinking_tokens"))
    return Usage(model, fresh + written + read, out, read, written, thought)


def _four(told: Mapping[str, Any]) -> tuple[int, int, int, int]:
    return (
        count(told.get("input_tokens")),
        count(told.get("cache_creation_input_tokens")),
        count(told.get("cache_read_input_tokens")),
        count(told.get("output_tokens")),
    )


def usage_notes(told: Mapping[str, Any]) -> tuple[str, ...]:
    """What a usage object tells that ``Usage`` cannot hold."""
    turns = [turn for turn in items(told.get("iterations")) if isinstance(turn, dict)]
    models = sorted({text(turn.get("model")) for turn in turns if turn.get("type") == "advisor_message"})
    return tuple(f"tokens of the advising model {model} are not counted" for model in models)


def proposal_of(block: Mapping[str, Any]) -> Proposal:
    """The call that a ``tool_use`` block proposes; ``args`` None where its input is no object."""
    given = block.get("input")
    return Proposal(text(block.get("name")), given if isinstance(given, dict) else None, text(block.get("id")))


def read(body: Mapping[str, Any]) -> Findings:
    """What is in a whole message. Tools that ran at the provider (``server_tool_use``) are no proposals."""
    told = body.get("usage")
    proposed = tuple(proposal_of(block) for block in _blocks(body) if block.get("type") == "tool_use")
    failed = body.get("type") == "error"
    if not isinstance(told, dict):
        return Findings(is_error=failed, proposed=proposed)
    return Findings(failed, usage_of(text(body.get("model")), told), proposed, notes=usage_notes(told))


def without(body: Mapping[str, Any], refused: Sequence[tuple[Proposal, str]]) -> dict[str, Any]:
    """A whole message with a text block in the place of each refused proposal."""
    content = [_replaced(block, refused) for block in items(body.get("content"))]
    changed = {**body, "content": content}
    if body.get("stop_reason") == "tool_use" and not any(mapping(b).get("type") == "tool_use" for b in content):
        changed["stop_reason"] = "end_turn"
    return changed


def _replaced(block: Any, refused: Sequence[tuple[Proposal, str]]) -> Any:
    if not isinstance(block, dict) or block.get("type") != "tool_use":
        return block
    said = refused_text(proposal_of(block), refused)
    return block if said is None else {"type": "text", "text": said}


def _blocks(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [block for block in items(body.get("content")) if isinstance(block, dict)]
