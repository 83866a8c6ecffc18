"""What a request of a revision without sessions must carry, in its body and in its headers (2026-07-28)."""

from __future__ import annotations

import base64
import binascii
import re

from multidict import CIMultiDictProxy

from gateway.bridge import message as rpc
from gateway.bridge.message import Ident, Message, RpcError

HANDSHAKE_VERSIONS = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"})
MODERN_VERSION = "2026-07-28"
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
VERSION, METHOD, NAME = "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_ENCODED = re.compile(r"=\?base64\?(.*)\?=")


def is_stateless(headers: CIMultiDictProxy[str]) -> bool:
    """Whether a request is of a revision without sessions: it names one that is not of those with a handshake."""
    return headers.get(VERSION) not in {None, *HANDSHAKE_VERSIONS}


def check(message: Message, headers: CIMultiDictProxy[str]) -> None:
    """Refuse a request whose headers and body disagree: what stands before the bridge may have judged the headers.

    For ``Mcp-Param-*`` see ``mirrors``.

    Raises:
        RpcError: -32602 where ``_meta`` lacks what it must have, -32020 where a header says otherwise.
    """
    for key in (VERSION_KEY, CAPABILITIES_KEY):
        if rpc.dig(message.members, "params", "_meta", key) is None:
            raise RpcError(rpc.INVALID_PARAMS, f"params._meta lacks {key}")
    version = rpc.scalar(rpc.dig(message.members, "params", "_meta", VERSION_KEY))
    said: dict[str, Ident | None] = {VERSION: version, METHOD: message.method}
    named = _NAMED.get(message.method or "")
    if named is not None and (raw := rpc.dig(message.members, "params", named)) is not None:
        said[NAME] = rpc.scalar(raw)
    for header, value in said.items():
        given = headers.getall(header, [])
        if len(given) != 1 or (decoded(given[0]) if header == NAME else given[0]) != value:
            what = "is missing" if not given else "is there more than once" if len(given) > 1 else "differs"
            raise RpcError(rpc.HEADER_MISMATCH, f"the header {header} must say what the body says; it {what}")


def unsupported(requested: str) -> RpcError:
    """The refusal that makes a client fall back to the handshake."""
    data = {"supported": sorted(HANDSHAKE_VERSIONS), "requested": requested}
    return RpcError(rpc.UNSUPPORTED_VERSION, "Unsupported protocol version", data=data)


def decoded(value: str) -> str | None:
    """A header's value without ``=?base64?...?=``, which it has where it is no plain ASCII; None if that is broken."""
    encoded = _ENCODED.fullmatch(value)
    if encoded is None:
        return value
    try:
        raw = base64.b64decode(encoded[1], validate=True)
        # Another spelling of the same bytes is what no encoder writes.
        return raw.decode() if base64.b64encode(raw).decode() == encoded[1] else None
    except (binascii.Error, UnicodeError):
        return None
