"""The variables that expressions may read, with their types and where each comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from msgspec import Struct

from gateway.model import Call
from gateway.policy.engine import DYN_MAP, INT, STRING, STRING_MAP, STRINGS, CelType


class Variable(Struct, frozen=True):
    """A variable: ``read`` takes it from a call, as plain Python."""

    name: str
    type: CelType
    read: Callable[[Call], Any]
    about: str


def _roles(call: Call) -> list[str]:
    return list(call.agent.roles)


def _host(call: Call) -> str:
    return call.host.lower()


_STAYS = frozenset({b"host", b"content-length", b"content-type", b"cache-control"})
"""Fields that stay although Connection names them, as in execute/forward.py."""


def _headers(call: Call) -> dict[str, str]:
    """The fields that the tool will see: without those that end at this hop, or are stripped."""
    lookup = call.request.lookup
    gone = call.tool.strip
    if b"connection" in lookup:
        gone |= {option.strip().lower() for option in lookup[b"connection"].split(b",")} - _STAYS
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in lookup.items() if name not in gone}


def _params(call: Call) -> dict[str, str]:
    return dict(call.params)


def _args(call: Call) -> dict[str, Any]:
    args = call.args
    return args if type(args) is dict else dict(args)


_ALL = (
    Variable("agent.id", STRING, attrgetter("agent.id"), "who is asking"),
    Variable("agent.roles", STRINGS, _roles, "the agent's roles, as its key or token says"),
    Variable("run.id", STRING, attrgetter("run.id"), 'the agent\'s task, "" where it named none'),
    Variable("tool.name", STRING, attrgetter("tool.name"), "the tool, as the configuration names it"),
    Variable("tool.operation", STRING, attrgetter("operation"), "METHOD /template, or METHOD /path"),
    Variable("tool.protocol", STRING, attrgetter("tool.protocol"), "the protocol that the tool speaks"),
    Variable("request.method", STRING, attrgetter("request.method"), "GET, POST, ..."),
    Variable("request.host", STRING, _host, "the host (and port) that the agent asked for, in lower case"),
    Variable("request.path", STRING, attrgetter("path"), "the path for the tool, percent-decoded"),
    Variable("request.query", STRING, attrgetter("query"), "what follows the ?, as it was sent"),
    Variable("request.headers", STRING_MAP, _headers, "header fields, names in lower case, repeats joined by a comma"),
    Variable("request.params", STRING_MAP, _params, "values of the {names} in the operation's template"),
    Variable("request.size", INT, attrgetter("request.length"), "announced bytes of the body, -1 where unknown"),
    Variable("args", DYN_MAP, _args, "the arguments: JSON body, form, or query"),
)
VARIABLES: Mapping[str, Variable] = {variable.name: variable for variable in _ALL}
TYPES: Mapping[str, CelType] = {variable.name: variable.type for variable in _ALL}
PATH_VARIABLES = frozenset({"request.path", "tool.operation", "request.params"})
"""Those that tell paths apart, so that a path which servers read in two ways could mislead a rule."""

Binder = tuple[tuple[str, Callable[[Call], Any]], ...]


def binder(names: Iterable[str]) -> Binder:
    """Name and reader of each variable, to bind just those."""
    return tuple((name, VARIABLES[name].read) for name in sorted(names))


def bind(readers: Binder, call: Call) -> dict[str, Any]:
    """The values of a call for an activation."""
    return {name: read(call) for name, read in readers}
