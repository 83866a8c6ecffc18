"""Which exemptions a call meets: compiled once, asked with what is known of every call. Quiet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.model import UNREAD, Call, Petition
from gateway.policy.engine import BOOL, DYN, CelEngine, CelError, CelType, EvaluationError, Program
from gateway.policy.variables import TYPES, bind, binder
from gateway.understand.templates import ambiguous

if TYPE_CHECKING:
    from gateway.approvals.exemptions import Exemption

KNOWN: dict[str, CelType] = {
    name: kind
    for name, kind in TYPES.items()
    if name in ("run.id", "llm.model", "llm.stream", "llm.max_tokens")
    or (name.partition(".")[0] in ("agent", "tool", "request", "args", "mcp") and name != "request.time")
}
"""Variables that an exemption may read: those that are there whatever rules read. The others (what a run has done so
far, the time, messages) are made only for rules, and without them an expression would see what is not so. What an agent
says of itself (``why``) exempts nothing."""

SCOPES = ("run", "agent", "everybody")
"""Whose calls an exemption is for."""
PINS = "pins"
"""The rule under which a changed tool of an MCP server is asked about: pinning it lets it pass, and nothing else, since
it may change again."""


def check_when(engine: CelEngine, when: str) -> Program:
    """The expression, compiled.

    Raises:
        CelError: it is none, gives no true or false, or reads what exemptions may not.
    """
    program = engine.compile(when, KNOWN)
    if program.type not in (BOOL, DYN):
        raise CelError(f"it must give true or false, not {program.type}")
    return program


class _Compiled(Struct, frozen=True):
    exemption: Exemption
    program: Program


class Matcher:
    """Exemptions by tool and operation. Those whose condition the engine does not take match nothing."""

    def __init__(self, engine: CelEngine) -> None:
        self._engine = engine
        self._by_place: dict[tuple[str, str], dict[str, _Compiled]] = {}
        self._places: dict[str, tuple[str, str]] = {}

    def put(self, ident: str, exemption: Exemption | None) -> None:
        """This one stands from now on; None: it does not."""
        if exemption is not None and ident in self._places:
            return  # what changes of one that stands is how often it may be used
        place = self._places.pop(ident, None)
        if place is not None:
            here = self._by_place[place]
            del here[ident]
            if not here:
                del self._by_place[place]
        if exemption is not None:
            try:
                program = check_when(self._engine, exemption.when)
            except CelError:
                return
            place = self._places[ident] = (exemption.tool, exemption.operation)
            self._by_place.setdefault(place, {})[ident] = _Compiled(exemption, program)

    def matching(self, call: Call, petition: Petition) -> Iterator[Exemption]:
        """Those that are for this call, the oldest first; whether they still stand is asked where a use is taken.

        A batch is never exempt, nor what could be another operation to its tool, nor a changed tool of an MCP server.
        """
        here = self._by_place.get((petition.tool, petition.operation))
        if here is None or call.parts or _two_ways(call):
            return
        rules = {held.rule for held in petition.held}
        for one in sorted(here.values(), key=lambda one: one.exemption.created):
            exemption = one.exemption
            meant = _in_scope(exemption, petition) and rules <= set(exemption.rules) - {PINS}
            if meant and is_true(self._engine, one.program, call):
                yield exemption


def is_true(engine: CelEngine, program: Program, call: Call) -> bool:
    """Whether the condition is true of this call. False where it fails, or reads arguments of which nobody knows."""
    if "args" in program.references and call.args is UNREAD:
        return False
    try:
        return program.evaluate(engine.activation(bind(binder(program.references), call))) is True
    except EvaluationError:
        return False


def _two_ways(call: Call) -> bool:
    """Whether the tool could read another path, method or protocol than was matched. Where rules look at paths, such
    paths and methods have been refused before."""
    if call.tool.protocol != "http":
        return False
    if any(_changes_method(name.replace(b"_", b"-")) for name in call.request.lookup):
        return True
    named = "_method" in call.query or (call.args is not UNREAD and "_method" in call.args)  # Rails, Laravel
    return named or bool(ambiguous(call.target.partition("?")[0]))


def _changes_method(name: bytes) -> bool:
    return name.startswith(b"x-http-method") or name in (b"x-method-override", b"upgrade")


def _in_scope(exemption: Exemption, petition: Petition) -> bool:
    if exemption.scope == "run":
        return exemption.tree == petition.tree
    return exemption.scope == "everybody" or exemption.agent == petition.agent
