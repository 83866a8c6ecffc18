"""What llhttp lets pass and we do not (RFC 9112). Quiet: bytes in, complaint out."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HOST = re.compile(rb"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._~%-]+)(?::\d{0,5})?\Z")

METHODS = frozenset(
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND "
    b"UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK "
    b"UNLINK SOURCE QUERY".split()
)
"""The methods llhttp knows."""

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
LONGEST_METHOD = 32


def own_method(data: bytes) -> bytes | None:
    """The method at the start of a message where it is a token that llhttp does not know, else None.

    Only methods that differ from every known one are taken: ``get`` is not a method of ours but a mistake.
    """
    end = data.find(b" ", 0, LONGEST_METHOD + 1)
    if end <= 0:
        return None
    method = data[:end]
    if method in METHODS or method == b"PRI" or method.upper() in METHODS or not _TOKEN.match(method):
        return None
    return method


def is_part_of_a_method(data: bytes) -> bool:
    """Whether this is the beginning of a method and nothing more, so that only the next read can tell which."""
    return len(data) <= LONGEST_METHOD and _TOKEN.match(data) is not None


def starts_oddly(data: bytes) -> bool:
    """Whether a message has more than one space after its method, which llhttp skips (RFC 9112, 3: exactly one)."""
    end = data.find(b" ", 0, LONGEST_METHOD + 1)
    return end > 0 and data[end + 1 : end + 2] == b" "


NOT_IN_TRAILERS = frozenset(
    b"host content-length transfer-encoding content-encoding content-type content-range trailer connection te upgrade "
    b"expect authorization proxy-authorization cookie set-cookie cache-control forwarded via "
    b"x-toolgate-call x-toolgate-warning x-toolgate-budget".split()
)
"""Fields that mean something only in a head: framing, routing, credentials, how to read the body (RFC 9110, 6.5.1)."""


def trailer_complaint(trailers: Sequence[tuple[bytes, bytes]], most: int, size: int) -> str:
    """What is wrong with trailers, or an empty string. At most ``most`` fields of ``size`` bytes together."""
    if len(trailers) > most or sum([len(name) + len(value) + 4 for name, value in trailers]) > size:
        return "too many trailers, or too large ones"
    for name, _ in trailers:
        if name.lower() in NOT_IN_TRAILERS:
            return f"{name.decode('ascii')} is not allowed in trailers"
    return ""


def complaint(version: str, method: str, host: bytes | None, codings: bytes | None, *, repeated: bool) -> str:
    """What is wrong with a request head that llhttp accepted, or an empty string.

    ``codings`` is the Transfer-Encoding field, if any. ``repeated``: a field that may stand once (Host,
    Transfer-Encoding, Content-Length) stood more often.
    """
    if version not in ("1.1", "1.0"):
        return f"HTTP/{version} is not spoken here; send HTTP/1.1"
    if repeated:
        return "Host, Transfer-Encoding or Content-Length is given more than once"
    if host is None and version == "1.1":
        return "no Host field"
    if host is not None and not _HOST.match(host):
        return "the Host field is not a host"
    if codings is not None:
        if version == "1.0":
            return "Transfer-Encoding in an HTTP/1.0 request"
        if codings.strip().lower() != b"chunked":
            return "the only transfer coding accepted in requests is chunked"
        if method == "CONNECT":
            return "a body with CONNECT"
    return ""
