"""One call, top to bottom. READ THIS FIRST.

    listen -> identify -> understand -> decide -> execute -> observe

``Pipeline.run`` is the whole way of a call, as a generator: it yields what it needs from the world (the body, a pause,
the upstream call, the answer to the agent) and is sent the results. It does no I/O and starts no task, so the wire can
drive it from plain callbacks, a test by hand, and a replay without a network.

Three things hold whatever happens on the way:
- Fail closed: anything unexpected before a permit is a refusal (in one place, here; no guard needs to care).
- Only a Permit is sent upstream, and only ``decide`` makes one.
- What was reserved is settled and the call is recorded, exactly once, whichever of the exits it took: answered,
  refused, broken, or abandoned by the agent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from gateway.decide.engine import AskHuman, Look, Pace, Reserve, decide
from gateway.decide.shapes import Check, Quota
from gateway.errors import ClientGone, Refused, UpstreamError
from gateway.identify import NO_RUN, Source, identify, run_of
from gateway.model import (
    Agent,
    Answered,
    Call,
    Decision,
    Fields,
    Mode,
    Outcome,
    Permit,
    Reason,
    Refusal,
    Request,
    Run,
    Spoke,
    Tool,
    Trace,
    Verdict,
)
from gateway.ports import Clock, Ledger, Pacer, Recorder
from gateway.understand.http import HttpReader, phrase
from gateway.understand.route import Router


class ReadBody(Struct, frozen=True):
    """Answered with the whole request body, or None where it is over ``limit`` bytes and ``optional``.

    Over the limit and not optional: the wire throws Refused (413) in.
    """

    limit: int
    optional: bool


class Await(Struct, frozen=True):
    """Answered with what the awaitable gives."""

    awaitable: Awaitable[Any]


class Send(Struct, frozen=True):
    """Make the permitted call. Answered with Answered at the head of the answer; UpstreamError is thrown in."""

    permit: Permit


class Relay(Struct, frozen=True):
    """Pass the answer on as it comes, with these field lines added. Answered with the Outcome at its end."""

    lines: bytes


class Reply(Struct, frozen=True):
    """Answer the agent ourselves. Answered with the Outcome."""

    status: int
    fields: Fields
    body: bytes


Effect = ReadBody | Await | Send | Relay | Reply
Way = Generator[Effect, Any, None]

ABANDONED = Outcome(499, fault="agent", error="the agent closed its connection")


class Street(Struct, frozen=True):
    """What stands along the way of calls to one tool."""

    tool: Tool
    reader: HttpReader
    checks: tuple[Check, ...]
    quotas: tuple[Quota, ...]


class Pipeline(Struct, frozen=True):
    """Everything one version of configuration and policy needs to take a call from arrival to record.

    Frozen: a reload makes a new one, and calls under way keep the one they began with.
    """

    version: str
    sources: tuple[Source, ...]
    run_header: bytes
    router: Router
    streets: Mapping[str, Street]
    ledger: Ledger
    pacer: Pacer
    recorder: Recorder
    clock: Clock
    wall: Clock
    ident: Callable[[], str]

    def run(self, request: Request) -> Way:
        """The way of one call. Ends when the agent has its answer, or has gone."""
        story = Story(self.ident(), request, self.clock())
        outcome = ABANDONED
        try:
            decision = story.decision = yield from self._decision(story)
            story.decided = story.opened = self.clock()
            if isinstance(decision, Permit):
                try:
                    answered: Answered = yield Send(decision)
                    story.opened = self.clock()
                    self.ledger.answered(decision.holds, answered, story.opened)
                    outcome = yield Relay(_told(story, answered, decision.spoke))
                except UpstreamError as error:
                    outcome = yield _reply(_broken(error), story.ident)
                    outcome = _blame(outcome, error)
            else:
                outcome = yield _timed(_reply(decision, story.ident), story)
        except ClientGone as gone:
            outcome = gone.args[0] if gone.args else ABANDONED
        except Exception as error:
            outcome = Outcome(500, fault="gateway", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            self._end(story, outcome)

    def reject(self, request: Request, refusal: Refusal) -> Reply:
        """The answer to bytes that never became a call (``request`` is as far as they were read): recorded too."""
        story = Story(self.ident(), request, self.clock())
        story.decision = refusal
        reply = _reply(refusal, story.ident)
        self._end(story, Outcome(refusal.status, fault="agent", error=refusal.detail, sent=len(reply.body)))
        return reply

    def _end(self, story: Story, outcome: Outcome) -> None:
        """Settle what was reserved and record the call, even where settling breaks."""
        ended = self.clock()
        try:
            if isinstance(story.decision, Permit):
                self.ledger.settle(story.decision.holds, outcome, ended)
        finally:
            self.recorder.record(
                Trace(
                    story.ident,
                    self.wall() - (ended - story.began),
                    story.began,
                    story.decided,
                    story.opened,
                    ended,
                    story.request,
                    story.agent,
                    story.run,
                    story.tool,
                    story.operation,
                    self.version,
                    story.decision,
                    outcome,
                    story.queued,
                )
            )

    def _decision(self, story: Story) -> Generator[Effect, Any, Decision]:
        """Identify, understand, decide. Whatever goes wrong here is a refusal."""
        request = story.request
        try:
            if not self.recorder.available:
                raise Refused(
                    Reason.TRACE_UNAVAILABLE, 503, "calls cannot be recorded now, so none are made", "", (), 5
                )
            agent = story.agent = identify(request, self.sources)
            run = story.run = run_of(request, self.run_header)
            route = self.router.route(request)
            street = self.streets[route.tool.name]
            story.tool = route.tool.name
            body = None
            if street.reader.wants_body(request):
                body = yield ReadBody(route.tool.body_limit, route.tool.head_only)
            call = street.reader.read(story.ident, request, route, agent, run, body)
            story.operation = call.operation
            return (yield from self._decide(call, street.checks, street.quotas, story))
        except Refused as refused:
            return _refusal(refused)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - fail closed, whatever broke
            return Refusal(Reason.INTERNAL_ERROR, 500, f"{type(error).__name__} while deciding: {error}", "pipeline")

    def _decide(
        self, call: Call, checks: Sequence[Check], quotas: Sequence[Quota], story: Story
    ) -> Generator[Effect, Any, Decision]:
        """Drive the deciding generator: answer what can be answered at once, pass on what must be waited for."""
        deciding = decide(call, checks, quotas)
        answer: object = None
        while True:
            try:
                effect = deciding.send(answer)
            except StopIteration as done:
                decision: Decision = done.value
                return decision
            if isinstance(effect, Reserve):
                answer = self.ledger.reserve(effect.claims, self.clock())
            elif isinstance(effect, Look):
                answer = self.ledger.look(effect.claims, self.clock())
            elif isinstance(effect, Pace):
                paced = self.pacer.pace(effect.claim)
                if not isinstance(paced, bool):
                    began = self.clock()
                    paced = yield Await(paced)
                    story.queued += self.clock() - began
                answer = paced
            elif isinstance(effect, AskHuman):
                answer = None  # no approval desk yet: nobody approved
            else:
                raise TypeError(f"decide asked for {effect!r}")


class Story:
    """What is known of a call so far, for its record."""

    __slots__ = (
        "agent",
        "began",
        "decided",
        "decision",
        "ident",
        "opened",
        "operation",
        "queued",
        "request",
        "run",
        "tool",
    )

    def __init__(self, ident: str, request: Request, began: float) -> None:
        self.ident = ident
        self.request = request
        self.began = self.decided = self.opened = began
        self.agent: Agent | None = None
        self.run: Run = NO_RUN
        self.tool = self.operation = ""
        self.decision: Decision | None = None
        self.queued = 0.0


def _reply(refusal: Refusal, ident: str) -> Reply:
    fields, body = phrase(refusal, ident)
    return Reply(refusal.status, fields, body)


def _timed(reply: Reply, story: Story) -> Reply:
    """The reply to a refusal, with how long it took to decide (W3C Server-Timing)."""
    spent = b"decide;dur=%.3f" % ((story.decided - story.began) * 1e3)
    return Reply(reply.status, (*reply.fields, (b"Server-Timing", spent)), reply.body)


def _refusal(refused: Refused) -> Refusal:
    return Refusal(
        refused.reason,
        refused.status,
        refused.detail,
        retry_after=refused.retry_after,
        retryable=refused.retry_after > 0,
        advice=refused.advice,
        fields=refused.fields,
    )


_ADVICE = {
    502: "the tool cannot be reached or broke off; try again later, or go on without it",
    504: "the tool did not answer in time; whether it did the work is not known",
}


def _broken(error: UpstreamError) -> Refusal:
    return Refusal(
        error.reason,
        error.status,
        error.detail,
        retryable=error.status in (502, 504),
        advice=_ADVICE.get(error.status, ""),
    )


def _blame(outcome: Outcome, error: UpstreamError) -> Outcome:
    return Outcome(outcome.status, 0, blame(error), error.detail, outcome.received, outcome.sent)


def blame(error: UpstreamError) -> str:
    """Who broke a call that was under way: agent, tool or gateway."""
    if error.reason is Reason.DRAINING:
        return "gateway"
    return "agent" if error.status < 500 else "tool"


def _told(story: Story, answered: Answered, spoke: tuple[Spoke, ...]) -> bytes:
    """The field lines added to a tool's answer: timings (W3C Server-Timing), the call's id, and warnings."""
    lines = (
        f"Server-Timing: decide;dur={(story.decided - story.began) * 1e3:.3f}, "
        f"upstream;dur={answered.first_byte * 1e3:.3f}\r\nX-Toolgate-Call: {story.ident}\r\n"
    ).encode()
    if not spoke:
        return lines
    warnings = [
        f"{said.policy}/{said.rule}: {said.message}"
        for said in spoke
        if said.mode is Mode.WARN or (said.mode is Mode.ENFORCE and said.verdict is Verdict.WARN)
    ]
    return lines + b"".join([b"X-Toolgate-Warning: %b\r\n" % _one_line(warning) for warning in warnings])


def _one_line(text: str) -> bytes:
    """Text fit for a field value: visible ASCII, the rest as ``?``."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:500]).encode("ascii")


__all__ = ["Await", "Effect", "Pipeline", "ReadBody", "Relay", "Reply", "Send", "Street", "Way"]
