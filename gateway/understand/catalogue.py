"""What an MCP server offers, as its tools/list says: hints, schemas, and whether it is what was approved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import orjson
from msgspec import Struct

from gateway.policy.pins import Pinning, digest_of
from gateway.understand.annotations import facts_of, hints_of
from gateway.understand.arguments import Checker, SchemaError
from gateway.understand.pins import UNREADABLE, Approvals, Change, State, Verdict

MOST_TOOLS = 4_096
LONGEST_NAME = 256
MOST_SCHEMA_BYTES = 16 << 20
"""Bytes of all schemas that are kept for one server."""
_MOST_CHECKERS = 512
_NO_FINGERPRINT = b""
"""Of a name that stands twice in one list, for different tools: nobody can say which one a client takes. Also of a tool
that is nested too deeply to be written."""


class Catalogue(Protocol):
    """What a reader of MCP asks of what is known of its server. Outlives reloads."""

    def facts(self, name: str) -> Mapping[str, Any]:
        """``tool.readOnly``, ``.destructive``, ``.idempotent``, ``.openWorld`` (bool) and ``.pin`` (str) of a tool."""

    def invalid(self, name: str, arguments: Mapping[str, Any]) -> str:
        """What is wrong with the arguments by the tool's inputSchema, at most 500 characters, or empty."""

    def misfit(self, name: str, structured: Any) -> str:
        """What is wrong with a structured result (None: there is none) by the tool's outputSchema, or empty."""

    def verdict(self, name: str) -> tuple[str, str]:
        """``("refuse"|"approve"|"warn", why)``: what the pins say of calling the tool, or two empty texts."""

    def learn(self, tools: Sequence[Mapping[str, Any]], *, complete: bool) -> None:
        """A page of the server's tools/list, as it came. ``complete``: it is the whole list."""


class _Listed(Struct):
    """One tool as it was listed last."""

    fingerprint: bytes
    digest: str
    annotations: Any
    schema: bytes
    output: bytes = b""
    """Its outputSchema; empty where it has none."""
    state: State = "unknown"
    facts: Mapping[str, Any] = {}
    verdict: Verdict = ("", "")
    checker: Checker | None = None
    checked: bool = False
    """Whether its schema was looked at; ``checker`` is None then where it cannot be used."""


