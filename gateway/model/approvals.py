"""What people are asked, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from gateway.model.reasons import Reason
from gateway.model.tools import Fields


class Escalation(Struct, frozen=True):
    """Who may decide too, from ``after`` seconds of waiting on, and where it is told then."""

    after: float
    who: str = ""
    """CEL over ``approver`` and the call's ``agent``, as in Terms."""
    notify: tuple[str, ...] = ()


class Attention(Struct, frozen=True):
    """How much of people's attention approvals of one kind may take. 0 is without bound."""

    name: str = ""
    """Whose budget: approvals of the same name share it."""
    per_hour: int = 0
    per_approver: int = 0
    beyond: str = "deny"
    """deny, or sample: ``sample`` of them still go to people, and the others are refused."""
    sample: float = 0.0


class Terms(Struct, frozen=True):
    """On which terms a call waits for a person. Times are in seconds."""

    name: str = ""
    """Names of the documents that they come from."""
    hold: float = 45.0
    """The agent's connection is held for so long; then it is told to ask again."""
    expires: float = 3600.0
    """After so long without a decision ``timeout`` applies."""
    valid: float = 600.0
    """What was approved must be called within so long; what was denied is remembered for so long."""
    approvers: int = 1
    """So many different people must approve."""
    who: str = ""
    """CEL over ``approver.id``, ``approver.roles``, ``agent.id``, ``agent.roles``; empty: whoever is an approver."""
    timeout: str = "deny"
    """deny or allow: what follows where nobody decides in time."""
    notify: tuple[str, ...] = ()
    """Channels that are told."""
    escalate: tuple[Escalation, ...] = ()
    attention: Attention = Attention()
    impact: float = 1.0
    """What is at stake, in a unit of the operator's own: orders the inbox."""
    canary: float = 0.0
    """Share of approvals beside which a question with a known answer is put."""


DEFAULT_TERMS = Terms()

RESULT = "result"
"""What an approval is about that is no call still to be made: the result of one that has been."""


class Kept(Struct, frozen=True):
    """A tool's answer, kept while a person looks at it: as the agent is to get it."""

    status: int
    fields: Fields
    """Those that say what the body is."""
    body: bytes


class Held(Struct, frozen=True):
    """One rule that holds a call, and what it had read (path as text, and value)."""

    rule: str
    text: str
    read: tuple[tuple[str, Any], ...] = ()


class Petition(Struct, frozen=True):
    """A call that waits for a person, as it is laid before the desk: all of it is text, so that it outlives the
    process."""

    binding: str
    """Digest of all that a verdict is bound to: agent, run, tool, operation, everything that the tool would get, and
    the version of configuration and policies."""
    agent: str
    roles: tuple[str, ...]
    run: str
    tree: tuple[str, str]
    tool: str
    operation: str
    version: str
    held: tuple[Held, ...]
    terms: Terms
    call: str = ""
    """Id of the call that asks, for the record."""
    payload: bytes = b""
    """JSON of what a person looks at: see ``understand/petitions.py``."""
    editable: bool = False
    """Whether other arguments can take the place of the call's."""
    answerable: bool = False
    """Whether a person's own answer can take the place of the tool's."""
    about: str = ""
    """RESULT, or nothing for the call itself."""
    kept: bytes = b""
    """A result, to be kept until somebody has decided (``Kept``)."""


class ApprovalState(StrEnum):
    """Where an approval stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    """A person said yes, and the call has not been made yet."""
    DENIED = "denied"
    ANSWERED = "answered"
    """A person gave the result."""
    RUNNING = "running"
    """It has been taken by a call, which may have reached its tool. Whoever dies here leaves it so: nobody knows."""
    DONE = "done"
    EXPIRED = "expired"
    """Nobody decided in time, or nobody called in time."""
    WITHDRAWN = "withdrawn"
    """The run or agent was quarantined, or an operator took it back."""


OPEN = frozenset({ApprovalState.WAITING, ApprovalState.APPROVED, ApprovalState.RUNNING})


class Vote(Struct, frozen=True):
    """What one person said. ``verb`` is approve, deny, edit, answer, endorse or ask; ``at`` seconds since the epoch."""

    by: str
    verb: str
    at: float
    message: str = ""
    roles: tuple[str, ...] = ()
    seconds: float = 0.0
    """From when they first had it before them to the verdict; 0 where that is not known."""
    via: str = ""
    """console, cli, api, or the channel's name."""
    edit: str = ""
    """With edit: the name under which the docket keeps the arguments (their digest), which never change."""


class Approval(Struct, frozen=True):
    """One question to people, from its asking to its end. Times are seconds since the epoch."""

    id: str
    binding: str
    agent: str
    roles: tuple[str, ...]
    run: str
    tree: tuple[str, str]
    tool: str
    operation: str
    version: str
    held: tuple[Held, ...]
    terms: Terms
    opened: float
    expires: float
    """Until when somebody must have decided; once approved, until when it must be called."""
    state: ApprovalState = ApprovalState.WAITING
    votes: tuple[Vote, ...] = ()
    decided: float = 0.0
    message: str = ""
    """What the model is told by whoever denied it, asked back, or answered."""
    edited: bool = False
    """The payload has other arguments, which were approved in place of the call's."""
    editable: bool = False
    answerable: bool = False
    asked: int = 1
    """How often the same call has been made so far."""
    call: str = ""
    """The call that asked first; once it runs, the call that took it."""
    escalated: int = 0
    canary: bool = False
    """Nobody waits: its answer is known. Never told to whoever decides."""
    outcome: str = ""
    """What came of the call that took it: its status, or ``unknown``."""
    size: int = 0
    """Bytes of the payload, and of what is kept."""
    about: str = ""
    """As in Petition."""

    @property
    def rules(self) -> tuple[str, ...]:
        """``policy/rule`` of what holds it."""
        return tuple([held.rule for held in self.held])

    @property
    def approvals(self) -> int:
        """How many different people have approved so far."""
        return len({vote.by for vote in self.votes if vote.verb in ("approve", "edit", "endorse")})


class Ruling(Struct, frozen=True):
    """What a call that asked for a person is told.

    ``granted``: it may go on. Then ``approval`` names what must be claimed before the call is made; it is empty where
    nothing is used up (an exemption, values that were endorsed), which ``why`` tells.
    """

    granted: bool
    approval: str = ""
    by: tuple[str, ...] = ()
    verb: str = ""
    """approve, edit, answer, deny, exempt, endorsed, pending, expired, budget, unavailable."""
    why: str = ""
    message: str = ""
    edited: Mapping[str, Any] | None = None
    """Arguments in place of the call's."""
    reason: Reason = Reason.APPROVAL_REQUIRED
    """Of the refusal, where it is not granted."""
    status: int = 403
    advice: str = ""
    waited: float = 0.0
    """Seconds that this call waited."""
    url: str = ""
    """The page at which the agent's own user may look at it, where the agent's client opens pages."""
    fields: Fields = ()
    kept: bytes = b""
    """With what was approved of a result: the result (``Kept``)."""
