"""One child and the requests that are under way in it: who asked what, and where the answer goes."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec
from msgspec import Raw, Struct

from gateway.bridge import message as rpc
from gateway.bridge.child import Child, ChildGone
from gateway.bridge.message import Ident, Message, RpcError
from gateway.bridge.outlet import Item, Outlet

log = logging.getLogger("toolgate.bridge")

_MOST_UNDER_WAY = 1024
TOKEN = ("params", "_meta", "progressToken")


class _Said(Struct):
    code: int = rpc.INTERNAL_ERROR


_ERROR = msgspec.json.Decoder(_Said)


class UnderWay(Struct, eq=False):
    """A request that the child has not answered. ``key`` and ``token``: the child's names for it."""

    message: Message
    outlet: Outlet
    key: Ident
    token: Ident | None


class Channel(ABC):
    """What clients and one child say to each other. ``Session`` has one client, ``Stateless`` any number."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._under_way: dict[Ident, UnderWay] = {}
        self._tokens: dict[Ident, UnderWay] = {}
        self._gone = ""
        self.on_end: Callable[[], None] = lambda: None
        child.listen(self._hear, self._ended)

    @property
    def alive(self) -> bool:
        """Whether the child can be asked."""
        return self._child.alive

    async def ask(self, requests: Sequence[Message], outlet: Outlet) -> None:
        """Pass requests on; each puts one answer into ``outlet``, also if the child ends.

        Raises:
            RpcError: an id is in use, or too many requests are under way; none was passed on.
        """
        if len(self._under_way) + len(requests) > _MOST_UNDER_WAY:
            raise RpcError(rpc.INTERNAL_ERROR, f"{_MOST_UNDER_WAY} requests are under way; try later", 503)
        entries = [self._entry(message, outlet) for message in requests]
        lines = [self._line(entry) for entry in entries]
        keys = {entry.key for entry in entries}
        if len(keys) < len(entries) or not keys.isdisjoint(self._under_way):
            raise RpcError(rpc.INVALID_REQUEST, "a request with this id is under way; give every request its own id")
        for entry, line in zip(entries, lines, strict=True):
            self._under_way[entry.key] = entry
            if entry.token is not None:
                self._tokens[entry.token] = entry
            self._child.send(line)
        if not self._child.alive:
            self._fail_all(self._gone or "the server is ending")
        await self._drain()

    async def ask_alone(self, message: Message, patience: float | None) -> Item:
        """Ask and wait for the answer, ``patience`` seconds at most.

        Raises:
            RpcError: as ``ask``.
            TimeoutError: no answer came.
        """
        outlet = Outlet(streams=False)
        await self.ask([message], outlet)
        return cast("Item", await outlet.next(patience))  # None comes after ``end``, which nobody calls

    async def close(self) -> None:
        """End the child; what is under way is answered with errors."""
        self._gone = self._gone or "the bridge is closing this session"
        await self._child.close()

    @abstractmethod
    def _entry(self, message: Message, outlet: Outlet) -> UnderWay:
        """How the child is to know a request."""

    @abstractmethod
    def _line(self, entry: UnderWay) -> bytes:
        """The request as the child gets it."""

    @abstractmethod
    def _restored(self, entry: UnderWay, members: Mapping[str, Raw]) -> Mapping[str, Raw]:
        """An answer or a progress notification in the client's own names again."""

    @abstractmethod
    def _route(self, message: Message) -> None:
        """Deliver a request or a notification of the child that is no progress of something under way."""

    async def _drain(self) -> None:
        """Keep a client waiting while the child reads slowly. A child that has stopped reading is ended."""
        try:
            await self._child.drain()
        except ChildGone:
            await self._child.close()

    def _settle(self, entry: UnderWay) -> None:
        """Forget a request: it has been answered, or nobody waits."""
        del self._under_way[entry.key]
        if entry.token is not None and self._tokens.get(entry.token) is entry:
            del self._tokens[entry.token]

    def _fail(self, entry: UnderWay, code: int, text: str) -> None:
        self._settle(entry)
        entry.outlet.put(Item(rpc.error(entry.message.raw_ident, code, text), True, code))

    def _fail_all(self, reason: str) -> None:
        for entry in list(self._under_way.values()):
            self._fail(entry, rpc.INTERNAL_ERROR, f"no answer: {reason}")

    def _hear(self, line: bytes) -> None:
        try:
            self._deliver(rpc.parse(line))
        except RpcError as error:
            log.warning("the server wrote a line on stdout that is no message (%s): %r", error, line[:200])

    def _deliver(self, message: Message) -> None:
        if message.method is None:
            self._answered(message)
        elif message.method == "notifications/progress":
            token = rpc.scalar(rpc.dig(message.members, "params", "progressToken"))
            entry = None if token is None else self._tokens.get(token)
            if entry is None or not entry.outlet.streams:
                self._route(message)
            else:
                entry.outlet.put(Item(rpc.render(self._restored(entry, message.members))))
        else:
            self._route(message)

    def _answered(self, message: Message) -> None:
        entry = None if message.ident is None else self._under_way.get(message.ident)
        if entry is None:
            log.warning("the server answered a request that is not under way (id %r); dropped", message.ident)
            return
        self._settle(entry)
        members = self._restored(entry, {**message.members, "id": Raw(entry.message.raw_ident)})
        entry.outlet.put(Item(rpc.render(members), True, _code(message.members.get("error"))))

    def _ended(self, reason: str) -> None:
        self._gone = self._gone or reason
        if self._under_way:
            log.warning("%s with %d requests under way", self._gone, len(self._under_way))
        self._fail_all(self._gone)
        self.on_end()


def _code(error: Raw | None) -> int | None:
    if error is None:
        return None
    try:
        return _ERROR.decode(error).code
    except msgspec.MsgspecError:
        return rpc.INTERNAL_ERROR
