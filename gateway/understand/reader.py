"""What the pipeline asks of a protocol: read a call, phrase a refusal, read an answer. One implementation a protocol.

A reader belongs to one tool and one version of the configuration. It is quiet; what it must remember between calls
(the tools that an MCP server offers) it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from gateway.model import (
    Agent,
    Answered,
    Call,
    Changed,
    Fields,
    Findings,
    Proposal,
    Refusal,
    Request,
    Route,
    Run,
    Spoke,
)


class Phrased(Struct, frozen=True):
    """An answer of our own, in the protocol's words."""

    status: int
    fields: Fields
    body: bytes


class Judge(Protocol):
    """What the policies make of one call's answer. Made for one call; it gathers what its rules say."""

    @property
    def reads_result(self) -> bool:
        """Whether a rule of the response phase can match this call, so that the whole result must be read first."""

    @property
    def reads_proposals(self) -> bool:
        """Whether a rule of the proposal phase can match this call."""

    @property
    def wants_result(self) -> bool:
        """Whether the result is to be kept in the findings: a rule of the response phase or a price reads it."""

    @property
    def compares(self) -> bool:
        """Whether a guard compares the result with earlier ones: its digest is wanted, and what the tool complains of.
        It is no reason to hold an answer back."""

    @property
    def spoke(self) -> tuple[Spoke, ...]:
        """Every rule of the answer's phases that has spoken so far."""

    @property
    def fields(self) -> tuple[Changed, ...]:
        """Paths (``result.items.*.ssn``) of what must be masked in the result that was judged last, and what else is to
        be changed in it."""

    def result(self, status: int, found: Findings) -> Refusal | None:
        """Judge a whole result (``found.result``, ``found.is_error``, ``found.usage``, ``found.proposed``). Where that
        gives None, the agent may have it, but for ``fields``."""

    def proposal(self, proposal: Proposal) -> Refusal | None:
        """Judge one tool call that a model proposes."""

    def lists(self, operation: str, facts: Mapping[str, Any]) -> bool:
        """Whether the agent may call this operation at all: what it may not is left out of lists.

        ``facts`` are the operation's own (``tool.readOnly`` and its like), by the names of the CEL variables.
        """


class Pulse(Protocol):
    """A stream of events that is opened while a call waits for a person, so that nobody takes its connection for
    dead, and that what comes of the call then ends."""

    every: float
    """Seconds of silence before it is opened, and between two beats."""
    fields: Fields
    """Of its head."""

    def beat(self, *, asked: bool) -> bytes:
        """A sign of life. ``asked``: a person is waited for, and not the tool."""

    def told(self, lines: bytes) -> bytes:
        """Field lines that would have stood in a head, in its body."""

    def passes(self, status: int, kind: str, coding: str) -> bool:
        """Whether a tool's answer with this status, media type and content coding can go on in it as it comes."""

    def whole(self, status: int, body: bytes) -> bytes:
        """Any other answer, the tool's or our own, as its end."""


class Answer(Protocol):
    """What the body of one answer goes through on its way to the agent. Made when its head is here.

    Not ``rewrites``: the pieces are passed on as they come, and ``feed`` gives back what it was given.
    ``rewrites``: the agent gets what ``feed`` and ``end`` give, so length and validators of the original are dropped.
    ``whole`` (with ``rewrites``): nothing goes out, the head neither, before ``end`` has given the body; only then can
    ``refusal`` still change the status. A ``whole`` answer over the tool's body limit is refused unread.

    Neither method raises for what a tool says: malformed input is passed on, or held back and told in ``found``.
    """

    rewrites: bool
    whole: bool

    def feed(self, data: bytes) -> bytes:
        """Bytes of the body as they came; the bytes for the agent."""

    def end(self) -> bytes:
        """The body is complete; what is left for the agent."""

    def found(self) -> Findings:
        """What is known so far: asked at the end, and where the call broke off."""

    def refusal(self) -> Refusal | None:
        """Of a ``whole`` answer, after ``end``: the agent gets this, phrased by the reader, instead of the answer."""


class Reader(Protocol):
    """One protocol, for one tool."""

    def wants_body(self, request: Request) -> bool:
        """Whether the request's body must be read ahead of the decision."""

    def read(self, ident: str, request: Request, route: Route, agent: Agent, run: Run, body: bytes | None) -> Call:
        """The call that a request is. ``body`` is the whole body where it was read ahead, else None.

        Raises:
            Refused: it cannot be read in one way only, or is against the protocol.
        """

    def redact(self, call: Call, fields: Sequence[Changed], body: bytes | None) -> Call:
        """The call as the tool gets it with these fields (``args.password``) masked: in ``args``, and wherever they
        stand in what is sent; ``amendments`` name those that were there. ``body`` is what ``read`` was given.

        Raises:
            Refused: REDACTION_FAILED, where some could reach the tool unmasked.
        """

    def phrase(self, refusal: Refusal, ident: str, request: Request, body: bytes | None) -> Phrased:
        """A refusal in the protocol's words. ``body`` as in ``read``, which may have refused it."""

    def answer(self, call: Call, answered: Answered, judge: Judge) -> Answer | None:
        """How the answer to a permitted call is read, or None where it is passed on unread."""

    def plain(self, call: Call) -> bool:
        """Whether the tool must be asked for an uncompressed answer (Accept-Encoding), since it will be read."""
