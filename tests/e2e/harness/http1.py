"""A second, independent reading of HTTP/1.1: strict, slow, and sharing no code with the gateway."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from .net import Peer

Fields = tuple[tuple[bytes, bytes], ...]
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")


class Malformed(Exception):
    """What came is not HTTP/1.1 as RFC 9112 has it."""


@dataclass
class Message:
    """A request or response as read: its first line, fields in order, body as a whole and chunk by chunk."""

    line: bytes
    fields: Fields
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: Fields = ()
    chunked: bool = False
    interim: list[Message] = field(default_factory=list)

    @property
    def method(self) -> bytes:
        return self.line.split(b" ")[0]

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])

    def all(self, name: str) -> list[bytes]:
        wanted = name.lower().encode()
        return [value for key, value in self.fields if key.lower() == wanted]

    def get(self, name: str) -> bytes | None:
        values = self.all(name)
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)


def read_head(peer: Peer) -> Message:
    """First line and fields, up to and with the empty line."""
    head = peer.read_until(b"\r\n\r\n")[:-4]
    line, *rest = head.split(b"\r\n")
    if b"\n" in head.replace(b"\r\n", b"") or b"\r" in head.replace(b"\r\n", b""):
        raise Malformed(f"bare CR or LF in {head!r}")
    return Message(line, _fields(rest))


def _fields(lines: list[bytes]) -> Fields:
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.match(name):
            raise Malformed(f"not a field line: {line!r}")
        fields.append((name, value.strip(b" \t")))
    return tuple(fields)


def read_chunk(peer: Peer) -> bytes:
    """One chunk's data; empty at the last chunk, whose trailers are still unread."""
    size = peer.read_until(b"\r\n")[:-2].partition(b";")[0]
    if not re.fullmatch(rb"[0-9a-fA-F]+", size):
        raise Malformed(f"not a chunk size: {size!r}")
    count = int(size, 16)
    if not count:
        return b""
    data = peer.read_exactly(count)
    if peer.read_exactly(2) != b"\r\n":
        raise Malformed("chunk data not followed by CRLF")
    return data


def read_trailers(peer: Peer) -> Fields:
    lines = []
    while line := peer.read_until(b"\r\n")[:-2]:
        lines.append(line)
    return _fields(lines)


def read_body(peer: Peer, message: Message, *, until_close: bool) -> Message:
    """Fill in the body by the message's framing; ``until_close``: what no framing means (for responses)."""
    codings = message.all("transfer-encoding")
    lengths = message.all("content-length")
    if codings and lengths:
        raise Malformed("Content-Length beside Transfer-Encoding")
    if codings:
        if [coding.lower() for coding in codings] != [b"chunked"]:
            raise Malformed(f"transfer codings {codings!r}")
        message.chunked = True
        while chunk := read_chunk(peer):
            message.chunks.append(chunk)
        message.trailers = read_trailers(peer)
        message.body = b"".join(message.chunks)
    elif lengths:
        if len(lengths) != 1 or not lengths[0].isdigit():
            raise Malformed(f"lengths {lengths!r}")
        message.body = peer.read_exactly(int(lengths[0]))
    elif until_close:
        message.body = peer.read_to_end()
    return message


def read_request(peer: Peer) -> Message:
    return read_body(peer, read_head(peer), until_close=False)


def read_response(peer: Peer, method: str = "GET") -> Message:
    """A whole response with the 1xx that came before it in ``interim``."""
    interim = []
    while (message := read_head(peer)).status < 200 and message.status != 101:
        interim.append(message)
    message.interim = interim
    if method == "HEAD" or message.status in (101, 204, 304):
        return message
    return read_body(peer, message, until_close=True)


def request(
    method: str, target: str, fields: list[tuple[str, str]] | None = None, body: bytes = b"", host: str = "gateway.test"
) -> bytes:
    """A well-formed HTTP/1.1 request; Content-Length is added where there is a body and no framing field."""
    fields = list(fields or [])
    names = {name.lower() for name, _ in fields}
    if "host" not in names:
        fields.insert(0, ("Host", host))
    if body and not names & {"content-length", "transfer-encoding"}:
        fields.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunked(*chunks: bytes, trailers: bytes = b"") -> bytes:
    """The chunked coding of these chunks, with the last chunk and ``trailers`` (whole lines)."""
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return coded + b"0\r\n" + trailers + b"\r\n"


def response(status: str, fields: list[tuple[str, str]] | None = None, body: bytes = b"") -> bytes:
    """A response with Content-Length, unless its fields have a framing of their own."""
    fields = list(fields or [])
    if not {name.lower() for name, _ in fields} & {"content-length", "transfer-encoding"}:
        fields.append(("Content-Length", str(len(body))))
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
