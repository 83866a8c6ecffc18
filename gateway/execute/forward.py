"""The request head that a tool gets: rebuilt from parsed fields, never the bytes that came in.

Hop-by-hop fields end here (RFC 9110, 7.6.1), the agent's credentials end here where the gateway holds one, and the
tool's own credential is put in at this last step. Everything else keeps its case, its order and its repeats.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gateway.execute.query import folded, with_members
from gateway.model import Call, Fields, Lent, Permit, Request, Tool
from gateway.model.hops import FORWARDED, HOP_BY_HOP, OURS, connection_options

BODY_IGNORED = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
"""Methods whose bodies some servers leave unread, and then take for the next request: a connection that carried such
a body is not used again, and says so."""

_OF_THE_BODY = frozenset({b"content-length", b"content-md5", b"digest", b"content-digest", b"repr-digest"})
"""Fields that speak of the very bytes of a body: wrong where the gateway changed it."""

_OF_A_PART = frozenset({b"accept-encoding", b"range", b"if-range"})
"""What asks for an answer in another form, or for a part of it: not where the gateway reads the answer."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")

VIA = b"1.1 toolgate"

_LONGEST_HOST = 256
"""Heads for longer hosts (no name is) are made each time, so that agents cannot fill the memory."""


_Sort = tuple[bytes, bool, bool, tuple[bytes, ...]]
"""Name of the field with the agent's credential, plain, another body, names of fields that the gateway writes."""


