"""What the endpoints of OpenAI's API have in common: contents, usage, errors, arguments of calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.model import Proposal, Refusal, Usage
from gateway.understand import strict_json
from gateway.understand.members import asked_items, asked_text, count, mapping, text, wrong

_TEXTS = ("text", "refusal")


def asked_stream(body: Mapping[str, Any]) -> bool:
    """Whether a request wants its answer streamed.

    Raises:
        Refused: 400, the member is not a boolean.
    """
    value = body.get("stream")
    if value is not None and not isinstance(value, bool):
        raise wrong("stream", "a boolean", value)
    return bool(value)


def asked_content(holder: Mapping[str, Any], name: str, where: str = "") -> str:
    """A content: a text, or the texts of its parts joined by line feeds (images, sounds and files have none).

    Raises:
        Refused: 400, it is of another type.
    """
    value = holder.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise wrong(f"{where}{name}", "a string or an array of parts", value)
    return "\n".join(
        [
            asked_text(part, key, f"{where}{name}[{at}].")
            for at, part in enumerate(asked_items(holder, name, where))
            for key in _TEXTS
            if part.get(key) is not None
        ]
    )


def usage_of(value: object, model: str) -> Usage | None:
    """The usage of chat completions, embeddings and completions (``prompt_tokens``) or of responses
    (``input_tokens``); None where it tells neither, or no number: that is no use for nothing."""
    usage = mapping(value)
    if "prompt_tokens" in usage:
        read, written = usage["prompt_tokens"], usage.get("completion_tokens")
        of_read, of_written = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    elif "input_tokens" in usage:
        read, written = usage["input_tokens"], usage.get("output_tokens")
        of_read, of_written = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    else:
        return None
    if isinstance(read, bool) or not isinstance(read, int | float):
        return None
    cached = mapping(of_read)
    return Usage(
        model,
        count(read),
        count(written),
        count(cached.get("cached_tokens")),
        count(cached.get("cache_write_tokens")),
        count(mapping(of_written).get("reasoning_tokens")),
        count(cached.get("audio_tokens")),
        count(mapping(of_written).get("audio_tokens")),
    )


def arguments_of(value: object) -> dict[str, Any] | None:
    """The arguments of a proposed call: a JSON object in a text. None where two parsers could read it differently."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        return None
    if not value.strip():
        return {}
    try:
        parsed = strict_json.parse(value.encode())
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def proposal_of(call: Mapping[str, Any]) -> Proposal:
    """A tool call of a chat completion. A custom tool takes a text, which rules see as ``args.input``. A call that is
    both has no arguments that can be read: clients choose."""
    ident = text(call.get("id"))
    custom, function = mapping(call.get("custom")), mapping(call.get("function"))
    if custom and function:
        return Proposal(text(function.get("name")), None, ident)
    if custom:
        return Proposal(text(custom.get("name")), {"input": text(custom.get("input"))}, ident)
    return Proposal(text(function.get("name")), arguments_of(function.get("arguments")), ident)


def size_of(said: object) -> int:
    """Bytes of a text, 0 for what is none."""
    if not isinstance(said, str):
        return 0
    return len(said) if said.isascii() else len(said.encode("utf-8", "replace"))


def error_of(refusal: Refusal) -> dict[str, Any]:
    """The members of an error object. ``code`` is the reason; advice is part of the message, where models read it."""
    if refusal.status == 429:
        kind = "rate_limit_error"
    elif refusal.status >= 500:
        kind = "server_error"
    else:
        kind = "invalid_request_error"
    message = f"{refusal.detail}; {refusal.advice}" if refusal.advice else refusal.detail
    return {"message": message, "type": kind, "param": None, "code": refusal.reason.value}
