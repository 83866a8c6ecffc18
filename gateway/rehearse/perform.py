"""Calls that go the whole way of the pipeline, without a network: identified, decided, sent to nobody, answered as the
file says, judged, settled and recorded, at times that the file says.

Calls overlap as they would: one that waits its turn, or for its answer, goes on when its time has come.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Any

from msgspec import structs

from gateway.config.case_schema import AnswerPart
from gateway.config.described import Described
from gateway.errors import BusyError, MovedError, Refused, UpstreamError
from gateway.model import Agent, Answered, Call, Outcome, Permit, Reason, Request, Trace
from gateway.pipeline import Await, Collect, Effect, Pipeline, ReadBody, Relay, Reply, Send, Way
from gateway.policy.tasks import CompiledTask
from gateway.rehearse.answers import body_of
from gateway.rehearse.guardrails import Told, said
from gateway.rehearse.memories import NoStore, SaidBook, street_of
from gateway.rehearse.requests import request_of
from gateway.rehearse.stage import Stage, Turn
from gateway.stores.flows import FlowBook
from gateway.stores.lineage import TracedRuns
from gateway.stores.tasks import TaskBook
from gateway.understand.reader import Answer

_FAULTS: Mapping[str, tuple[Reason, int, str]] = {
    "unreachable": (Reason.UPSTREAM_UNREACHABLE, 502, "the tool cannot be reached"),
    "timeout": (Reason.UPSTREAM_TIMEOUT, 504, "the tool was too slow"),
    "broken": (Reason.UPSTREAM_PROTOCOL, 502, "the tool's answer broke off"),
}
UNANSWERED = AnswerPart(status=204)
"""The answer to calls of which the file says none: no rule can read it, and circuits take it for a success."""


class Act:
    """One call on its way. ``trace`` is its record, None until it has ended; ``body`` is the answer's for the agent."""

    def __init__(self, sent: bytes, answer: AnswerPart, way: Way, described: Described) -> None:
        self.sent, self.answer, self.way, self.described = sent, answer, way, described
        self.call: Call | None = None
        self.body = b""
        self.trace: Trace | None = None

    def record(self) -> Trace:
        """Its record. Raises RuntimeError before it has ended."""
        if self.trace is None:
            raise RuntimeError("the call has not ended yet")
        return self.trace


class Performance:
    """Takes calls through the pipeline of a stage's version. Times are the stage's, and must not go back."""

    def __init__(self, stage: Stage) -> None:
        config = stage.loaded.config
        self._stage, self._doors = stage, _Doors()
        self._host, self._run_header = str(config.listen), config.run_header.lower()
        self._due: list[tuple[float, int, Act, Any]] = []
        self._order = count()
        idents, spans = count(1), count(1)
        # Nobody outside sees what this key signs, and the same cases give the same spans.
        self._lineage = TracedRuns(b"rehearsed", stage.wall, lambda size: next(spans).to_bytes(size, "big"))
        self._lineage.parent_header = config.lineage.parent_header.lower().encode("ascii")
        self._tasks = TaskBook(stage.wall)
        self._tasks.adopt(stage.loaded.book.every(CompiledTask), b"")
        self._flows = FlowBook()
        maps = {name: street.flows for name, street in stage.streets.items() if street.flows is not None}
        self._flows.adopt(maps, config.flow.trusted_sources, config.flow.values, b"")
        self._book = SaidBook(stage.wall)
        self._pipeline = Pipeline(
            stage.loaded.version,
            (self._doors,),
            self._run_header.encode("ascii"),
            stage.router,
            stage.streets,
            stage.ledger,
            stage.turns,
            self._doors,
            stage.clock,
            stage.wall,
            lambda: f"call-{next(idents)}",
            stage.runs,
            self._lineage,
            stage.quarantines,
            guards=self,
            tasks=self._tasks,
            flows=self._flows,
            coherence=self._book,
        )
        self._acting: Act | None = None

    def begin(self, described: Described, answer: AnswerPart | None, at: float) -> Act:
        """Let an agent make a call at ``at``, after all that is due by then has gone on."""
        self.until(at)
        self._stage.now = at
        request, body = request_of(self._in_run(described), self._host)
        if described.task:
            self._tasks.put(described.agent, described.run, described.task)
        if described.prompt:
            self._flows.hand_over(described.agent, described.run, described.prompt)
        act = Act(body, answer or UNANSWERED, self._pipeline_for(described).run(request), described)
        self._doors.agent = Agent(described.agent, described.roles, "described", claims=described.claims)
        self._go_on(act, None)
        return act

    def _pipeline_for(self, described: Described) -> Pipeline:
        if described.memory is None and not (described.drift or described.unverified):
            return self._pipeline
        streets = {**self._stage.streets, described.tool: street_of(self._stage.streets[described.tool], described)}
        return structs.replace(self._pipeline, streets=streets, revalidation=NoStore())

    def until(self, at: float = inf) -> None:
        """Let every call go on that is due by ``at``; by default each to its end."""
        while self._due and self._due[0][0] <= at:
            self._stage.now, _, act, value = heappop(self._due)
            self._go_on(act, value)

    def _in_run(self, described: Described) -> Described:
        """The call with the header in which agents name their run."""
        if not described.run or any(name.lower() == self._run_header for name in described.headers):
            return described
        return described.model_copy(update={"headers": {**described.headers, self._run_header: described.run}})

    def _go_on(self, act: Act, value: Any) -> None:
        """Give the call what it waited for, and all that can be given at once after that."""
        while True:
            effect = self._next(act, value)
            if effect is None:
                return
            seconds, value = self._answer(effect, act)
            if seconds > 0:
                heappush(self._due, (self._stage.now + seconds, next(self._order), act, value))
                return

    def _next(self, act: Act, value: Any) -> Effect | None:
        """The next effect of the call, or None where it has ended and was recorded."""
        self._acting = act
        try:
            return act.way.throw(value) if isinstance(value, Exception) else act.way.send(value)
        except StopIteration:
            act.trace = self._doors.recorded
        except Exception:  # noqa: BLE001 - the pipeline broke, and has recorded how
            act.trace = self._doors.recorded
        return None

    def ask(self, names: Mapping[str, bool], about: Mapping[str, Any]) -> Awaitable[Any]:
        """What guardrails say of the call under way, or of its answer, as the file has it."""
        act = self._acting
        if act is None:
            raise RuntimeError("no call is under way")
        words = act.answer.guardrail if "result" in about else act.described.guardrail
        try:
            return Told(said(words, names, self._stage.loaded.config.guardrails))
        except Refused as refused:
            return Told(refused)

    def _answer(self, effect: Effect, act: Act) -> tuple[float, Any]:
        """In how many seconds the effect is answered, and with what; an exception is thrown in."""
        if isinstance(effect, ReadBody):
            return 0.0, _read(effect, act)
        if isinstance(effect, Await):
            self._book.described = act.described
            return _turn(effect.awaitable)
        if isinstance(effect, Send):
            return act.answer.after, _head(effect.permit, act)
        if isinstance(effect, Collect):
            return 0.0, _collected(effect, act)
        if isinstance(effect, Relay):
            return 0.0, _relayed(effect, act)
        return 0.0, _replied(effect, act)