class ServerCatalogue:
    """The catalogue of one server, named ``server`` in what is told. ``revision`` grows whenever ``changes()`` or
    ``unchecked()`` may have changed, so that who reports them need not compare."""

    def __init__(self, server: str, rules: Pinning | None = None) -> None:
        self.server = server
        self.revision = 0
        self._approvals = Approvals(server, rules or Pinning())
        self._tools: dict[str, _Listed] = {}
        self._unchecked: dict[str, str] = {}
        self._checkers: dict[bytes, Checker | SchemaError] = {}
        self._schema_bytes = 0

    def facts(self, name: str) -> Mapping[str, Any]:
        """As in ``Catalogue``; the defaults of the specification where the tool was never listed."""
        tool = self._tools.get(name)
        return tool.facts if tool is not None else facts_of(None, self._approvals.unlisted(name))

    def verdict(self, name: str) -> tuple[str, str]:
        """As in ``Catalogue``."""
        tool = self._tools.get(name)
        if tool is not None:
            return tool.verdict
        return self._approvals.verdict(name, self._approvals.unlisted(name))

    def invalid(self, name: str, arguments: Mapping[str, Any]) -> str:
        """As in ``Catalogue``; empty where the tool was never listed or its schema cannot be used. Never raises."""
        tool = self._tools.get(name)
        if tool is None:
            return ""
        if not tool.checked:
            self._prepare(name, tool)
        return tool.checker.invalid(arguments) if tool.checker is not None else ""

    def misfit(self, name: str, structured: Any) -> str:
        """As in ``Catalogue``. Never raises."""
        tool = self._tools.get(name)
        if tool is None or not tool.output:
            return ""
        if not isinstance(structured, dict):
            return "the tool's results have a structure"
        made = _checker(tool.output)
        return made.invalid(structured) if isinstance(made, Checker) else ""

    def learn(self, tools: Sequence[Mapping[str, Any]], *, complete: bool) -> None:
        """As in ``Catalogue``. Entries that are no tools are passed over; a page as before costs a digest a tool."""
        for name, (fingerprint, tool) in _by_name(tools).items():
            known = self._tools.get(name)
            if known is not None and known.fingerprint == fingerprint:
                continue
            if known is None and len(self._tools) >= MOST_TOOLS and not self._approvals.expects(name):
                continue
            self._replace(name, fingerprint, tool)
            if known is not None or self._tools[name].state != "pinned":
                self.revision += 1
        if complete:
            self._approvals.settle()

    def repin(self, rules: Pinning) -> None:
        """Hold the tools to these pins from now on."""
        before = self.changes()
        self._approvals.rules = rules
        for name, tool in self._tools.items():
            self._judge(name, tool)
        if self.changes() != before:
            self.revision += 1

    def changes(self) -> tuple[Change, ...]:
        """The tools that are not as approved, or new, as long as they are."""
        return tuple(
            Change(self.server, name, tool.state, self._approvals.approved(name), tool.digest)
            for name, tool in self._tools.items()
            if tool.state in ("changed", "new")
        )

    def unchecked(self) -> Mapping[str, str]:
        """Tools whose arguments cannot be validated, and why. Known from the first call of each."""
        return self._unchecked

    def _replace(self, name: str, fingerprint: bytes, tool: Mapping[str, Any] | None) -> None:
        if (known := self._tools.get(name)) is not None:
            self._schema_bytes -= len(known.schema) + len(known.output)
        self._unchecked.pop(name, None)
        annotations, schema, output, digest = None, b"", b"", UNREADABLE
        if tool is not None:
            annotations, digest = hints_of(tool.get("annotations")), digest_of(tool)
            schema, output = _schema(tool, "inputSchema"), _schema(tool, "outputSchema")
        if self._schema_bytes + len(schema) > MOST_SCHEMA_BYTES:
            schema = b""
        self._schema_bytes += len(schema)
        if self._schema_bytes + len(output) > MOST_SCHEMA_BYTES:
            output = b""
        self._schema_bytes += len(output)
        listed = self._tools[name] = _Listed(fingerprint, digest, annotations, schema, output)
        self._judge(name, listed)

    def _judge(self, name: str, tool: _Listed) -> None:
        tool.state = self._approvals.state(name, tool.digest)
        tool.facts = facts_of(tool.annotations, tool.state)
        tool.verdict = self._approvals.verdict(name, tool.state)

    def _prepare(self, name: str, tool: _Listed) -> None:
        """Compile the schema at the first call; replicas of a server that differ do not make it compile again."""
        tool.checked = True
        made = self._checkers.get(tool.schema)
        if made is None:
            made = _checker(tool.schema)
            if len(self._checkers) >= _MOST_CHECKERS:
                del self._checkers[next(iter(self._checkers))]
            self._checkers[tool.schema] = made
        if isinstance(made, Checker):
            tool.checker = made
        else:
            self._unchecked[name] = str(made)
            self.revision += 1


def _checker(schema: bytes) -> Checker | SchemaError:
    if not schema:
        return SchemaError("it has no inputSchema, or there is no room to keep it")
    try:
        return Checker(schema)
    except SchemaError as error:
        return error


def _by_name(tools: Sequence[Mapping[str, Any]]) -> dict[str, tuple[bytes, Mapping[str, Any] | None]]:
    """The tools of a page by name, each with the fingerprint of all that it says."""
    page: dict[str, tuple[bytes, Mapping[str, Any] | None]] = {}
    for tool in tools:
        name = tool.get("name") if isinstance(tool, dict) else None
        if not isinstance(name, str) or len(name) > LONGEST_NAME:
            continue
        try:
            fingerprint = blake2b(_bytes(tool), digest_size=16).digest()
        except RecursionError:
            fingerprint = _NO_FINGERPRINT
        same = name not in page or page[name][0] == fingerprint
        page[name] = (fingerprint, tool) if same and fingerprint else (_NO_FINGERPRINT, None)
    return page


def _schema(tool: Mapping[str, Any], member: str) -> bytes:
    schema = tool.get(member)
    return _bytes(schema) if isinstance(schema, dict) else b""


def _bytes(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return json.dumps(value).encode()
