"""What guards ask the ledger for, and what it answers."""

from __future__ import annotations

from hashlib import blake2b

from msgspec import Struct, structs


class CircuitSettings(Struct, frozen=True):
    """When a breaker opens and closes. ``failures`` are consecutive; ``rate`` and ``slow_rate`` are 0..1 over
    ``window`` seconds, looked at from ``minimum`` calls on; 0 turns a trigger off. ``slow`` is in seconds to the first
    byte of the answer. Open for ``open`` seconds, then ``probes`` calls are let through; all must succeed."""

    failures: int = 5
    rate: float = 0.5
    window: float = 30.0
    minimum: int = 10
    open: float = 15.0
    probes: int = 1
    slow: float = 0.0
    slow_rate: float = 0.0
    result_errors: bool = False
    """An answer that says of itself that it failed (``Findings.is_error``) is a failure too."""


class Claim(Struct, frozen=True):
    """What a guard asks the ledger to set aside before the call may run. ``key`` names the counter."""

    guard: str
    key: tuple[str, ...]

    def joined(self, other: Claim) -> Claim:  # noqa: ARG002 - what adds up says so
        """This claim and that of another call of the same batch on the same counter, as one."""
        return self


class RateClaim(Claim, frozen=True):
    """``cost`` tokens out of a bucket of ``capacity`` that refills at ``rate`` tokens a second.

    ``wait`` above 0: wait up to so many seconds for room instead of refusing.
    """

    capacity: float
    rate: float
    cost: float = 1.0
    wait: float = 0.0

    def joined(self, other: Claim) -> Claim:
        return structs.replace(self, cost=self.cost + other.cost) if isinstance(other, RateClaim) else self


class SlotClaim(Claim, frozen=True):
    """One of ``capacity`` places, given back when the call ends."""

    capacity: int


class CircuitClaim(Claim, frozen=True):
    """Passage through a circuit breaker, which is told how the call ended."""

    settings: CircuitSettings
    agent: str = ""


class BudgetSettings(Struct, frozen=True):
    """How much may be spent in a window.

    ``unit`` is usd, tokens or calls; amounts are whole: micro-dollars (millionths of a US dollar), tokens, calls.
    ``window`` is hour, day or month (of the calendar, in UTC), ``rolling`` (the last ``seconds``), or ``total``
    (forgotten after ``seconds`` without use; 0: never).
    """

    limit: int
    unit: str = "usd"
    window: str = "day"
    seconds: float = 0.0
    warn: int = 0
    """From so much on, agents are warned; 0 is never."""
    hard: bool = True
    """Calls are refused where it is spent; otherwise they are only warned."""
    cut: bool = False
    """An answer that streams is cut where it comes to cost more than was reserved for it."""
    wait: float = 0.0
    """Seconds that a call waits where only what calls under way have reserved stands in its way."""


class BudgetClaim(Claim, frozen=True):
    """``amount`` of a budget, reserved before the call ``call`` (its id) and settled by what it came to.

    ``least``: where the budget has less left than ``amount``, so much will do (the answer is made shorter); 0: all or
    nothing. What was granted stands in the claim of the hold.
    """

    call: str
    amount: int
    settings: BudgetSettings
    least: int = 0

    def joined(self, other: Claim) -> Claim:
        if not isinstance(other, BudgetClaim):
            return self
        return structs.replace(self, amount=self.amount + other.amount, least=0)


class LoopSettings(Struct, frozen=True):
    """When a run goes round in circles. 0 turns a trigger off."""

    repeats: int = 3
    """So many calls that are the same and had the same result, and nothing new in between; the next is refused. It is
    also how many calls a run may make for each one that told it something new."""
    errors: int = 2
    """So many calls that are the same and failed in the same way, by the caller's fault."""
    cycles: int = 3
    """So many rounds of the same two to five calls with the same results."""
    streak: int = 0
    """So many errors in a row, whatever the calls, the tool's own too."""
    poll_repeats: int = 20
    """What ``repeats`` is for operations that are polled."""
    window: int = 20
    """Different calls of a run that are remembered."""
    memory: float = 1800.0
    """Seconds after which an event is forgotten."""
    refusals: int = 3
    """After so many refusals of a loop the run is quarantined; 0 is never."""
    quarantine: float = 3600.0
    """Seconds that it is quarantined for; 0 is until somebody lifts it."""
    enforced: bool = True
    """Otherwise what would be refused is only recorded."""


def _both(one: str, other: str) -> str:
    """The intent of both calls; none where one has none."""
    return blake2b(f"{one} {other}".encode(), digest_size=16).hexdigest() if one and other else ""


