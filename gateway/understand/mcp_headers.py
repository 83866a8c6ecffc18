"""What an MCP request says in its header must be what it says in its body.

Intermediaries may route by ``Mcp-Method`` and ``Mcp-Name`` while the server acts on the body (MCP 2026-07-28,
Streamable HTTP). Servers of older revisions check nothing, so it is checked here for all of them. Whether a server must
have the fields at all is the server's matter.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as BadBase64

from gateway.errors import Refused
from gateway.model import Reason, Request
from gateway.understand.jsonrpc import Message

VERSION, SESSION, METHOD, NAME = b"mcp-protocol-version", b"mcp-session-id", b"mcp-method", b"mcp-name"
PARAM = b"mcp-param-"
"""How the names of fields begin that repeat arguments (``x-mcp-header`` of a tool's inputSchema, SEP-2243)."""
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
"""The key of ``_meta`` that names the revision, since 2026-07-28."""

_NAMED_BY = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""The member of params that ``Mcp-Name`` repeats, by method."""
_SENTINEL = re.compile(r"=\?base64\?(.*)\?=", re.DOTALL)


def version_of(request: Request, message: Message | None) -> str:
    """The revision that a request names, in its header or else in ``_meta``; empty where it names none."""
    header = request.lookup.get(VERSION)
    if header is not None:
        return header.decode("latin-1")
    told = _version_in(message) if message is not None else None
    return told if isinstance(told, str) else ""


def agree(request: Request, message: Message) -> None:
    """Check the request's header against the one message of its body.

    Raises:
        Refused: 400, HEADER_MISMATCH: they differ, or a field stands twice.
    """
    lookup = request.lookup
    if VERSION in lookup:
        said = _single(request, VERSION)
        told = _version_in(message)
        if told is not None and told != said:
            raise _mismatch("MCP-Protocol-Version", said, f"_meta[{VERSION_KEY!r}]")
    if METHOD in lookup:
        said = _single(request, METHOD)
        if said != message.method:
            raise _mismatch("Mcp-Method", said, "method")
    if NAME in lookup and message.method in _NAMED_BY:
        key = _NAMED_BY[message.method]
        said = _single(request, NAME)
        if _decoded(said) != message.params.get(key):
            raise _mismatch("Mcp-Name", said, f"params.{key}")
    if SESSION in lookup:
        _single(request, SESSION)


def agree_batch(request: Request) -> None:
    """Check the header of a batch, which no single method or name describes.

    Raises:
        Refused: 400, HEADER_MISMATCH: it names one, or a field stands twice.
    """
    for field, title in ((METHOD, "Mcp-Method"), (NAME, "Mcp-Name")):
        if field in request.lookup:
            raise _mismatch(title, request.header(field), "batch")
    _single(request, VERSION)
    _single(request, SESSION)


def _version_in(message: Message) -> object:
    meta = message.params.get("_meta")
    return meta.get(VERSION_KEY) if type(meta) is dict else None


def _single(request: Request, field: bytes) -> str:
    if request.repeats(field):
        raise Refused(
            Reason.HEADER_MISMATCH,
            400,
            f"the header field {field.decode()} is given more than once: servers choose",
            "send it once",
        )
    return request.header(field)


def _decoded(value: str) -> str | None:
    """The value of a field that may be wrapped as ``=?base64?...?=``; None where the wrapping is broken.

    Base64 that has another spelling than the one encoders write is broken too.
    """
    wrapped = _SENTINEL.fullmatch(value) if value[:1] == "=" else None
    if wrapped is None:
        return value
    try:
        raw = b64decode(wrapped[1], validate=True)
        text = raw.decode()
    except (BadBase64, ValueError):
        return None
    return text if b64encode(raw).decode() == wrapped[1] else None


def _mismatch(title: str, said: str, what: str) -> Refused:
    return Refused(
        Reason.HEADER_MISMATCH,
        400,
        f"the header field {title} ({said[:64]!r}) is not what the body says in {what}",
        "send the same in both, or leave the field out",
    )
