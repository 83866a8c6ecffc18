"""The first message of TLS, as far as it tells for which host it is (RFC 8446, 4.1.2 and 5.1; RFC 6066, 3)."""

from __future__ import annotations

from typing import NamedTuple

MOST_BYTES = 32 * 1024
"""Of records that hold a ClientHello. With keys against quantum computers it has two thousand."""
MOST_RECORDS = 16
_LONGEST_RECORD = 1 << 14
_HANDSHAKE, _CLIENT_HELLO, _HOST_NAME = 22, 1, 0
_SERVER_NAME = 0
_ENCRYPTED = frozenset({0xFE0D, 0xFFCE})
"""Encrypted ClientHello (RFC 9849), and the names' encryption that was drafted before it."""


class ClientHello(NamedTuple):
    """``server_name`` is in lower case, empty where there is none. ``encrypted``: another one may be hidden in it."""

    server_name: str
    encrypted: bool


def client_hello(data: bytes) -> ClientHello | None:
    """What the first bytes of a connection say; None where they are too few yet.

    Raises:
        ValueError: this is no TLS, or not written as the RFCs have it, so that two readers might differ.
    """
    message = _message(data)
    if message is None:
        return None
    name, encrypted, seen = "", False, set()
    for kind, content in _extensions(message):
        if kind in seen:
            raise ValueError("an extension of the ClientHello is there twice")
        seen.add(kind)
        encrypted = encrypted or kind in _ENCRYPTED
        if kind == _SERVER_NAME:
            name = _host_name(content)
    return ClientHello(name, encrypted)


def _message(data: bytes) -> bytes | None:
    """The body of the ClientHello, gathered from records; None where it is not whole yet."""
    gathered, at, records = b"", 0, 0
    while at < len(data):
        if data[at] != _HANDSHAKE or data[at + 1 : at + 2] not in (b"", b"\x03"):
            raise ValueError("this is not TLS")
        if records == MOST_RECORDS or at > MOST_BYTES:
            raise ValueError("the ClientHello is too long, or in too many pieces")
        if len(data) < at + 5:
            break
        size = int.from_bytes(data[at + 3 : at + 5])
        if not 0 < size <= _LONGEST_RECORD:
            raise ValueError("a record of TLS of impossible size")
        gathered += data[at + 5 : at + 5 + size]
        at, records = at + 5 + size, records + 1
        if gathered and gathered[0] != _CLIENT_HELLO:
            raise ValueError("TLS that does not begin with a ClientHello")
        if len(gathered) >= 4:
            whole = 4 + int.from_bytes(gathered[1:4])
            if whole > MOST_BYTES:
                raise ValueError("the ClientHello is too long, or in too many pieces")
            if len(gathered) >= whole:
                return gathered[4:whole]
    return None


def _extensions(message: bytes) -> list[tuple[int, bytes]]:
    reader = _Reader(message)
    reader.take(2 + 32)  # version, random
    reader.vector(1)  # session
    reader.vector(2)  # cipher suites
    reader.vector(1)  # compression
    if reader.over:
        return []
    found: list[tuple[int, bytes]] = []
    block = _Reader(reader.vector(2))
    if not reader.over:
        raise ValueError("something stands behind the ClientHello's extensions")
    while not block.over:
        found.append((int.from_bytes(block.take(2)), block.vector(2)))
    return found


def _host_name(content: bytes) -> str:
    outer = _Reader(content)
    names = _Reader(outer.vector(2))
    kind, name = names.take(1)[0], names.vector(2)
    if kind != _HOST_NAME or not names.over or not outer.over or not name or not name.isascii():
        raise ValueError("the ClientHello does not name one host")
    return name.decode("ascii").lower()


class _Reader:
    """Takes bytes from the front."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def over(self) -> bool:
        return self._at == len(self._data)

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise ValueError("the ClientHello ends early")
        self._at += size
        return taken

    def vector(self, width: int) -> bytes:
        """What is preceded by its length in so many bytes."""
        return self.take(int.from_bytes(self.take(width)))


__all__ = ["ClientHello", "client_hello"]
