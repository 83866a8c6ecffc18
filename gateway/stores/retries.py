"""What stands behind guards of retries, in memory: faults of runs, throttles of agents, outages of tools."""

from __future__ import annotations

from msgspec import structs

from gateway.model import Hold, Outcome, RetryClaim
from gateway.stores.failures import Ended, ended
from gateway.stores.faults import Fault, Faults
from gateway.stores.keeper import Keeper
from gateway.stores.shares import Shares
from gateway.stores.throttle import PROBE, RECOVERED, RETRY, Outage, Probes, Throttle, jitter

CAPACITY = 4096
"""Runs with faults, and agents by tool, that are remembered; beyond, those of the agent with the most are forgotten,
the least recently used first."""

_BY_FIELDS = frozenset({401, 406, 407, 411, 412, 415, 416, 417, 426, 428, 431})
"""Statuses that speak of header fields (RFC 9110, 6585): with others the same call may succeed."""
_AT_ODDS = frozenset({409, 423})
"""The tool works: it is the call that comes at the wrong time."""

TAUGHT, STOPPED, EXHAUSTED = "taught", "stopped", "exhausted"
"""States of a hold that says why a call is refused: answered from memory, not even that any more, no retries left."""


class Retries(Keeper[RetryClaim]):
    """Faults by guard and tree of runs, throttles by guard, agent and tool, outages by guard and tool."""

    ends = True
    refuses = True

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._faults: Shares[tuple[str, ...], Faults] = Shares(capacity)
        self._throttles: Shares[tuple[str, ...], Throttle] = Shares(capacity)
        self._outages: dict[tuple[str, str], Outage] = {}

    def look(self, claim: RetryClaim, now: float) -> Hold:
        settings = claim.settings
        fault = self._fault(claim, now)
        if fault is not None:
            state = TAUGHT if fault.told < settings.teach else STOPPED
            return Hold(claim, not settings.enforced, 0.0, 0.0, state, fault.complaint, False, fault.status)
        throttle = self._throttles.get(claim.key)
        if throttle is None:
            return Hold(claim, True, settings.tokens)
        if not throttle.retries(_names(claim), now, settings.within):
            return Hold(claim, True, throttle.tokens)
        passes = throttle.passes(settings, self._outages.get(_tool(claim)), now)
        if passes:
            return Hold(claim, True, throttle.tokens, state=passes)
        probes = self._probes(claim, now)
        wait = jitter(max(1.0, probes.wait(now) if probes is not None else 0.0), claim.key[1], now)
        return Hold(claim, not settings.enforced, throttle.tokens, wait, EXHAUSTED)

    def take(self, claim: RetryClaim, hold: Hold, now: float) -> Hold:
        if hold.state == RETRY:
            throttle = self._throttles.get(claim.key)
            if throttle is not None:
                throttle.draw()
        elif hold.state == RECOVERED:
            outage = self._outages.get(_tool(claim))
            if outage is not None:
                outage.draw()
        elif hold.state == PROBE:
            probes = self._probes(claim, now)
            if probes is not None:
                probes.send(now)
        return hold

    def refused(self, hold: Hold, now: float) -> Hold:
        """The agent is told, once more, of a fault; or it tries again what it may not yet."""
        claim = hold.claim
        if hold.granted or not isinstance(claim, RetryClaim):
            return hold
        if hold.state == EXHAUSTED:
            throttle = self._throttles.use(claim.key)
            if throttle is not None:
                throttle.tried(_names(claim), now)
            outage = self._outages.get(_tool(claim))
            if outage is not None:
                outage.keep_waiting(now)
            return hold
        fault = self._fault(claim, now)
        if fault is not None:
            fault.told += 1
        return structs.replace(hold, detail="") if hold.state == STOPPED else hold

    def settle(self, hold: Hold, outcome: Outcome, now: float) -> None:
        claim = hold.claim
        if not isinstance(claim, RetryClaim):
            return
        how = ended(outcome, by_result=claim.by_result)
        if how is Ended.UNKNOWN:
            return
        throttle, outage = self._throttles.get(claim.key), self._outages.get(_tool(claim))
        if how is Ended.PASSING or (how is Ended.TROUBLE and outcome.upstream not in _AT_ODDS):
            self._troubled(hold, claim, throttle, now, how)
            return
        if outage is not None:
            outage.worked(now, drew=_drew(hold))
        if throttle is not None:
            throttle.answered(_names(claim), claim.settings, well=how is Ended.WELL)
            if throttle.says_nothing(claim.settings):
                self._throttles.pop(claim.key)
        if how is Ended.FAULT:
            self._at_fault(claim, outcome, now)
        elif how is Ended.WELL:
            self._well(claim)

    def _troubled(self, hold: Hold, claim: RetryClaim, throttle: Throttle | None, now: float, how: Ended) -> None:
        if throttle is None:
            throttle = Throttle(claim.settings.tokens)
            self._throttles.put(claim.key[1], claim.key, throttle)
        throttle.failed(_names(claim), now)
        if how is Ended.PASSING and not _drew(hold):
            return  # words, which may be an argument of the call come back, make no outage for others
        outage = self._outages.get(_tool(claim))
        if outage is None:
            outage = self._outages[_tool(claim)] = Outage()
        outage.failed(claim.key[1], now, drew=_drew(hold))

    def _at_fault(self, claim: RetryClaim, outcome: Outcome, now: float) -> None:
        if not claim.intent or not claim.settings.teach or outcome.upstream in _BY_FIELDS:
            return
        if claim.by_result and outcome.upstream >= 400:
            return
        key = _run(claim)
        faults = self._faults.use(key)
        if faults is None:
            faults = Faults()
            self._faults.put(key[1], key, faults)
        faults.add(_asked(claim), outcome, now)

    def _well(self, claim: RetryClaim) -> None:
        """What the run has changed may be what its other calls failed for."""
        key = _run(claim)
        if claim.changes:
            self._faults.pop(key)
        elif (faults := self._faults.get(key)) is not None:
            faults.forget(_asked(claim))

    def release(self, hold: Hold, now: float) -> None:
        claim = hold.claim
        if not isinstance(claim, RetryClaim):
            return
        throttle = self._throttles.get(claim.key)
        if throttle is not None and hold.state == RETRY:
            throttle.give_back(claim.settings)
        elif hold.state == RECOVERED:
            outage = self._outages.get(_tool(claim))
            if outage is not None:
                outage.give_back()
        elif hold.state == PROBE:
            probes = self._probes(claim, now)
            if probes is not None:
                probes.give_back(now)

    def _probes(self, claim: RetryClaim, now: float) -> Probes | None:
        """The probes that this claim's come out of: those of all agents where the tool is down, or just back."""
        outage = self._outages.get(_tool(claim))
        if outage is not None and outage.governs(now):
            return outage.probes
        throttle = self._throttles.get(claim.key)
        return None if throttle is None else throttle.probes

    def _fault(self, claim: RetryClaim, now: float) -> Fault | None:
        if not claim.intent or not claim.settings.teach:
            return None
        faults = self._faults.get(_run(claim))
        return None if faults is None else faults.of(_asked(claim), now, claim.settings.remember)

    def __len__(self) -> int:
        return len(self._faults) + len(self._throttles)


def _names(claim: RetryClaim) -> tuple[str, str]:
    return claim.operation, claim.intent


def _run(claim: RetryClaim) -> tuple[str, ...]:
    return (claim.guard, *claim.tree)


def _asked(claim: RetryClaim) -> str:
    """What was asked, and by whom: another agent of the same tree may be allowed what this one is not, and must not be
    told what the tool has told this one."""
    return f"{claim.intent} {claim.key[1]}"


def _drew(hold: Hold) -> bool:
    return hold.state in (RECOVERED, PROBE)


def _tool(claim: RetryClaim) -> tuple[str, str]:
    return claim.guard, claim.key[2]
