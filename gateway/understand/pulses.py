"""What keeps a connection alive while its call waits for a person, where the protocol has streams of events.

The stream is opened before anybody knows what becomes of the call. So what would have been an answer of its own then
comes as the end of the stream: refusals and errors as the protocol's messages, an answer in JSON as one event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.model import Call, Fields, Reason, Refusal
from gateway.understand import sse, strict_json
from gateway.understand.jsonrpc import messages
from gateway.understand.members import dump, load, mapping, text

EVENTS = "text/event-stream"
_REASONS = {reason.value: reason for reason in Reason}
_STEP = 1e-6
"""By which progress grows with each notice: a tool's own, which follows, must be more than that."""


class Beats:
    """What all streams have in common. ``every``: seconds of silence that are broken, and after which it begins."""

    def __init__(self, ident: str, every: float) -> None:
        self.every = every
        self.fields: Fields = (
            (b"Content-Type", EVENTS.encode()),
            (b"Cache-Control", b"no-store"),
            (b"X-Accel-Buffering", b"no"),
            (b"X-Toolgate-Call", ident.encode()),
        )

    def beat(self, *, asked: bool) -> bytes:
        """A sign of life. ``asked``: a person is waited for, and not the tool."""
        return b": waiting for a person\n\n" if asked else b": waiting for the tool\n\n"

    def told(self, lines: bytes) -> bytes:
        """Field lines that would have stood in a head, as a comment."""
        return b"".join([b": %b\n" % line for line in lines.split(b"\r\n") if line]) + b"\n"

    def passes(self, status: int, kind: str, coding: str) -> bool:
        """Whether a tool's answer is such a stream itself, which goes on as it comes."""
        return status == 200 and kind.partition(";")[0].strip().lower() == EVENTS and coding in ("", "identity")


class McpBeats(Beats):
    """Of one request of MCP with this id; with notices of progress where it asked for them by a token."""

    def __init__(self, ident: str, every: float, id_: str | int, token: str | int | None) -> None:
        super().__init__(ident, every)
        self._id, self._token, self._progress = id_, token, 0

    def beat(self, *, asked: bool) -> bytes:
        """As in ``Beats``."""
        beat = super().beat(asked=asked)
        if not asked or self._token is None:
            return beat
        self._progress += 1
        params = {
            "progressToken": self._token,
            "progress": self._progress * _STEP,
            "message": "waiting for a person to approve the call",
        }
        notice = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        return beat + sse.event(dump(notice), "message")

    def whole(self, status: int, body: bytes) -> bytes:
        """The end of the stream: this message, or an error where it is none."""
        message = load(body)
        if (
            isinstance(message, dict)
            and message.get("jsonrpc") == "2.0"
            and ("result" in message or "error" in message)
        ):
            return sse.event(body, "message")
        said = text(mapping(message).get("detail")) or f"the tool answered with HTTP status {status} and no message"
        error = {"code": 1000 + status, "message": f"The tool failed: {said}"}
        return sse.event(dump({"jsonrpc": "2.0", "id": self._id, "error": error}), "message")


def mcp_beats(call: Call, body: bytes | None, every: float) -> McpBeats | None:
    """The beats of a call, where it is one request whose agent takes a stream of events."""
    if call.facts.get("mcp.method") in (None, "") or call.parts or call.implied or body is None:
        return None
    if EVENTS not in call.request.header(b"accept").lower():
        return None
    message = messages(strict_json.parse(body))[0]
    if message.id is None:
        return None
    meta = message.params.get("_meta")
    token = meta.get("progressToken") if type(meta) is dict else None
    return McpBeats(call.id, every, message.id, token if isinstance(token, str | int) else None)


class LlmBeats(Beats):
    """Of one request to a model whose answer is streamed. ``failed`` writes an error as the provider does."""

    def __init__(self, ident: str, every: float, failed: Callable[[Refusal], bytes]) -> None:
        super().__init__(ident, every)
        self._failed = failed

    def whole(self, status: int, body: bytes) -> bytes:
        """The end of the stream: an error that says what this body says."""
        return self._failed(_told(status, mapping(load(body))))


def _told(status: int, body: dict[str, Any]) -> Refusal:
    """A refusal of ours by its problem, or what a provider says is wrong."""
    reason = _REASONS.get(text(body.get("reason")))
    if reason is not None:
        return Refusal(reason, status, text(body.get("detail")), advice=text(body.get("advice")))
    said = text(mapping(body.get("error")).get("message")) or f"the provider answered with HTTP status {status}"
    return Refusal(Reason.UPSTREAM_PROTOCOL, status, said)
