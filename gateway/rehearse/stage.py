"""A stage for calls that are not live: one version's streets, with counters and runs of its own, and a clock that its
user sets.

``Stage`` decides a call that is known already, as a replay does: ``decide``, then ``settle`` with what came of it.
Nothing outside is read, asked or told. Times are seconds from the stage's beginning, and must not go back.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from msgspec import structs

from gateway.config.described import Described
from gateway.config.load import Loaded
from gateway.decide.engine import AskHuman, Effect, Look, Pace, Reserve, decide
from gateway.decide.rules import labels_of, quarantines_of
from gateway.errors import Refused, refusal_of
from gateway.model import (
    Agent,
    Answered,
    Call,
    Decision,
    Hold,
    Outcome,
    Permit,
    PoolClaim,
    RateClaim,
    Reason,
    Refusal,
    Run,
)
from gateway.ports import Clock
from gateway.rehearse.guardrails import with_said
from gateway.rehearse.memories import said_in
from gateway.rehearse.requests import request_of
from gateway.replies import quarantined
from gateway.settling import failed
from gateway.stores.bucket import spend, take
from gateway.stores.memory import MemoryLedger
from gateway.stores.quarantines import Register
from gateway.stores.runs import RunBook
from gateway.street import Street
from gateway.streets import Streets
from gateway.understand.kept import Kept
from gateway.understand.masking import masked_call
from gateway.understand.route import Router

Offers = Mapping[str, Sequence[Mapping[str, Any]]]
NO_OFFERS: Offers = {}


class Stage:
    """``epoch`` is the wall time at the stage's beginning, in seconds since the epoch. ``offers`` are the tools of MCP
    servers, by server, as their tools/list gives them. ``spread`` is that of circuits: SPREAD where they are to open
    and close as those of a process, which is no chance; by default none, so that times are round."""

    def __init__(self, loaded: Loaded, epoch: float = 0.0, offers: Offers = NO_OFFERS, *, spread: float = 0.0) -> None:
        self.loaded, self.epoch, self.now = loaded, epoch, 0.0
        self.ledger = MemoryLedger(self.clock, self.wall)
        self.ledger.circuits.spread = spread
        self.runs = RunBook()
        self.quarantines = Register(self.wall)
        self.turns = Turns(self.clock)
        self.router = Router(loaded.tools)
        kept = Kept()
        self.streets: dict[str, Street] = Streets(loaded, kept, self.wall).all()
        for server, tools in offers.items():
            kept.catalogue(self.streets[server].tool, loaded.pinnings[server]).learn(tools, complete=True)

    def clock(self) -> float:
        """Seconds from the beginning."""
        return self.now

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self.epoch + self.now

    def call_of(self, described: Described) -> Call:
        """The call that the described request is.

        Raises:
            Refused: it cannot be read in one way only, and the gateway would refuse it for that.
        """
        request, body = request_of(described, str(self.loaded.config.listen))
        route = self.router.route(request)
        agent = Agent(described.agent, described.roles, "described", claims=described.claims)
        run = Run(described.run, task=described.task)
        reader = self.streets[route.tool.name].reader
        call = reader.read("described", request, route, agent, run, body or None).arrived(self.wall())
        call = said_in(described, call)
        return with_said(call, self.streets[route.tool.name], described.guardrail, self.loaded.config.guardrails)

    def decide(self, call: Call, at: float) -> Decision:
        """The decision on the call, taken at ``at``. A permit holds what it claimed until ``settle``.

        As live: nobody approves, and whatever breaks is a refusal. A call that would wait its turn is decided at once.
        """
        self.now = at
        refusal = self.standing(call)
        if refusal is not None:
            return refusal
        street = self.streets[call.tool.name]
        call = self.in_run(call)
        if street.reads_time:
            call = call.arrived(self.wall())
        fit = None
        if street.budgets is not None:
            fit = street.budgets.fit
            if street.reads_budgets:
                call = street.budgets.remaining(call, self.ledger.look, at)
        deciding = decide(call, street.checks, street.quotas, masked_call, fit)
        answer: object = None
        try:
            while True:
                answer = self._answer(deciding.send(answer))
        except StopIteration as done:
            decision: Decision = done.value
            self.hear(call, decision)
            if isinstance(decision, Permit):
                self.began(call, at)
            return decision
        except Refused as refused:
            return refusal_of(refused)
        except Exception as error:  # noqa: BLE001 - fail closed, as the pipeline does
            return Refusal(Reason.INTERNAL_ERROR, 500, f"{type(error).__name__} while deciding: {error}", "pipeline")

    def standing(self, call: Call) -> Refusal | None:
        """The refusal, where the call's agent, run or tool is quarantined."""
        found = self.quarantines.standing(call)
        return None if found is None else refusal_of(quarantined(found, self.wall()))

    def hear(self, call: Call, decision: Decision) -> None:
        """Mark the call's run and quarantine, as the rules and guards that spoke want it."""
        if decision.spoke:
            self.runs.mark(call.tree, labels_of(decision.spoke))
            for wanted in quarantines_of(decision.spoke):
                self.quarantines.impose(call, *wanted)
        if isinstance(decision, Refusal) and decision.quarantine:
            by = decision.rule or decision.reason.value
            self.quarantines.impose(call, decision.quarantine, decision.detail, by, decision.seconds)

    def in_run(self, call: Call) -> Call:
        """The call with what rules read of what its run has done so far."""
        street, tree = self.streets[call.tool.name], call.tree
        if not (street.reads_run and tree[1]):
            return call
        return structs.replace(call, run=street.so_far(call.run, tree, self.runs, self.now))

    def began(self, call: Call, at: float) -> None:
        """The call was permitted at ``at``: its run has one step more."""
        if not call.implied:
            self.runs.began(call.tree, at)

    def _answer(self, effect: Effect) -> object:
        if isinstance(effect, Reserve):
            held = self.ledger.reserve(effect.claims, self.now)
            if not isinstance(held, tuple):
                raise TypeError("a stage's ledger answers at once")
            return held
        if isinstance(effect, Look):
            return self.ledger.look(effect.claims, self.now)
        if isinstance(effect, Pace):
            turn = self.turns.pace(effect.claim)
            return turn.hold if isinstance(turn, Turn) else turn
        if isinstance(effect, AskHuman):
            return None
        raise TypeError(f"decide asked for {effect!r}")

    def answered(self, decision: Decision, answer: Answered, at: float) -> None:
        """The head of the tool's answer came at ``at``: circuits learn from it."""
        if isinstance(decision, Permit):
            self.ledger.answered(decision.holds, answer, at)

    def settle(self, call: Call, decision: Decision, outcome: Outcome, at: float) -> None:
        """The call ended at ``at``: places are given back, circuits told, and its cost added to its run.

        ``outcome.cost_usd`` counts where it is set; else the call is priced. Of a refused call nothing follows.
        """
        if not isinstance(decision, Permit):
            return
        self.now = at
        usd, pricer = outcome.cost_usd, self.streets[call.tool.name].pricer
        if usd is None and pricer is not None:
            usd = pricer.cost(call, outcome)
            outcome = structs.replace(outcome, cost_usd=usd)
        self.ledger.settle(decision.holds, outcome, at)
        if not call.implied:
            self.runs.ended(call.tree, at, failed=failed(outcome))
        if usd:
            self.runs.add(call.tree, usd)


class Turns:
    """Limits that wait, without waiting: a call is told how long its turn takes. Stands for ``ports.Pacer``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._full_at: dict[tuple[str, ...], float] = {}

    def pace(self, claim: RateClaim | PoolClaim) -> Hold | Turn:
        """A hold at once: granted where there is room now, not granted where that takes longer than the claim may wait;
        else a ``Turn``. Places of pools are not modelled: there always is one."""
        if isinstance(claim, PoolClaim):
            return Hold(claim, True)
        now, full_at = self._clock(), self._full_at.get(claim.key, 0.0)
        _, _, _, wait = take(full_at, claim.capacity, claim.rate, claim.cost, now)
        if wait > claim.wait:
            return Hold(claim, False, 0.0, claim.wait, "paced")
        self._full_at[claim.key] = spend(full_at, claim.rate, claim.cost, now)
        hold = Hold(claim, True, 0.0, 0.0, "paced")
        return Turn(wait, hold) if wait else hold


class Turn:
    """A call's turn in so many ``seconds``; it is awaited by whoever moves the clock."""

    def __init__(self, seconds: float, hold: Hold) -> None:
        self.seconds, self.hold = seconds, hold

    def __await__(self) -> Generator[Turn, None, Hold]:
        yield self
        return self.hold
