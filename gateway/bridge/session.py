"""A client's session of the revisions with a handshake (2025-03-26 to 2025-11-25): one child of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import cast

from msgspec import Raw

from gateway.bridge import message as rpc
from gateway.bridge.channel import TOKEN, Channel, UnderWay
from gateway.bridge.child import Child
from gateway.bridge.message import Ident, Message
from gateway.bridge.outlet import Item, Outlet

_BACKLOG = 256
"""Messages kept for a client that has no stream open. Beyond it the oldest is lost."""
_UNRELATED = frozenset(
    {
        "notifications/tools/list_changed",
        "notifications/resources/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/updated",
    }
)
"""What a server says on its own account, not in the course of a request."""


class Session(Channel):
    """Ids and progress tokens are the client's own. ``version``: the revision that the handshake agreed on."""

    def __init__(self, child: Child) -> None:
        super().__init__(child)
        self._standing: list[Outlet] = []
        self._backlog: deque[Item] = deque(maxlen=_BACKLOG)
        self.version: Ident | None = None
        self.in_use = 0
        """HTTP requests being served."""
        self.last_used = 0.0
        """When the last of them ended, on the event loop's clock, in seconds."""

    async def tell(self, message: Message) -> None:
        """Pass on a notification, or the answer to a request of the server."""
        self._child.send(rpc.render(message.members))
        if message.method == "notifications/cancelled":
            ident = rpc.scalar(rpc.dig(message.members, "params", "requestId"))
            entry = None if ident is None else self._under_way.get(ident)
            if entry is not None:
                # The server will not answer any more, and a POST must end with something.
                self._fail(entry, rpc.CANCELLED, "Request cancelled")
        await self._drain()

    def stand(self, outlet: Outlet) -> None:
        """A GET stream has opened: it takes what belongs to no request, and what has waited for it."""
        self._standing.append(outlet)
        while self._backlog:
            outlet.put(self._backlog.popleft())
        if not self.alive:
            outlet.end()

    def leave(self, outlet: Outlet) -> None:
        """A GET stream has closed."""
        self._standing.remove(outlet)

    def _entry(self, message: Message, outlet: Outlet) -> UnderWay:
        return UnderWay(message, outlet, cast("Ident", message.ident), rpc.scalar(rpc.dig(message.members, *TOKEN)))

    def _line(self, entry: UnderWay) -> bytes:
        return rpc.render(entry.message.members)

    def _restored(self, entry: UnderWay, members: Mapping[str, Raw]) -> Mapping[str, Raw]:  # noqa: ARG002 - see Channel
        return members

    def _route(self, message: Message) -> None:
        """To the newest stream: of a request under way for what may belong to one, else of GET; else it waits.

        On stdio a message does not say which request it belongs to (progress does), and one client has them all.
        """
        asking = [entry.outlet for entry in self._under_way.values() if entry.outlet.streams]
        standing = [outlet for outlet in self._standing if outlet.streams]
        first, second = (standing, asking) if message.method in _UNRELATED else (asking, standing)
        item = Item(rpc.render(message.members))
        if takers := first or second:
            takers[-1].put(item)
        else:
            self._backlog.append(item)

    def _ended(self, reason: str) -> None:
        super()._ended(reason)
        for outlet in self._standing:
            outlet.end()
