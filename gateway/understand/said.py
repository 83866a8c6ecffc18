"""The answers of tools as values, for the expressions of memories: JSON, or a text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.coherence.answers import MISSING, Said
from gateway.model import Answered, Call
from gateway.understand import sse
from gateway.understand.members import items, load, mapping


def said_by_http(call: Call, answered: Answered, body: bytes) -> Said:  # noqa: ARG001 - a Hears
    """The body of a plain HTTP tool's answer: JSON where its type says so, else a text."""
    if answered.content_encoding.strip().lower() not in ("", "identity"):
        return Said()
    kind = answered.content_type.partition(";")[0].strip().lower()
    if body and (kind == "application/json" or kind.endswith("+json")):
        return Said(_json(body))
    try:
        return Said(body.decode("utf-8"))
    except UnicodeDecodeError:
        return Said()


def said_by_mcp(call: Call, answered: Answered, body: bytes) -> Said | None:  # noqa: ARG001 - a Hears
    """The result of an MCP server's answer, as JSON or in a stream of events: its structured content, else its texts
    (JSON where they are), or the contents of a resource; one of them as it is, several as a list. None where there is
    no response in it (yet), or one that only says that the call goes on (a task, a question)."""
    if answered.content_encoding.strip().lower() not in ("", "identity"):
        return None
    for message in _messages(answered, body):
        result = message.get("result")
        if isinstance(result, dict):
            goes_on = "task" in result or result.get("resultType", "complete") != "complete"
            return None if goes_on else _of_result(result)
        if "error" in message and "method" not in message:
            return Said(mapping(message["error"]).get("message", MISSING), failed=True)
    return None


def _messages(answered: Answered, body: bytes) -> Iterator[dict[str, Any]]:
    if not answered.content_type.lower().startswith("text/event-stream"):
        yield mapping(load(body))
        return
    parser = sse.EventParser()
    for event in [*parser.feed(body), *parser.end()]:
        if event.data:
            yield mapping(load(event.data))


def _of_result(result: dict[str, Any]) -> Said:
    failed = result.get("isError") is True
    if isinstance(result.get("structuredContent"), dict) and not failed:
        return Said(result["structuredContent"])
    parts = result.get("contents" if "contents" in result else "content")
    if not isinstance(parts, list):
        return Said(result, failed)
    texts = [_parsed(part["text"]) for part in items(parts) if isinstance(mapping(part).get("text"), str)]
    if not texts or len(texts) < len(parts):  # pictures and the like: a digest covers them too
        return Said(result, failed)
    return Said(texts[0] if len(texts) == 1 else texts, failed)


def _parsed(text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "["):
        return text
    value = _json(text.encode("utf-8", "surrogatepass"))
    return text if value is MISSING else value


def _json(data: bytes) -> Any:
    value = load(data)
    return MISSING if value is None and data.strip() != b"null" else value