class _Doors:
    """Who is asking, and where the records go: what the pipeline asks of the world beside the stage's own."""

    expects = "nothing: the file says who calls"
    shows = b""
    available = True

    def __init__(self) -> None:
        self.agent = Agent("")
        self.recorded: Trace | None = None

    def identify(self, request: Request) -> Agent:  # noqa: ARG002 - the file says who calls
        return self.agent

    def carried(self, request: Request) -> bool:  # noqa: ARG002 - a described call has no credential
        return False

    def record(self, trace: Trace) -> None:
        self.recorded = trace


def _turn(awaitable: Awaitable[Any]) -> tuple[float, Any]:
    """In how many seconds it is the call's turn, and what it is then given."""
    waiting = awaitable.__await__()
    try:
        turn = next(waiting)
    except StopIteration as told:  # a guardrail's word is there at once
        return 0.0, told.value
    except (Refused, BusyError, MovedError) as error:
        return 0.0, error
    if not isinstance(turn, Turn):
        raise TypeError(f"the pipeline waits for {turn!r}")
    try:
        next(waiting)
    except StopIteration as done:
        return turn.seconds, done.value
    raise TypeError("the pipeline waits for more than its turn")


def _read(effect: ReadBody, act: Act) -> bytes | Refused | None:
    if len(act.sent) <= effect.limit:
        return act.sent
    if effect.optional:
        return None
    return Refused(Reason.BODY_TOO_LARGE, 413, f"a rule reads the body, and it is over {effect.limit} bytes")


def _head(permit: Permit, act: Act) -> Answered | UpstreamError:
    act.call = permit.call
    answer = act.answer
    if answer.fault in ("unreachable", "timeout"):
        return UpstreamError(*_FAULTS[answer.fault])
    return Answered(answer.status, answer.after, answer.content_type)


def _told(act: Act) -> bytes | UpstreamError:
    """The body as the tool gives it."""
    if act.answer.fault is not None:
        return UpstreamError(*_FAULTS[act.answer.fault])
    if act.call is None or act.answer.status in (204, 304):
        return b""
    return body_of(act.answer, act.call)


def _collected(effect: Collect, act: Act) -> bytes | UpstreamError:
    body = _told(act)
    if isinstance(body, bytes) and len(body) > effect.limit:
        return UpstreamError(
            Reason.RESULT_UNREADABLE, 502, f"a rule reads the answer, and it is over {effect.limit} bytes"
        )
    return body


def _relayed(effect: Relay, act: Act) -> Outcome | UpstreamError:
    """What the wire makes of an answer that passes: its head has gone out, so that one which breaks off just ends."""
    answer, received = act.answer, len(act.sent)
    body: bytes | UpstreamError = _told(act) if effect.body is None else effect.body
    if effect.body is None and answer.fault == "broken":
        error = _FAULTS["broken"][2]
        return Outcome(answer.status, answer.status, "tool", error, received, first_byte=answer.after)
    if isinstance(body, bytes) and effect.through is not None:
        body = _through(effect.through, body)
    if isinstance(body, UpstreamError):
        return body
    act.body = body
    return Outcome(answer.status, answer.status, "", "", received, len(body), answer.after)


def _through(answer: Answer, told: bytes) -> bytes | UpstreamError:
    """As the wire: a reader that breaks breaks the answer only where the agent may just have what it lets through."""
    try:
        return answer.feed(told) + answer.end()
    except Exception as error:  # noqa: BLE001 - whatever broke, the answer cannot be read
        if not answer.rewrites:
            return told
        return UpstreamError(Reason.RESULT_UNREADABLE, 502, f"the answer could not be read: {type(error).__name__}")


def _replied(effect: Reply, act: Act) -> Outcome:
    act.body = effect.body
    return Outcome(effect.status, received=len(act.sent), sent=len(effect.body))
