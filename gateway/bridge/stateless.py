"""Requests of revisions without sessions (2026-07-28 on): one child for all clients.

Ids, progress tokens and subscription ids are the bridge's own numbers on the child's side, since those of two clients
may be the same. A message of the child that cannot be given to one client with certainty is given to none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import cast

import msgspec
import orjson
from msgspec import Raw
from multidict import CIMultiDictProxy

from gateway import __version__
from gateway.bridge import message as rpc
from gateway.bridge.channel import TOKEN, Channel, UnderWay
from gateway.bridge.child import Child
from gateway.bridge.envelope import CAPABILITIES_KEY, HANDSHAKE_VERSIONS, MODERN_VERSION, VERSION_KEY
from gateway.bridge.message import Message, RpcError
from gateway.bridge.mirrors import Mirrors
from gateway.bridge.outlet import Item, Outlet

log = logging.getLogger("toolgate.bridge")

_STRINGS = msgspec.json.Decoder(list[str])
_SUBSCRIPTION = ("_meta", "io.modelcontextprotocol/subscriptionId")
_LOG_LEVEL = ("params", "_meta", "io.modelcontextprotocol/logLevel")
_START_PATIENCE = 60.0
"""Seconds for a new child to answer ``server/discover``: a package runner may download it first."""


_LIST_PATIENCE = 10.0
"""Seconds for an answer to ``tools/list``."""
_MOST_PAGES = 100


class Stateless(Channel):
    """The child that all clients share."""

    def __init__(self, child: Child) -> None:
        super().__init__(child)
        self._numbers = count(1)
        self._mirrors = Mirrors()

    def abandon(self, outlet: Outlet) -> None:
        """Nobody waits for these answers any more: closing the stream is how a client cancels (2026-07-28)."""
        for entry in [entry for entry in self._under_way.values() if entry.outlet is outlet]:
            self._settle(entry)
            params = {"requestId": entry.key, "reason": "the client closed the stream"}
            self._child.send(orjson.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))

    async def check_mirrors(self, call: Message, headers: CIMultiDictProxy[str]) -> None:
        """Compare a call's ``Mcp-Param-*`` with its arguments, after asking the server what its tool is like.

        It is asked for a tool that no list has shown yet, as the call's client.

        Raises:
            RpcError: -32020, they disagree.
        """
        cursor: Raw | None = None
        for _ in range(_MOST_PAGES):
            if self._mirrors.knows(call, headers):
                break
            try:
                item = await self.ask_alone(_listing(call, cursor), _LIST_PATIENCE)
            except TimeoutError:
                log.warning("the server does not answer tools/list; the call's Mcp-Param headers are not compared")
                return
            cursor = rpc.dig(rpc.parse(item.data).members, "result", "nextCursor")
            if cursor is None:
                break
        self._mirrors.check(call, headers)

    def _answered(self, message: Message) -> None:
        entry = None if message.ident is None else self._under_way.get(message.ident)
        if entry is not None and entry.message.method == "tools/list":
            self._mirrors.learn(message.members)
        super()._answered(message)

    def _entry(self, message: Message, outlet: Outlet) -> UnderWay:
        number = next(self._numbers)
        return UnderWay(message, outlet, number, None if rpc.dig(message.members, *TOKEN) is None else number)

    def _line(self, entry: UnderWay) -> bytes:
        key = orjson.dumps(entry.key)
        members = {**entry.message.members, "id": Raw(key)}
        return rpc.render(rpc.planted(members, TOKEN, key) if entry.token is not None else members)

    def _restored(self, entry: UnderWay, members: Mapping[str, Raw]) -> Mapping[str, Raw]:
        if "method" in members:
            token = cast("Raw", rpc.dig(entry.message.members, *TOKEN))
            return rpc.planted(members, ("params", "progressToken"), bytes(token))
        if entry.message.method == "subscriptions/listen" and rpc.dig(members, "result", *_SUBSCRIPTION) is not None:
            return rpc.planted(members, ("result", *_SUBSCRIPTION), entry.message.raw_ident)
        return members

    def _route(self, message: Message) -> None:
        if message.ident is not None:
            self._child.send(
                rpc.error(message.raw_ident, rpc.METHOD_NOT_FOUND, "a server cannot ask its clients in this revision")
            )
            return
        subscription = rpc.scalar(rpc.dig(message.members, "params", *_SUBSCRIPTION))
        if subscription is not None:
            entry = self._under_way.get(subscription)
            if entry is not None:
                members = rpc.planted(message.members, ("params", *_SUBSCRIPTION), entry.message.raw_ident)
                entry.outlet.put(Item(rpc.render(members)))
            return
        takers = [entry for entry in self._under_way.values() if _takes(entry, message)]
        if len(takers) == 1:
            takers[0].outlet.put(Item(rpc.render(message.members)))
        else:
            log.debug("%s of the server belongs to no one request for certain; dropped", message.method)


def _listing(call: Message, cursor: Raw | None) -> Message:
    """The request for a page of tools, in the name of a call."""
    meta = {**rpc.opened(rpc.dig(call.members, "params", "_meta"))}
    meta.pop("progressToken", None)
    params = {"_meta": Raw(rpc.render(meta))} | ({} if cursor is None else {"cursor": cursor})
    head = {"jsonrpc": Raw(b'"2.0"'), "id": Raw(b'"tools"'), "method": Raw(b'"tools/list"')}
    return rpc.parse(rpc.render({**head, "params": Raw(rpc.render(params))}))


def _takes(entry: UnderWay, message: Message) -> bool:
    """Whether a message without an address may belong to this request. Logs are for those that asked for logs."""
    if message.method != "notifications/message" or not entry.outlet.streams:
        return False
    return rpc.dig(entry.message.members, *_LOG_LEVEL) is not None


class Shared:
    """The one stateless child, started when first needed, again after its end, and not at all for an older server."""

    def __init__(self, start: Callable[[], Awaitable[Child]]) -> None:
        self._start = start
        self._opening: asyncio.Task[Stateless | None] | None = None

    async def channel(self) -> Stateless | None:
        """The child to ask, or None where the server knows only the handshake.

        Raises:
            RpcError: it cannot be started, or does not say which revisions it speaks.
        """
        if self._opening is None or _is_over(self._opening):
            self._opening = asyncio.create_task(self._open())
        # The start goes on if the client that caused it leaves: a package runner may take longer than a client waits.
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        """End the child."""
        if self._opening is None:
            return
        self._opening.cancel()
        await asyncio.wait([self._opening])
        if not _is_over(self._opening) and (channel := self._opening.result()) is not None:
            await channel.close()

    async def _open(self) -> Stateless | None:
        channel = Stateless(await self._start())
        try:
            is_modern = await _speaks_modern(channel)
        except BaseException:
            await channel.close()
            raise
        if is_modern:
            return channel
        await channel.close()
        return None


def _is_over(opening: asyncio.Task[Stateless | None]) -> bool:
    """Whether a start has failed, or what it started has ended."""
    if not opening.done():
        return False
    if opening.cancelled() or opening.exception() is not None:
        return True
    channel = opening.result()
    return channel is not None and not channel.alive


async def _speaks_modern(channel: Stateless) -> bool:
    """Ask with the first request, which a server of both eras takes as the choice of the new one."""
    meta = {
        VERSION_KEY: MODERN_VERSION,
        CAPABILITIES_KEY: {},
        "io.modelcontextprotocol/clientInfo": {"name": "toolgate", "version": __version__},
    }
    discover = {"jsonrpc": "2.0", "id": "discover", "method": "server/discover", "params": {"_meta": meta}}
    try:
        item = await channel.ask_alone(rpc.parse(orjson.dumps(discover)), _START_PATIENCE)
    except TimeoutError:
        text = f"the server did not answer server/discover in {_START_PATIENCE:.0f} s"
        raise RpcError(rpc.INTERNAL_ERROR, text, 504) from None
    if not channel.alive:
        raise RpcError(rpc.INTERNAL_ERROR, "the server ended when it was asked for its revisions", 502)
    versions = rpc.dig(rpc.parse(item.data).members, "result", "supportedVersions")
    try:
        return versions is not None and not set(_STRINGS.decode(versions)) <= HANDSHAKE_VERSIONS
    except msgspec.MsgspecError:
        return False
