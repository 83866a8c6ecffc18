"""The connections to tools, in LIFO pools: one for each origin and way of verifying it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from time import monotonic

from gateway.config.authorities import believing
from gateway.errors import UpstreamError
from gateway.model import Origin, Reason, Tool
from gateway.model.egress import Egress
from gateway.wire.addresses import Addresses
from gateway.wire.outbox import Outbox
from gateway.wire.racing import first_of
from gateway.wire.upstream import UpstreamConnection

Door = Callable[[], Awaitable[socket.socket]]
"""Leads to a tool that this process is itself: gives one end of a pair of sockets whose other end is served."""


class Pool:
    """The connections to one origin. Idle ones are used last-in first-out, so that the pool shrinks under low load."""

    def __init__(
        self,
        tool: Tool,
        *,
        max_idle: int = 256,
        idle_timeout: float = 30.0,
        max_head: int = 64 * 1024,
        outbox: Outbox | None = None,
        door: Door | None = None,
    ) -> None:
        self.outbox = outbox or Outbox()
        self._door = door
        self.origin = tool.origin
        self.ssl = _tls(tool) if tool.origin.scheme == "https" else None
        self._addresses = Addresses(tool.origin, tool.egress)
        self.server_name = tool.server_name or tool.origin.host
        self.max_idle, self.idle_timeout, self.max_head = max_idle, idle_timeout, max_head
        self.idle: list[UpstreamConnection] = []
        self.open = 0

    def pop(self) -> UpstreamConnection | None:
        """An idle connection that is fit for use, or None."""
        idle = self.idle
        now = monotonic()
        while idle:
            connection = idle.pop()
            if connection.usable(now):
                connection.reused = True
                return connection
            connection.transport.close()
        return None

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection whose exchange has ended cleanly."""
        if connection.lost or connection.transport.is_closing():
            return
        if len(self.idle) >= self.max_idle:
            connection.transport.close()
            return
        connection.idle_since = monotonic()
        self.idle.append(connection)

    async def connect(self, within: float, *, raw: bool = False) -> UpstreamConnection:
        """A new connection, to an address that has been looked at: the name is not resolved again (DNS rebinding).
        ``raw``: for a tunnel, so without TLS of ours, and not reading yet.

        Raises:
            UpstreamError: 502 unreachable or TLS not verified, 403 where its address may not be connected to, 504 not
                ``within`` so many seconds.
        """
        where = f"{self.origin.host}:{self.origin.port}"
        try:
            async with asyncio.timeout(within):
                if self._door is not None:
                    return await self._enter(self._door)
                addresses = await self._addresses.allowed()
                if len(addresses) == 1:
                    return await self._open(addresses[0], raw=raw)
                attempts = [partial(self._open, address, raw=raw) for address in addresses]
                return await first_of(attempts, lambda late: late.transport.abort())
        except TimeoutError:
            raise UpstreamError(
                Reason.UPSTREAM_TIMEOUT, 504, f"could not connect to {where} within {within:g} s"
            ) from None
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise UpstreamError(Reason.UPSTREAM_UNREACHABLE, 502, f"TLS with {where} failed: {error}") from None
        except OSError as error:
            raise UpstreamError(
                Reason.UPSTREAM_UNREACHABLE, 502, f"could not connect to {where}: {error.strerror or error}"
            ) from None

    async def _open(self, address: str, *, raw: bool) -> UpstreamConnection:
        context = None if raw else self.ssl
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: UpstreamConnection(self, raw=raw),
            address,
            self.origin.port,
            ssl=context,
            server_hostname=self.server_name if context else None,
        )
        return connection

    async def _enter(self, door: Door) -> UpstreamConnection:
        _, connection = await asyncio.get_running_loop().create_unix_connection(
            lambda: UpstreamConnection(self), sock=await door()
        )
        return connection

    def sweep(self, now: float) -> None:
        """Close what has been idle too long: the oldest stand first."""
        stale = 0
        for connection in self.idle:
            if now - connection.idle_since < self.idle_timeout and not connection.lost:
                break
            connection.transport.close()
            stale += 1
        del self.idle[:stale]

    def close(self) -> None:
        """Close all idle connections."""
        for connection in self.idle:
            connection.transport.close()
        self.idle.clear()


class Pools:
    """One pool for each origin and way of verifying it; they outlive reloads."""

    def __init__(self, max_head: int = 64 * 1024, outbox: Outbox | None = None) -> None:
        self.doors: dict[str, Door] = {}
        """By what is behind them: ``memory/http``."""
        self._outbox = outbox or Outbox()
        self._pools: dict[_Key, Pool] = {}
        self._max_head = max_head

    def of(self, tool: Tool) -> Pool:
        """The pool for a tool.

        Raises:
            ssl.SSLError: the tool's certificates are of no use.
        """
        key = _key(tool)
        pool = self._pools.get(key)
        if pool is None:
            door = self.doors[_behind(tool)] if tool.builtin else None
            pool = self._pools[key] = Pool(tool, max_head=self._max_head, outbox=self._outbox, door=door)
        return pool

    def keep(self, tools: Iterable[Tool]) -> None:
        """Only these tools are left: connections to others, or verified otherwise, are closed when they are idle."""
        wanted = {_key(tool) for tool in tools}
        for key in [key for key in self._pools if key not in wanted]:
            pool = self._pools.pop(key)
            pool.max_idle = 0
            pool.close()

    def sweep(self, now: float) -> None:
        """Close idle connections that have been kept long enough."""
        for pool in self._pools.values():
            pool.sweep(now)

    def open(self) -> int:
        """How many upstream connections there are."""
        return sum(pool.open for pool in self._pools.values())

    def close(self) -> None:
        """Close all idle connections of all pools."""
        for pool in self._pools.values():
            pool.close()


_Key = tuple[Origin, str | None, str | None, Egress, str]


def _key(tool: Tool) -> _Key:
    return tool.origin, tool.ca_pem, tool.server_name, tool.egress, _behind(tool)


def _behind(tool: Tool) -> str:
    return f"{tool.builtin}/{tool.protocol}" if tool.builtin else ""


def _tls(tool: Tool) -> ssl.SSLContext:
    context = believing(pem=tool.ca_pem)
    context.set_alpn_protocols(["http/1.1"])
    return context


__all__ = ["Door", "Pool", "Pools"]
