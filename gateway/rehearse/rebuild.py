"""From a record back to the call that it tells of, with everything of it that the record does not tell.

An HTTP call's path is read again, by the reader that would read it live; everything else is taken as it was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from gateway.config.build import LLM_PROTOCOLS
from gateway.errors import Refused, refusal_of
from gateway.model import UNREAD, Agent, Call, Extent, Question, Reason, Refusal, Request, Route, Run
from gateway.pipeline import Street
from gateway.rehearse.memories import recorded_glance
from gateway.rehearse.needs import MEMORY
from gateway.rehearse.records import Record, RecordedFlaw, RecordedPart, RecordedRun
from gateway.understand.route import Router

CUT = 2048
"""Characters at which records cut a text: one of that length may have been longer."""

UNREADABLE = frozenset({Reason.UNREADABLE_BODY, Reason.BODY_TOO_LARGE})
NOT_OURS = frozenset(
    {
        *(Reason.UNAUTHENTICATED, Reason.UNKNOWN_TOOL, Reason.HEADER_MISMATCH, Reason.FOREIGN_ORIGIN),
        *(Reason.REQUEST_TIMEOUT, Reason.TRACE_UNAVAILABLE, Reason.DRAINING),
    }
)
"""Refusals that no policy has a say in."""
_MOST = 65_536


class Rebuilt(Struct, frozen=True):
    """The call, and the variables (or paths below them) that the record lacks, masks or cuts."""

    call: Call
    missing: tuple[str, ...] = ()


Rebuild = Rebuilt | Refusal | str
"""A refusal: it would be refused while it is read. A text: why it cannot be rebuilt at all."""


class Rebuilder:
    """Rebuilds calls for the tools of one version."""

    def __init__(self, streets: Mapping[str, Street], router: Router, epoch: float) -> None:
        self._streets, self._router, self._epoch = streets, router, epoch
        self._agents: dict[tuple[str, tuple[str, ...]], Agent] = {}
        self._templates: dict[tuple[str, str, str], Call | Refusal] = {}

    def of(self, record: Record, at: float) -> Rebuild:
        """The call of a record that was read so far as to be known; ``at`` in seconds from the epoch."""
        street = self._streets.get(record.tool or "")
        if street is None:
            return f"tool {record.tool} is not in this configuration"
        if record.agent is None:
            return "the record names no agent"
        agent = self._agents.get((record.agent, record.roles))
        if agent is None:
            agent = self._agent(record.agent, record.roles)
        if record.reason in UNREADABLE and street.reader.wants_body(_bare(record, record.size or 0)):
            return Refusal(Reason(record.reason), record.status, record.detail or "")
        http = street.tool.protocol == "http"
        template = self._template(street, record) if http else None
        if isinstance(template, Refusal):
            return template
        if template is None and record.operation is None:
            return "the request was refused while it was read"
        try:
            args = _args(street, record) if http else record.args
        except Refused as refused:
            return refusal_of(refused)
        call = self._call(street, record, agent, template, args, at)
        lacking = tuple(_lacking(record, call, remembers=street.memory is not None))
        if record.parts:
            parts = tuple([_part(call, part) for part in record.parts])
            lacking += tuple(gone for part in record.parts for gone in _lacking_args(part.args, part.masked))
            call = structs.replace(call, parts=parts)
        return Rebuilt(call, lacking)

    def _call(
        self,
        street: Street,
        record: Record,
        agent: Agent,
        template: Call | None,
        args: dict[str, Any] | None,
        at: float,
    ) -> Call:
        headers = record.headers
        lookup = {name.encode(): value.encode("latin-1") for name, value in headers.items() if value is not None}
        request = Request(record.method, record.path, "1.1", (), lookup, record.size or 0, "", True)
        run = Run(record.run) if record.run else _NO_RUN
        if task := record.facts.get("run.task"):
            run = structs.replace(run, task=str(task))
        if record.depth:
            run = structs.replace(run, root=_of(record.root), led=_of(record.led_by), depth=record.depth)
        query = record.query or ""
        return Call(
            record.call,
            agent,
            run,
            street.tool,
            record.operation or "" if template is None else template.operation,
            UNREAD if args is None else args,
            {} if template is None else template.params,
            request,
            record.path,
            record.path if template is None else template.path,
            query,
            record.host or "",
            record.facts,
            record.implied,
            (),
            _flaw(record.flaw),
            at=self._epoch + at,
            glances=tuple([recorded_glance(one, self._epoch + at) for one in record.memory or () if one.found]),
            drift=record.drift,
            unverified=tuple([f"{one.memory}/{one.key}" for one in record.memory or () if one.came_of == "unverified"]),
            extent=_extent(street, record),
        )

    def _agent(self, ident: str, roles: tuple[str, ...]) -> Agent:
        if len(self._agents) >= _MOST:
            self._agents.clear()
        agent = self._agents[ident, roles] = Agent(ident, roles, "recorded")
        return agent

    def _template(self, street: Street, record: Record) -> Call | Refusal:
        """A call of the same method and path: its operation, parameters and decoded path."""
        key = (street.tool.name, record.method, record.path)
        known = self._templates.get(key)
        if known is None:
            if len(self._templates) >= _MOST:
                self._templates.clear()
            known = self._templates[key] = _read(self._router, street, record)
        return known


UNBOUNDED_ANSWER = 4096
"""Tokens of an answer of which the record tells no bound: the bound that budgets set by default."""

_NOBODY, _NO_RUN = Agent(""), Run()


def _of(run: RecordedRun | None) -> tuple[str, str] | tuple[()]:
    return () if run is None else (run.agent, run.run or "")


def _bare(record: Record, length: int = 0) -> Request:
    host = (record.host or "").encode("latin-1", "replace")
    return Request(record.method, record.path, "1.1", (), {b"host": host}, length, "", True)


def _args(street: Street, record: Record) -> dict[str, Any] | None:
    """The arguments of a plain HTTP call: as recorded, or from its query where it has no body; None: not known.

    Raises:
        Refused: the query cannot be read in one way only.
    """
    if record.args is not None or record.size != 0 or record.query is None or "request.query" in record.masked:
        return record.args
    if not record.query:
        return {}
    route = Route(street.tool, "/", "/", record.query, "")
    args = street.reader.read("", _bare(record), route, _NOBODY, _NO_RUN, None).args
    return None if args is UNREAD else dict(args)


def _read(router: Router, street: Street, record: Record) -> Call | Refusal:
    request = _bare(record)
    try:
        route = router.route(request)
        if route.tool.name != street.tool.name:
            raise Refused(Reason.UNKNOWN_TOOL, 404, f"in this configuration that is the tool {route.tool.name}")
        return street.reader.read("", request, route, _NOBODY, _NO_RUN, None)
    except Refused as refused:
        return refusal_of(refused)


def _flaw(flaw: RecordedFlaw | None) -> Refusal | Question | None:
    if flaw is None:
        return None
    if flaw.reason == Reason.APPROVAL_REQUIRED:
        return Question(flaw.rule or "", flaw.detail)
    return Refusal(Reason(flaw.reason), flaw.status, flaw.detail, flaw.rule or "")


def _extent(street: Street, record: Record) -> Extent | None:
    """What a call to a model could cost at most, as far as a record tells: of pictures it does not."""
    if street.budgets is None or "llm.model" not in record.facts:
        return None
    bound = record.facts.get("llm.max_tokens")
    return Extent(record.size or 0, bound if isinstance(bound, int) and bound > 0 else UNBOUNDED_ANSWER)


def _part(call: Call, part: RecordedPart) -> Call:
    return structs.replace(
        call,
        operation=part.operation,
        args=part.args or {},
        facts=part.facts,
        implied=part.implied,
        flaw=_flaw(part.flaw),
    )


def _lacking(record: Record, call: Call, *, remembers: bool) -> list[str]:
    missing = list(record.masked) if record.masked else []
    if call.args is UNREAD and not record.parts:
        missing.append("args")
    if record.query is None:
        missing.append("request.query")
    if record.host is None:  # a log of before there were these keys
        missing += ("request.host", "request.size")
        if call.tool.protocol == "mcp":
            missing += ("tool.readOnly", "tool.destructive", "tool.idempotent", "tool.openWorld")
    if record.depth is None:
        missing += ("run.depth", "run.root")
    missing += _forgotten(record, remembers=remembers)
    if len(record.path) >= CUT:
        missing += ("request.path", "request.params", "tool.operation")
    if len(call.operation) >= CUT:
        missing.append("tool.operation")
    if len(call.agent.id) >= CUT:
        missing.append("agent.id")
    missing.append("agent.claims")  # what tokens say of agents is nobody's to keep
    if "guardrail" not in record.facts:
        missing.append("guardrail")
    if record.facts:
        missing += [name for name, value in record.facts.items() if isinstance(value, str) and len(value) >= CUT]
        if call.tool.protocol in LLM_PROTOCOLS and "llm.model" in record.facts:
            missing += ("llm.system", "llm.messages", "llm.tools")
    return missing


def _forgotten(record: Record, *, remembers: bool) -> tuple[str, ...]:
    """What is not known of memories: all of it where the tool is one now, and was none then."""
    keys = MEMORY if record.memory is None or (remembers and not record.memory) else ()
    return keys if record.drift is not None else (*keys, "run.drift", "run.unverified")


def _lacking_args(args: dict[str, Any] | None, masked: tuple[str, ...]) -> tuple[str, ...]:
    return masked if args is not None else ("args",)
