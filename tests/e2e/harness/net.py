"""Blocking sockets that say plainly what came over them: the tests' own client and server end."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 10.0
"""Seconds until a read counts as "nothing came": only a failing test waits so long."""


class Ended(Exception):
    """The other side closed or reset before the bytes asked for had come. ``partial`` is what did come."""

    def __init__(self, partial: bytes | bytearray) -> None:
        super().__init__(f"connection ended after {bytes(partial[:200])!r}")
        self.partial = bytes(partial)


class Peer:
    """One TCP connection with a read buffer. ``raw`` keeps every byte received."""

    def __init__(self, sock: socket.socket, timeout: float = PATIENCE) -> None:
        self.sock = sock
        self.sock.settimeout(timeout)
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.raw = bytearray()
        self.keep_raw = True

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_bytewise(self, data: bytes) -> None:
        """Each byte in a segment of its own."""
        for index in range(len(data)):
            self.sock.sendall(data[index : index + 1])

    def fill(self) -> bool:
        """Read once into the buffer; False at the end of the stream (a reset counts as one)."""
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return False
        self.buffer += data
        if self.keep_raw:
            self.raw += data
        return bool(data)

    def wait_for_bytes(self) -> bool:
        """Block until there is something to read; False at the end of the stream."""
        return bool(self.buffer) or self.fill()

    def read_exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self.fill():
                raise Ended(self.buffer)
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def read_until(self, end: bytes) -> bytes:
        start = 0
        while (found := self.buffer.find(end, start)) < 0:
            start = max(0, len(self.buffer) - len(end))
            if not self.fill():
                raise Ended(self.buffer)
        return self.read_exactly(found + len(end))

    def read_to_end(self) -> bytes:
        while self.fill():
            pass
        return self.read_exactly(len(self.buffer))

    def at_end(self) -> bool:
        """Whether the other side closed and left nothing unread. Waits for it."""
        return not self.buffer and not self.fill()

    def silent(self, seconds: float) -> bool:
        """Whether nothing (no byte, no end) comes for so long."""
        before = self.sock.gettimeout()
        self.sock.settimeout(seconds)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return not self.buffer
        else:
            return False
        finally:
            self.sock.settimeout(before)

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def connect(port: int, timeout: float = PATIENCE, receive_buffer: int = 0) -> Peer:
    """A connection to a loopback port; ``receive_buffer`` makes the kernel's buffer small (slow readers)."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(timeout)
    sock.connect(("127.0.0.1", port))
    return Peer(sock, timeout)


def listen(port: int = 0, backlog: int = 128) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(backlog)
    return sock


def free_port() -> int:
    """A loopback port on which nobody listens now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def eventually(look: Callable[[], T], seconds: float = PATIENCE, what: str = "") -> T:
    """The first true value of ``look``, asked every 10 ms; fails with the last value after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what or look} (last: {value!r})")
        time.sleep(0.01)
