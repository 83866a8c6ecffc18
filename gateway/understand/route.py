"""Which tool is a request for? Prefix, Host, absolute-form and CONNECT; everything else is refused: no open proxy."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.errors import Refused
from gateway.model import Reason, Request, Route, Tool

_REMEMBERED = 1024
"""Routes kept: agents call few endpoints many times."""

_LONGEST_REMEMBERED = 1024
"""Characters of target and host; longer ones are looked up each time, so that agents cannot fill the memory."""


class Router:
    """Finds the tool by the request target and the Host field (RFC 9112, 3.2).

    In this order: CONNECT and absolute-form by their authority; a Host that names a tool; the first path segment.
    On a redirected connection only hosts count, on the port that it was for.
    """

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._by_name: dict[str, Tool] = {}
        self._aliases: dict[str, Tool] = {}
        self._origins: dict[str, list[Tool]] = {}
        """The tools behind an authority, the longest base path first."""
        self._named: dict[str, Tool] = {}
        """The tools that TLS knows by another name than their host, by that name and their port."""
        self._seen: dict[tuple[str, bytes], Route] = {}
        for tool in tools:
            self._by_name[tool.name] = tool
            for alias in tool.hosts:
                self._aliases[alias.lower()] = tool
            if tool.server_name:
                self._named.setdefault(f"{tool.server_name.lower()}:{tool.origin.port}", tool)
            for authority in _authorities(tool):
                self._origins.setdefault(authority, []).append(tool)
        for behind in self._origins.values():
            behind.sort(key=lambda tool: -len(tool.base_path))

    def route(self, request: Request) -> Route:
        """The tool, and the path and query below its base path.

        Raises:
            Refused: 404 where no tool is meant, 403 for a CONNECT that is not allowed, 400 for a target of no use.
        """
        if request.original:
            self._check_redirected(request)
        if request.method == "CONNECT":
            return self._tunnel(request)
        host = request.lookup.get(b"host", b"")
        key = (request.target, host)
        route = self._seen.get(key)
        if route is None:
            route = self._find(request.target, host.decode("latin-1"))
            if len(request.target) + len(host) <= _LONGEST_REMEMBERED:
                if len(self._seen) >= _REMEMBERED:
                    self._seen.clear()
                self._seen[key] = route
        return route

    def _check_redirected(self, request: Request) -> None:
        """A redirected connection is for a tool where the agent names its host, and meant the port that it connected
        to. The address proves nothing: the call goes where the tool is.

        Raises:
            Refused: 403, the connection is for none.
        """
        authority, usual = _meant(request)
        _, colon, port = authority.rpartition(":")
        if not colon or not port.isdecimal():
            port = usual
        known = authority in self._origins or self._alias(authority) is not None
        known = known or (request.method == "CONNECT" and authority in self._named)
        if known and port == request.original.rpartition(":")[2]:
            return
        raise Refused(
            Reason.UNKNOWN_TOOL,
            403,
            f"{authority[:128]!r}, on a connection to {request.original}, is not the host of a configured tool",
            "connections from this machine lead through the gateway, which knows only the tools in its configuration",
        )

    def _find(self, target: str, host: str) -> Route:
        if target[:1] == "/":
            authority = host.lower()
            tool = self._alias(authority) if self._aliases else None
            if tool is not None:
                return _route(tool, target, host)
            if authority in self._origins:
                return self._below_base(authority, target, host)
            return self._by_prefix(target, host)
        if target == "*":
            tool = self._alias(host.lower()) or next(iter(self._origins.get(host.lower(), ())), None)
            if tool is None:
                raise _unknown("OPTIONS * names no tool here")
            return Route(tool, "*", "*", "", host)
        return self._absolute(target)

    def _alias(self, authority: str) -> Tool | None:
        """The tool with this alias; the port the agent reached us at is not part of it, unless a url claims it."""
        tool = self._aliases.get(authority)
        if tool is None and authority not in self._origins:
            name, _, port = authority.rpartition(":")
            if port.isdecimal():
                return self._aliases.get(name)
        return tool

    def _by_prefix(self, target: str, host: str) -> Route:
        end = len(target)
        for mark in ("/", "?"):
            at = target.find(mark, 1, end)
            if at > 0:
                end = at
        tool = self._by_name.get(target[1:end])
        if tool is None:
            raise _unknown(f"no tool named {target[1:end][:64]!r} is configured")
        return _route(tool, target[end:], host)

    def _absolute(self, target: str) -> Route:
        scheme, found, rest = target.partition("://")
        if not found or scheme.lower() not in ("http", "https"):
            raise Refused(Reason.BAD_REQUEST, 400, "the request target is neither a path nor an http URL")
        end = len(rest)
        for mark in ("/", "?"):
            at = rest.find(mark, 0, end)
            if at >= 0:
                end = at
        authority, path = rest[:end].lower(), rest[end:]
        if "@" in authority:
            raise Refused(Reason.BAD_REQUEST, 400, "user information in the request target is not accepted")
        alias = self._alias(authority)
        if alias is not None:
            return _route(alias, path, authority)
        if authority not in self._origins:
            raise _unknown(f"{authority[:128]!r} is not the host of a configured tool")
        return self._below_base(authority, path if path[:1] == "/" else "/" + path, authority)

    def _tunnel(self, request: Request) -> Route:
        target = request.target
        tools = self._origins.get(target.lower(), [])
        if request.original and target.lower() in self._named:  # what TLS calls it is all that is known
            tools = [self._named[target.lower()]]
        for tool in tools:
            if tool.connect and target.endswith(f":{tool.origin.port}"):
                return Route(tool, "", "", "", target)
        raise Refused(
            Reason.UNKNOWN_TOOL,
            403,
            f"CONNECT to {target[:128]!r} is not allowed",
            "CONNECT works only for tools with `connect: true`, by the host and port of their url",
        )

    def _below_base(self, authority: str, target: str, host: str) -> Route:
        tools = self._origins[authority]
        for tool in tools:
            rest = target[len(tool.base_path) :]
            if target.startswith(tool.base_path) and (not tool.base_path or rest[:1] in ("", "/", "?")):
                return _route(tool, rest, host)
        bases = " and ".join(repr(tool.base_path) for tool in tools)
        raise _unknown(f"the tools at {authority!r} are configured below {bases} only")


def _route(tool: Tool, rest: str, host: str) -> Route:
    path, _, query = rest.partition("?")
    return Route(tool, rest, path or "/", query, host)


def _authorities(tool: Tool) -> tuple[str, ...]:
    origin = tool.origin
    host = (f"[{origin.host}]" if ":" in origin.host else origin.host).lower()
    explicit = f"{host}:{origin.port}"
    return (host, explicit) if origin.port in (80, 443) else (explicit,)


def _meant(request: Request) -> tuple[str, str]:
    """The authority that a request is for, and the port where it names none (RFC 9112, 3.3)."""
    target = request.target
    if request.method == "CONNECT":
        return target.lower(), ""
    scheme, found, rest = target.partition("://")
    if target[:1] == "/" or not found:
        return request.lookup.get(b"host", b"").decode("latin-1").lower(), "80"
    return rest.partition("/")[0].partition("?")[0].lower(), "443" if scheme.lower() == "https" else "80"


def _unknown(detail: str) -> Refused:
    return Refused(
        Reason.UNKNOWN_TOOL,
        404,
        detail,
        "address a tool as /<tool>/..., by its host name, or through HTTP_PROXY; tools are listed in the configuration",
    )
