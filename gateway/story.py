"""What is known of a call while it is on its way."""

from __future__ import annotations

from gateway.decide.results import ResultJudge
from gateway.identify import NO_RUN
from gateway.model import Agent, Answered, Call, Decision, Request, Run
from gateway.understand.reader import Answer, Reader


class Story:
    """What is known of a call so far, for its record."""

    __slots__ = (
        "agent",
        "answer",
        "answered",
        "began",
        "body",
        "call",
        "decided",
        "decision",
        "ident",
        "judge",
        "opened",
        "operation",
        "queued",
        "reader",
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
        self.reader: Reader | None = None
        self.body: bytes | None = None
        self.call: Call | None = None
        self.judge: ResultJudge | None = None
        self.answer: Answer | None = None
        self.answered: Answered | None = None

    def redact(self, call: Call, fields: tuple[str, ...]) -> Call:
        """The call with these fields masked in what the tool gets; see ``Reader.redact``."""
        if self.reader is None:
            raise TypeError("a call that nobody has read")
        return self.reader.redact(call, fields, self.body)