class Forwarder:
    """Writes request heads for one tool."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        self._host = tool.origin.authority.encode("latin-1")
        self._inject = b"".join(b"%s: %s\r\n" % field for field in tool.inject)
        if tool.masks_echo:  # what is coded cannot be looked through
            self._inject += b"Accept-Encoding: identity\r\n"
        # Host and Expect are written by us; the agent's word on forwarding is not believed.
        self._drop = HOP_BY_HOP | FORWARDED | OURS | tool.strip | {b"host", b"expect"}
        if tool.masks_echo:
            self._drop |= {b"accept-encoding"}
        # CGI and its heirs (WSGI, PHP) fold "_" to "-": X_Api_Key would stand beside the X-Api-Key that we put in.
        self._folds = bool(tool.strip)
        self._gone = frozenset([folded(name) for name in tool.strip_query])
        self._base = tool.base_path
        self._origin_text = f"{tool.origin.scheme}://{tool.origin.authority}".lower()
        self._tails: dict[tuple[str, str, bool], bytes] = {}
        self._sorts: dict[_Sort, frozenset[bytes]] = {}
        """The fields that are dropped, by what of a request decides on them but its Connection field."""

    def head(
        self,
        permit: Permit,
        *,
        chunked: bool,
        upgrade: bytes = b"",
        expect: bool = False,
        plain: bool = False,
        lent: Lent | None = None,
    ) -> bytes:
        """The head of the request to the tool, up to and including the empty line.

        ``chunked``: the body will be sent in chunks. ``upgrade``: the protocol the agent asks to switch to, or
        nothing. ``expect``: pass on ``Expect: 100-continue``. ``plain``: ask for the whole answer, without a content
        coding. ``lent``: a credential for this call, which takes the place of what the agent sent in its fields and
        members.
        """
        return self._head(permit.call, chunked, upgrade, expect, plain, lent)

    def errand(self, call: Call, lent: Lent | None) -> bytes:
        """The head of a GET of the gateway's own, for which there is no permit."""
        return self._head(call, False, b"", False, True, lent)

    def _head(self, call: Call, chunked: bool, upgrade: bytes, expect: bool, plain: bool, lent: Lent | None) -> bytes:
        request = call.request
        target = self.target(call, lent)
        parts = [f"{request.method} {target} HTTP/1.1\r\nHost: ".encode("latin-1"), self.host(call), b"\r\n"]
        parts += [b"%b: %b\r\n" % field for field in self.kept(call, lent, plain=plain)]
        if chunked:
            parts.append(b"Transfer-Encoding: chunked\r\n")
        if plain and not self.tool.masks_echo:
            parts.append(b"Accept-Encoding: identity\r\n")
        if call.body is not None:
            parts.append(b"Content-Length: %d\r\n" % len(call.body))
        if upgrade:
            parts.append(b"Connection: Upgrade\r\nUpgrade: %s\r\n" % upgrade)
        elif request.length and request.method in BODY_IGNORED:
            parts.append(b"Connection: close\r\n")
        elif b"te" in request.lookup and b"trailers" in request.lookup[b"te"].lower():
            parts.append(b"TE: trailers\r\nConnection: TE\r\n")
        if expect:
            parts.append(b"Expect: 100-continue\r\n")
        if call.onward:
            parts += [b"%b: %b\r\n" % field for field in call.onward if field[1] and field[0] not in self.tool.strip]
        if lent is not None:
            parts += [b"%b: %b\r\n" % field for field in lent.fields]
        parts.append(self._tail(request, call.host))
        return b"".join(parts)

    def target(self, call: Call, lent: Lent | None = None) -> str:
        """Path and query that the tool gets."""
        target = call.target
        if target == "*":
            return target
        target = self._base + target
        if target[:1] != "/":
            target = "/" + target
        members = lent.query if lent is not None else ()
        return with_members(target, self._gone, members) if self._gone or members else target

    def host(self, call: Call) -> bytes:
        """The Host field that the tool gets."""
        return call.host.encode("latin-1") if self.tool.preserve_host else self._host

    def kept(self, call: Call, lent: Lent | None = None, *, plain: bool = False) -> list[tuple[bytes, bytes]]:
        """The agent's fields that the tool gets."""
        drop = self._dropped(call, plain=plain)
        if lent is not None and lent.fields:
            drop = drop.union([name.lower() for name, _ in lent.fields])
        elif not self._folds:
            return [field for field in call.request.fields if field[0].lower() not in drop]
        return [field for field in call.request.fields if _folded(field[0]) not in drop]

    def _dropped(self, call: Call, *, plain: bool) -> frozenset[bytes]:
        """The fields of this request that the tool does not get, lower-cased."""
        named = call.request.lookup.get(b"connection")
        onward = tuple([name for name, _ in call.onward]) if call.onward else ()
        sort = (call.agent.credential, plain, call.body is not None, onward)
        drop = self._sorts.get(sort)
        if drop is None:
            drop = self._sorts[sort] = self._drop.union(*_besides(*sort))
        return drop if named is None else drop | connection_options(named)

    def location(self, call: Call, location: bytes) -> bytes:
        """Where a redirect leads by the agent's map: into the tool, still through the gateway.

        A Location at the tool's own origin, or a path below its base path, becomes the path by which the agent
        reaches the same place; others are left as they are, and so are all where the agent uses the gateway as its
        HTTP proxy and knows the tool by its own address.
        """
        # Paths alone: the query that the tool got may have masks in it.
        asked, got = call.request.target.partition("?")[0], call.target.partition("?")[0]
        if asked[:1] != "/" or not asked.endswith(got):
            return location
        text = location.decode("latin-1")
        if text.lower().startswith(self._origin_text):
            text = text[len(self._origin_text) :] or "/"
            if text[:1] in "?#":
                text = "/" + text
        if text[:1] != "/" or text[:2] == "//":
            return location
        below = text[len(self._base) :]
        if not text.startswith(self._base) or (self._base and below[:1] not in ("", "/", "?", "#")):
            return location
        leads = asked[: len(asked) - len(got)] + below
        if leads[:2] == "//":  # would name another host
            return location
        return (leads if leads[:1] == "/" else "/" + leads).encode("latin-1")

    def leads_away(self, location: bytes) -> bool:
        """Whether a Location (as it is told to the agent) is at another origin than the tool's: there, no policy would
        see the call again, nor its answer."""
        text = location.decode("latin-1").strip().lower().replace("\\", "/")
        if text.startswith(self._origin_text):
            return text[len(self._origin_text) :][:1] not in ("", "/", "?", "#")
        return text.startswith("//") or _SCHEME.match(text) is not None

    def trailers(self, trailers: Iterable[tuple[bytes, bytes]]) -> Fields:
        """The trailers that the tool may get: none that a head would not carry to it."""
        return tuple([field for field in trailers if _folded(field[0]) not in self._drop])

    def _tail(self, request: Request, host: str) -> bytes:
        """What every head to this tool ends with, for one peer and one asked-for host."""
        key = (request.peer, host, request.secure)
        tail = self._tails.get(key)
        if tail is None:
            forwarded = _forwarded(self.tool.forwarded, request.peer, host, "https" if request.secure else "http")
            tail = self._inject + b"Via: " + VIA + b"\r\n" + forwarded + b"\r\n"
            if len(host) <= _LONGEST_HOST:
                if len(self._tails) >= 1024:
                    self._tails.clear()
                self._tails[key] = tail
        return tail


def _besides(credential: bytes, plain: bool, changed: bool, onward: tuple[bytes, ...]) -> Iterator[Iterable[bytes]]:
    """What a request of this sort loses beside what all do."""
    yield (credential, *onward)
    if plain:
        yield _OF_A_PART
    if changed:
        yield _OF_THE_BODY


def _folded(name: bytes) -> bytes:
    return name.lower().replace(b"_", b"-")


def _forwarded(style: str, peer: str, host: str, scheme: str) -> bytes:
    if style == "off":
        return b""
    if style == "rfc7239":
        node = f'"[{peer}]"' if ":" in peer else peer
        return f'Forwarded: for={node};host="{host}";proto={scheme}\r\n'.encode("latin-1")
    return f"X-Forwarded-For: {peer}\r\nX-Forwarded-Host: {host}\r\nX-Forwarded-Proto: {scheme}\r\n".encode("latin-1")
