"""What came of a call, and its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.model.approvals import Ruling
from gateway.model.calls import NO_FACTS, Agent, Call, Decision, Request, Run
from gateway.model.coherence import Recalled
from gateway.model.reasons import Reason
from gateway.model.tools import Fields
from gateway.model.verdicts import Refusal, Spoke


class Answered(Struct, frozen=True):
    """The head of an upstream's answer. ``first_byte`` is the seconds from the start of the upstream call to it."""

    status: int
    first_byte: float
    content_type: str = ""
    """The media type with its parameters, as the tool gave it; told only of answers that may be read."""
    content_encoding: str = ""
    session: str = ""
    """Id of the session that an MCP server has begun with it; told only of answers to what keeps a session going."""
    labels: tuple[str, ...] = ()
    """Of what it tells, beside those of the operation: where it came from is known to the shared memory."""
    fields: Fields = ()
    """All of its header fields, as they came; told only of answers that may be read."""


class Usage(Struct, frozen=True):
    """What a model read and wrote, in tokens. ``input_tokens`` counts everything that was read, cached or not;
    ``cache_read_tokens`` and ``cache_write_tokens`` are parts of it; ``reasoning_tokens`` a part of the output."""

    model: str = ""
    """The model that answered, by the provider's name for it."""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    heard_tokens: int = 0
    """A part of the input: sound."""
    spoken_tokens: int = 0
    """A part of the output: sound."""
    estimated: bool = False
    """Counted from bytes, since the provider did not say (a stream that was cut)."""


class Proposal(Struct, frozen=True):
    """A tool call that a model proposes in its answer. ``args`` is None where its text is no JSON object."""

    name: str
    args: Mapping[str, Any] | None = None
    id: str = ""
    refused: str = ""
    """``policy/rule`` that kept it from the agent, or empty."""


class Findings(Struct, frozen=True):
    """What was read in a tool's answer. All of it is optional: most answers are passed on unread."""

    is_error: bool = False
    """The tool says that it failed, whatever the status (MCP ``isError``, an ``error`` event in a stream)."""
    usage: Usage | None = None
    proposed: tuple[Proposal, ...] = ()
    result: Mapping[str, Any] | None = None
    """The result as rules see it, kept only where a rule or a price reads it."""
    refusal: Refusal | None = None
    """The answer, or a part of it, was kept from the agent: why."""
    answered: bool = False
    """What was asked for has been passed on: an agent that leaves now (and ends the stream) has not broken it off."""
    spoke: tuple[Spoke, ...] = ()
    digest: str = ""
    """Digest of the result, where a guard compares results; empty where it was not read to its end."""
    complaint: str = ""
    """The beginning of what the tool said of a call that failed, where a guard keeps that."""
    notes: tuple[str, ...] = ()
    """What a reader of the record should know (``usage estimated: the stream was cut``)."""
    ruling: Ruling | None = None
    """What came of asking a person about the result."""


NOTHING_FOUND = Findings()


class Outcome(Struct, frozen=True):
    """What came of a call, told once at its end whatever the exit.

    ``status`` is what the agent got (499: it had gone). ``upstream`` is what the tool answered, 0 for nothing.
    ``fault`` is "" | "tool" | "agent" | "gateway": who broke it. Sizes are body bytes in and out.
    """

    status: int
    upstream: int = 0
    fault: str = ""
    error: str = ""
    received: int = 0
    sent: int = 0
    first_byte: float = 0.0
    """Seconds from the start of the upstream call to the head of its answer; 0 for none."""
    found: Findings = NOTHING_FOUND
    cost_usd: float | None = None
    """What the call cost, in US dollars; None where nothing has a price."""
    unsent: bool = False
    """Nothing of the call has reached the tool: there was no connection, or nothing went through it."""
    reason: Reason | None = None
    """Why a permitted call broke before the agent had any of the answer, or a tunnel before anything went through."""


class Shift(Struct, frozen=True):
    """Something that changed while a run went on: ``policy``, ``identity`` (roles of an agent, and how it is known) or
    ``tool`` (its pin)."""

    what: str
    before: str
    now: str


class Trace(Struct, frozen=True):
    """One line of the record: a call from arrival to outcome. Times are monotonic seconds unless said otherwise."""

    id: str
    wall: float
    """Arrival, seconds since the epoch."""
    began: float
    decided: float
    opened: float
    ended: float
    request: Request
    agent: Agent | None
    run: Run
    tool: str
    operation: str
    policy: str
    """Digest of the policy set that decided."""
    decision: Decision | None
    outcome: Outcome
    queued: float = 0.0
    """Seconds spent waiting for a place (limits in wait mode)."""
    facts: Mapping[str, Any] = NO_FACTS
    """What the protocol told of the call; see ``Call.facts``."""
    amendments: tuple[str, ...] = ()
    call: Call | None = None
    """The call as the policies saw it, but with the masks that they put on; None where the request was not read so
    far."""
    read: float = 0.0
    """Seconds spent waiting for the body."""
    asked: float = 0.0
    """Seconds spent waiting for a person."""
    recalled: tuple[Recalled, ...] = ()
    """What came of the keys of a memory that it touched."""
    shifts: tuple[Shift, ...] = ()
    """What was otherwise at the call before it in its run."""
