"""Events of streams, remembered so that a client can resume with Last-Event-ID."""

from __future__ import annotations

from collections import Counter

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import JSONRPCMessage


class Remembered(EventStore):
    """All events, in order. An id is ``STREAM-NUMBER``: how many events other streams had does not show in it."""

    def __init__(self) -> None:
        self._events: list[tuple[str, str, JSONRPCMessage | None]] = []
        self._count: Counter[str] = Counter()

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._count[stream_id] += 1
        name = f"{stream_id}-{self._count[stream_id]}"
        self._events.append((stream_id, name, message))
        return name

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        names = [name for _, name, _ in self._events]
        if last_event_id not in names:
            return None
        place = names.index(last_event_id)
        stream = self._events[place][0]
        for of, name, message in self._events[place + 1 :]:
            if of == stream and message is not None:
                await send_callback(EventMessage(message, name))
        return stream
