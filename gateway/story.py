"""What is known of a call while it is on its way."""

from __future__ import annotations

from collections.abc import Awaitable

from gateway.decide.results import ResultJudge
from gateway.identify import NO_RUN
from gateway.model import (
    NO_FACTS,
    Agent,
    Answered,
    Call,
    Changed,
    Decision,
    Glance,
    Hold,
    Outcome,
    Recalled,
    Refusal,
    Request,
    Ruling,
    Run,
    Trace,
)
from gateway.understand.reader import Answer, Reader


class Story:
    """What is known of a call so far, for its record."""

    __slots__ = (
        "again",
        "agent",
        "answer",
        "answered",
        "asked",
        "began",
        "binding",
        "body",
        "call",
        "claimed",
        "counted",
        "decided",
        "decision",
        "gives",
        "heard",
        "holds",
        "ident",
        "judge",
        "looked",
        "opened",
        "operation",
        "over",
        "queued",
        "raw",
        "read",
        "reader",
        "recalled",
        "request",
        "run",
        "sent",
        "settled",
        "tool",
        "withheld",
        "writing",
    )

    def __init__(self, ident: str, request: Request, began: float) -> None:
        self.ident = ident
        self.request = request
        self.began = self.decided = self.opened = began
        self.agent: Agent | None = None
        self.run: Run = NO_RUN
        self.tool = self.operation = ""
        self.decision: Decision | None = None
        self.queued = self.read = 0.0
        self.reader: Reader | None = None
        self.body: bytes | None = None
        """What the reader was given."""
        self.raw: bytes | None = None
        """What was read ahead, where the reader did not want it."""
        self.call: Call | None = None
        self.judge: ResultJudge | None = None
        self.answer: Answer | None = None
        self.answered: Answered | None = None
        self.holds: tuple[Hold, ...] = ()
        """What has been taken for it so far, and must be given back whatever becomes of it."""
        self.claimed: Ruling | None = None
        """The approval that has been taken for it, and is to be settled or given back."""
        self.writing: tuple[Glance, ...] = ()
        """Keys of a memory of which it is the writer, until it is settled or given back."""
        self.heard: bytes | None = None
        """The body of a write's answer, where something is to be learnt from it."""
        self.settled = False
        """Whether what it wrote is known already."""
        self.recalled: tuple[Recalled, ...] = ()
        """What came of the keys of a memory that it touched."""
        self.again: tuple[Recalled, ...] = ()
        """What came of asking stores again for what its run has seen."""
        self.asked = 0.0
        """Seconds that it waited for a person."""
        self.counted = False
        """Whether its run has counted it as a step."""
        self.sent = False
        """Whether the call may have reached its tool."""
        self.over = False
        """Whether all is settled already, while people look at its result."""
        self.binding = ""
        """What its result is bound to, where a person may have to look at that."""
        self.looked: Ruling | None = None
        """What a person said of its result."""
        self.withheld: Refusal | None = None
        """What the agent got instead of its result, by that."""
        self.gives = False
        """Whether what has been claimed is a result, which is used up once the agent has it."""

    async def keep(self, reserving: Awaitable[tuple[Hold, ...]]) -> tuple[Hold, ...]:
        """Wait for holds, and note them in the same step: an agent that goes now must not take them along."""
        holds = await reserving
        self.hold(holds)
        return holds

    async def claim(self, claiming: Awaitable[bool], ruling: Ruling) -> bool:
        """Take what was approved, and note it in the same step, as ``keep``."""
        taken = await claiming
        if taken:
            self.claimed = ruling
        return taken

    async def write(self, claiming: Awaitable[None], glances: tuple[Glance, ...]) -> None:
        """Begin a write, and note it in the same step, as ``keep``."""
        await claiming
        self.writing = glances

    async def queue(self, pacing: Awaitable[Hold]) -> Hold:
        """Wait for a turn, as ``keep``."""
        hold = await pacing
        self.hold((hold,))
        return hold

    def hold(self, holds: tuple[Hold, ...]) -> None:
        """Note what was granted: all of it, or nothing was."""
        for hold in holds:
            if not hold.granted:
                return
        self.holds += holds

    def redact(self, call: Call, fields: tuple[Changed, ...]) -> Call:
        """The call with these fields masked in what the tool gets, which may have been changed before; see
        ``Reader.redact``."""
        if self.reader is None:
            raise TypeError("a call that nobody has read")
        body = call.body if call.body is not None else self.body
        return self.reader.redact(call, fields, body)

    def trace(self, version: str, wall: float, outcome: Outcome, ended: float) -> Trace:
        """The record. ``version`` of the policies decided; it arrived at ``wall`` (seconds since the epoch)."""
        call = self.call
        return Trace(
            self.ident,
            wall,
            self.began,
            self.decided,
            self.opened,
            ended,
            self.request,
            self.agent,
            self.run,
            self.tool,
            self.operation,
            version,
            self.decision,
            outcome,
            self.queued,
            NO_FACTS if call is None else call.facts,
            () if call is None else call.amendments,
            call,
            self.read,
            self.asked,
            self.again + self.recalled,
        )