class LoopClaim(Claim, frozen=True):
    """Leave to make this very call in its run (``key``: the guard, and agent and run at the root of the run's tree)."""

    intent: str
    """Digest of tool, operation and arguments."""
    changes: bool
    """The call may change something: what was read before it says nothing of what is read after it."""
    polls: bool
    settings: LoopSettings
    by_result: bool = False
    """A result that says of itself that it failed speaks of the call (MCP), not of a tool that breaks down."""

    def joined(self, other: Claim) -> Claim:
        """A batch is one event: it is the same as another of the same calls."""
        if not isinstance(other, LoopClaim):
            return self
        return structs.replace(
            self,
            intent=_both(self.intent, other.intent),
            changes=self.changes or other.changes,
            polls=self.polls and other.polls,
        )


class RetrySettings(Struct, frozen=True):
    """How often what failed may be tried again.

    A bucket of ``tokens`` for each agent and tool: a retry takes one, a success puts ``ratio`` back, and retries are
    let through while it is more than half full (gRPC A6). A call that failed by the caller's own fault is answered
    from memory for ``remember`` seconds: ``teach`` times with what the tool said, then with a short refusal.
    """

    tokens: float = 10.0
    ratio: float = 0.1
    teach: int = 2
    remember: float = 30.0
    within: float = 10.0
    """Seconds for which a call after a failed one of the same operation counts as a retry of it."""
    enforced: bool = True
    """Otherwise what would be refused is only recorded."""


class RetryClaim(Claim, frozen=True):
    """Leave to make a call that may be a repetition of a failed one (``key``: the guard, agent, tool)."""

    tree: tuple[str, str]
    """Agent and run at the root of the run's tree."""
    operation: str
    intent: str
    changes: bool
    settings: RetrySettings
    by_result: bool = False
    """Whether the caller was at fault is told by results alone (MCP): statuses speak of the session."""

    def joined(self, other: Claim) -> Claim:
        """A batch is one event, known by its first operation."""
        if not isinstance(other, RetryClaim):
            return self
        intent = _both(self.intent, other.intent)
        return structs.replace(self, intent=intent, changes=self.changes or other.changes)


class RunSettings(Struct, frozen=True):
    """Bounds of a run with all the runs that it led to. 0 is no bound."""

    depth: int = 0
    """Calls within calls: agent, tool, agent, tool, ..."""
    fan_out: int = 0
    """Runs that one run leads to directly."""
    steps: int = 0
    """Calls."""
    duration: float = 0.0
    """Seconds since its first call."""


class RunClaim(Claim, frozen=True):
    """More steps of a run (``key``: the guard, and agent and run at the root of the tree)."""

    run: tuple[str, str]
    """Agent and run of this call."""
    parent: tuple[str, str]
    """Agent and run that led to this one; the same as ``run`` at the root."""
    depth: int
    settings: RunSettings
    steps: int = 1

    def joined(self, other: Claim) -> Claim:
        return structs.replace(self, steps=self.steps + other.steps) if isinstance(other, RunClaim) else self


class PoolSettings(Struct, frozen=True):
    """A tool's places, shared fairly between agents."""

    concurrency: int
    queue: int = 100
    """Calls that wait at most."""
    wait: float = 10.0
    """Seconds that each waits at most."""
    charge: str = "calls"
    """What an agent's share is counted by: calls, seconds or tokens."""
    ageing: float = 5.0
    """Seconds of waiting that make up for one level of priority."""
    adaptive: bool = False
    """The number of places follows the tool's latency, between ``least`` and ``concurrency``."""
    least: int = 1
    per_agent: float = 0.8
    """The share of the places that one agent has at most; below 1, some are always left to others."""


class PoolClaim(Claim, frozen=True):
    """A place in a pool (``key``: the guard, the tool), waited for in line, given back when the call ends."""

    agent: str
    weight: float
    priority: int
    settings: PoolSettings


class Hold(Struct, frozen=True):
    """The ledger's answer to one claim.

    ``left`` is what is left: tokens, places, an amount of a budget. ``state`` says where things stand: a breaker's
    state, what was found (``repeats``, ``cycle``), of a budget ``warn`` (nearly spent), ``short`` (less was granted
    than was asked for) or ``unavailable``. ``detail`` is for people, ``escalate`` asks for more than this refusal: that
    the run be quarantined.
    """

    claim: Claim
    granted: bool
    left: float = 0.0
    retry_after: float = 0.0
    state: str = ""
    detail: str = ""
    escalate: bool = False
    status: int = 0
    """What the tool answered the last time, where the refusal stands for that answer."""
