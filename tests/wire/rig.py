"""The wire without a network: an agent's and tools' transports made of memory, everything at once."""

from __future__ import annotations

import re
import socket
from collections import deque
from typing import Any

import h11

from gateway.model.egress import Egress
from gateway.wire.listener import Limits, Listener
from gateway.wire.outbox import Outbox
from gateway.wire.server import Connection
from gateway.wire.upstream import UpstreamConnection
from tests.builders import slot, tool
from tests.drive import Drive, Quota

BANK = tool(
    "bank",
    ("http", "127.0.0.1", 7000),
    body_limit=100_000,
    upgrades=("websocket",),
    connect=True,
    egress=Egress(tunnels="any"),
)


_QUIET = socket.socketpair()
"""A real socket with nothing to read: what the pool looks at before it uses a connection."""


class Transport:
    """One end of a connection: remembers what was written to it and what was asked of it."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.reading = True
        self.closing = self.aborted = self.eof = False

    def write(self, data: bytes) -> None:
        assert not self.eof, "written after the end"
        if not self.closing:
            self.out += data

    def writelines(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    def write_eof(self) -> None:
        self.eof = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("127.0.0.1", 50000), "socket": _QUIET[0]}.get(name)

    def taken(self) -> bytes:
        """What was written since this was asked last."""
        data = bytes(self.out)
        self.out.clear()
        return data


class Side:
    """A protocol of ours and the transport it has; the test plays the other end."""

    def __init__(self, protocol: Any, sides: list[Side]) -> None:
        self.protocol, self.transport, self.over = protocol, Transport(), False
        self._inbox: deque[bytes] = deque()
        self._sides = sides
        sides.append(self)
        protocol.connection_made(self.transport)

    def says(self, *pieces: bytes) -> None:
        """These bytes arrive, one read each. Where we are not reading they wait until we do."""
        self._inbox.extend(pieces)
        while any(side.read_one() for side in self._sides):
            pass

    def read_one(self) -> bool:
        """Deliver one read, if there is one and we are listening."""
        if not self._inbox or not self.transport.reading or self.transport.closing:
            return False
        self.protocol.data_received(self._inbox.popleft())
        return True

    def ends(self) -> None:
        """The other end will send no more."""
        if not self.protocol.eof_received():
            self.transport.close()

    def goes(self, error: Exception | None = None) -> None:
        """The connection is gone; told once, as an event loop does."""
        if not self.over:
            self.over = True
            self.transport.closing = True
            self.protocol.connection_lost(error)

    def heard(self) -> bytes:
        """What we wrote to the other end since this was asked last."""
        return self.transport.taken()


class Rig:
    """An agent's connection, and ``tools`` idle connections to its tool in the pool."""

    def __init__(self, *, drive: Drive | None = None, limits: Limits | None = None, tools: int = 1) -> None:
        self.drive = drive or Drive(to=BANK, quotas=(Quota(),))
        self.listener = Listener(self.drive.pipeline, limits or Limits(), Outbox(lambda flush: flush()))
        self.pool = self.listener.pools.of(self.drive.to)
        self._sides: list[Side] = []
        self.agent = Side(Connection(self.listener), self._sides)
        self.tools = [self.idle() for _ in range(tools)]

    def idle(self) -> Side:
        """One more idle connection to the tool."""
        side = Side(UpstreamConnection(self.pool), self._sides)
        self.pool.release(side.protocol)
        return side

    @property
    def tool(self) -> Side:
        """The connection on which the tool is being called, or else was or will be."""
        busy = [side for side in self.tools if side.protocol.exchange is not None]
        return busy[0] if busy else self.tools[-1]

    @property
    def traces(self) -> list[Any]:
        return self.drive.world.traces


def answers(data: bytes, methods: list[str]) -> list[tuple[int, list[tuple[bytes, bytes]], bytes]]:
    """What an agent reads, by an independent parser (h11): status, fields, body of each final answer.

    ``methods`` are those of the requests that were asked.
    """
    read = []
    for method in methods:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("Host", "x"), ("Connection", "keep-alive")]))
        client.send(h11.EndOfMessage())
        client.receive_data(data)
        status, fields, body = 0, [], b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status, fields = event.status_code, event.headers.raw_items()
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                assert isinstance(event, h11.InformationalResponse), event
        read.append((status, [field for field in fields if field[0] != b"Server-Timing"], body))
        data = client.trailing_data[0]
    assert data == b"", "more was sent than was asked for"
    return read


def requests(data: bytes) -> list[tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]]:
    """What a tool reads, by an independent parser (h11): method, target, fields, body of each request."""
    read = []
    while data:
        server = h11.Connection(h11.SERVER)
        server.receive_data(data)
        request = server.next_event()
        assert isinstance(request, h11.Request), request
        body = b""
        while isinstance(event := server.next_event(), h11.Data):
            body += bytes(event.data)
        assert isinstance(event, h11.EndOfMessage), event
        read.append((request.method, request.target, request.headers.raw_items(), body))
        data = server.trailing_data[0]
    return read


def untimed(data: bytes) -> bytes:
    """An answer without the one field that differs from run to run."""
    return re.sub(rb"Server-Timing: [^\r]*\r\n", b"", data)


def status_of(data: bytes) -> int:
    """The status at the start of what an agent read; 0 for nothing."""
    return int(data.split(b" ", 2)[1]) if data else 0


GET = b"GET /bank/a HTTP/1.1\r\nHost: gate\r\n\r\n"
POST = b"POST /bank/t HTTP/1.1\r\nHost: gate\r\nContent-Length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def rig_of(**settings) -> Rig:
    """A rig whose calls hold a place, so that settling shows."""
    settings.setdefault("to", BANK)
    tools = settings.pop("tools", 1)
    limits = settings.pop("limits", None)
    return Rig(drive=Drive(quotas=(Quota(slot()),), **settings), tools=tools, limits=limits)


def settled(called: Rig):
    """The outcome of the one call, which was settled and recorded once."""
    (trace,) = called.traces
    ((_, outcome),) = called.drive.world.settled
    assert outcome == trace.outcome
    return outcome
