"""Recorded calls decided again, in order and at their times, with the counters, circuits and runs of one version.

What came of a call is taken from its record: when its answer began, when it ended, what it cost. A call that had been
refused has no such end, so nothing follows of it: it takes its tokens, gives its place back at once, and circuits and
runs hear nothing. What a rule reads and a record lacks makes the call ``unknown``; limits then count it as it was
decided live.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count

from msgspec import Struct, structs

from gateway.config.load import Loaded
from gateway.decide.engine import AskHuman, Deciding, Look, Pace, Reserve, decide
from gateway.decide.rules import Rules, judgement_of, labels_of
from gateway.decide.shapes import NOTHING, Check, Judgement, Quota
from gateway.errors import Refused, refusal_of
from gateway.model import (
    Answered,
    BudgetClaim,
    Call,
    Changed,
    CircuitClaim,
    Decision,
    Findings,
    Hold,
    Outcome,
    Permit,
    PoolClaim,
    RateClaim,
    Reason,
    Refusal,
    SlotClaim,
)
from gateway.pipeline import Street
from gateway.policy.rules import RuleSet
from gateway.rehearse.alike import Alike
from gateway.rehearse.lines import Lines
from gateway.rehearse.needs import Need, Needs
from gateway.rehearse.rebuild import NOT_OURS, Rebuilder
from gateway.rehearse.records import Record
from gateway.rehearse.stage import Stage
from gateway.stores.bucket import paced
from gateway.stores.circuits import SPREAD
from gateway.understand.llm import USAGE, allows_model

ALLOW, DENY, APPROVE, UNKNOWN, SKIPPED = "allow", "deny", "approve", "unknown", "skipped"


class Verdict(Struct, frozen=True):
    """``kind`` is allow, deny, approve (a person is asked), unknown, or skipped (no policy has a say). ``rule`` is
    what refused or asks; ``why`` is for people."""

    kind: str
    rule: str = ""
    reason: str = ""
    why: str = ""


ALLOWED, NOT_DECIDED = Verdict(ALLOW), Verdict(SKIPPED)
Tell = Callable[[Record, Verdict], None]

_COUNTING = frozenset({
    Reason.RATE_LIMITED, Reason.CIRCUIT_OPEN, Reason.CONCURRENCY_LIMITED, Reason.QUEUE_TIMEOUT,
    Reason.APPROVAL_REQUIRED,
})  # fmt: skip
_COMPARING = frozenset({Reason.LOOP_DETECTED, Reason.REPEATED_FAILURE, Reason.RETRY_BUDGET_EXHAUSTED})
"""Reasons of guards that compare calls, and results, with earlier ones: neither is recorded so far."""
_NO_END = Outcome(0, fault="agent")
_OF_RUNS = ("run.cost_usd", "run.labels", "run.steps", "run.errors_in_row")
"""Variables that follow from earlier calls of the run, and are not known where those had no end, or no certain one."""


class _Asked(Struct):
    """A call on its way. ``lacked``: what its record lacks of what rules or limits read, None for nothing."""

    record: Record
    call: Call
    deciding: Deciding
    lacked: frozenset[str] | None = None


class Simulation:
    """One version's decisions on a timeline. ``tell`` is told each call's verdict, once, when it is reached."""

    def __init__(self, loaded: Loaded, epoch: float, tell: Tell) -> None:
        self._stage = stage = Stage(loaded, epoch, spread=SPREAD)
        self._tell = tell
        self._needs = Needs(loaded.book)
        self._rebuild = Rebuilder(stage.streets, stage.router, epoch).of
        self._caps = loaded.book.caps
        self._engine = loaded.book.engine
        self._alike = {name: (Alike(street.checks, self._needs),) for name, street in stage.streets.items()}
        self._counts = any(street.counts for street in stage.streets.values())
        self._lines = Lines()
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._partial: dict[tuple[tuple[str, str], ...], RuleSet] = {}
        self._vague: set[tuple[str, str, str]] = set()
        self.endless = 0
        """Calls refused then and allowed now, of which nobody knows how they would have ended."""
        self.unjudged = 0
        """Allowed calls whose answers rules would judge: those are not recorded."""

    def feed(self, at: float, record: Record) -> None:
        """The next call, which asked at ``at`` seconds from the epoch; never earlier than the one before."""
        if self._due:
            self._advance(at)
        self._stage.now = at
        by_people = record.reason == Reason.QUARANTINED and not record.rule
        if record.decision is None or by_people or (record.operation is None and _not_ours(record)):
            self._tell(record, NOT_DECIDED)
            return
        try:
            rebuilt = self._rebuild(record, at)
        except ValueError as error:  # a log of another version, or not of ours: words that are none here
            rebuilt = f"the record cannot be used: {error}"
        if isinstance(rebuilt, str):
            self._tell(record, Verdict(UNKNOWN, why=rebuilt))
        elif isinstance(rebuilt, Refusal):
            self._tell(record, _verdict(rebuilt))
        else:
            self._ask(record, rebuilt.call, rebuilt.missing, at)

    def finish(self) -> None:
        """Let everything that is still on its way come to its end."""
        self._advance(float("inf"))

    # -- deciding -----------------------------------------------------------------------------------------------

    def _ask(self, record: Record, call: Call, missing: Sequence[str], at: float) -> None:
        refusal = self._stage.standing(call)
        if refusal is not None:
            self._tell(record, _verdict(refusal))
            return
        street = self._stage.streets[call.tool.name]
        call = self._stage.in_run(call)
        checks, quotas, lacked = street.checks, street.quotas, None
        parts = call.parts or (call,)
        needs = [self._needs.of(part) for part in parts]
        if call.flaw is not None or record.facts:
            capped = self._capped(call, missing, record.amendments)
            if capped is None:
                self._tell(record, Verdict(UNKNOWN, why="what the request asks of a model is not recorded"))
                return
            call, missing = capped
        vague = [(part, need) for part, need in zip(parts, needs, strict=True) if need.names]
        if vague:
            gone = (*missing, *self._vague_of(call))
            checks, quotas, lacked = self._around(street, vague, gone, record)
        if lacked is None and needs[0].alike and not (call.parts or call.flaw or call.facts):
            checks = self._alike[call.tool.name]
        redact = partial(_redacted, record)
        self._go_on(_Asked(record, call, decide(call, checks, quotas, redact), lacked), None, at)

    def _go_on(self, asked: _Asked, answer: object, at: float) -> None:
        try:
            decision = self._drive(asked, answer, at)
        except Refused as refused:
            decision = refusal_of(refused)
        except Exception as error:  # noqa: BLE001 - fail closed, as the pipeline does
            decision = Refusal(
                Reason.INTERNAL_ERROR, 500, f"{type(error).__name__} while deciding: {error}", "pipeline"
            )
        if decision is not None:
            self._decided(asked, decision, at)

    def _drive(self, asked: _Asked, answer: object, at: float) -> Decision | None:
        """The decision, or None where the call waits its turn: it goes on when that has come."""
        stage, deciding = self._stage, asked.deciding
        while True:
            try:
                effect = deciding.send(answer)
            except StopIteration as done:
                decision: Decision = done.value
                return decision
            if isinstance(effect, Reserve):
                answer = stage.ledger.reserve(effect.claims, at)
            elif isinstance(effect, Look):
                answer = stage.ledger.look(effect.claims, at)
            elif isinstance(effect, Pace):
                claim = effect.claim
                if isinstance(claim, PoolClaim):  # how long others had their places then is not known: as it was
                    answer = Hold(claim, asked.record.rule != f"pool/{claim.guard}")
                    continue
                turn = self._lines.turn(claim, at, _waited(asked.record, claim))
                if turn:
                    held = paced(claim, granted=True)
                    self._at(at + turn, lambda now, held=held: self._go_on(asked, held, now))  # type: ignore[misc]
                    return None
                answer = paced(claim, granted=turn is not None)
            elif isinstance(effect, AskHuman):
                answer = None
            else:
                raise TypeError(f"decide asked for {effect!r}")

    def _decided(self, asked: _Asked, decision: Decision, at: float) -> None:
        record, call = asked.record, asked.call
        if asked.lacked is None or _certain(decision):
            self._stage.hear(call, decision)
        elif decision.spoke:
            self._stage.runs.mark(call.tree, labels_of(decision.spoke))
        if isinstance(decision, Permit):
            self._run(asked, decision, at)
        verdict = _verdict(decision)
        if asked.lacked is not None and not _certain(decision):
            verdict = Verdict(UNKNOWN, why="not in the record: " + ", ".join(sorted(asked.lacked)))
        elif record.reason in _COMPARING and verdict.kind == ALLOW and self._stage.streets[call.tool.name].compares:
            verdict = Verdict(UNKNOWN, why="not in the record: the results that it was compared by")
        elif verdict.kind == ALLOW and self._needs.of(call).answers:
            self.unjudged += 1
        self._tell(record, verdict)

    # -- what a record lacks ------------------------------------------------------------------------------------

    def _around(
        self, street: Street, vague: Sequence[tuple[Call, Need]], gone: Sequence[str], record: Record
    ) -> tuple[tuple[Check, ...], tuple[Quota, ...], frozenset[str] | None]:
        """Checks and quotas without those that read what is gone, and what that is: None where nothing reads it."""
        lacked: set[str] = set()
        skipped: dict[Need, frozenset[int]] = {}
        by_limits = False
        for call, need in vague:
            absent = (*gone, *_headers_gone(need, record)) if need.headers else tuple(gone)
            touched, lacks, limits_lack = self._needs.lacking(need, absent)
            if lacks:
                if call.run.id and any(need.rules[number].label for number in touched):
                    self._vague.add((*call.tree, "run.labels"))
                lacked |= lacks
                skipped[need] = skipped.get(need, frozenset()) | touched
                by_limits = by_limits or limits_lack
        if not lacked:
            return street.checks, street.quotas, None
        checks = tuple(_SomeRules(self, skipped) if isinstance(check, Rules) else check for check in street.checks)
        quotas = street.quotas if record.decision == ALLOW and not by_limits else ()
        return checks, quotas, frozenset(lacked)

    def rules_of(self, call: Call, skipped: dict[Need, frozenset[int]]) -> RuleSet:
        """The rules that can match the call, without those to skip."""
        need = self._needs.of(call)
        left_out = skipped.get(need, frozenset())
        kept = [rule for number, rule in enumerate(need.rules) if number not in left_out]
        names = tuple([(rule.policy, rule.name) for rule in kept])
        rules = self._partial.get(names)
        if rules is None:
            rules = self._partial[names] = RuleSet(kept, self._engine)
        return rules

    def _vague_of(self, call: Call) -> list[str]:
        """What is not known of the call's run any more."""
        tree = call.tree
        return [name for name in _OF_RUNS if (*tree, name) in self._vague] if tree[1] else []

    def _capped(
        self, call: Call, missing: Sequence[str], amendments: tuple[str, ...]
    ) -> tuple[Call, Sequence[str]] | None:
        """Caps as far as they can be told from a record: which models may be asked. None where more would have to be
        known: a cap refused the call for what it asked besides. What caps change, then or now, is not known."""
        flaw, model = call.flaw, call.facts.get("llm.model")
        refused = isinstance(flaw, Refusal) and flaw.reason is Reason.CAPPED
        if refused:
            call = structs.replace(call, flaw=None)
        caps = self._caps(call.agent, call.tool.name, call.operation)
        for cap in caps:
            if cap.models and isinstance(model, str) and not allows_model(cap.models, model):
                detail = f"the model {model[:200]!r} may not be asked"
                return structs.replace(call, flaw=Refusal(Reason.CAPPED, 403, detail, f"cap/{cap.name}")), missing
        if caps and refused:
            return None
        changes = any(cap.max_tokens or cap.system or cap.forbid_tools for cap in caps)
        if changes or (isinstance(model, str) and amendments not in ((), (USAGE,))):
            missing = (*missing, "llm.max_tokens", "args")
        return call, missing

    # -- what follows -------------------------------------------------------------------------------------------

    def _run(self, asked: _Asked, permit: Permit, at: float) -> None:
        """What came of a permitted call, when its time comes."""
        record, call = asked.record, asked.call
        counts = self._counts
        if counts:
            self._stage.began(call, at)
            if asked.lacked is not None:
                self._vague.add((*call.tree, "run.steps"))
        if record.decision != ALLOW:
            self.endless += 1
            self._stage.ledger.settle(permit.holds, _NO_END, at)
            if call.run.id and counts:
                self._vague.add((*call.tree, "run.errors_in_row"))
            if call.run.id and self._stage.streets[call.tool.name].pricer is not None:
                self._vague.add((*call.tree, "run.cost_usd"))
            return
        if call.run.id and self._needs.of(call).labels:
            self._vague.add((*call.tree, "run.labels"))
        timings = record.timings
        before = timings.decide_ms + timings.queue_ms + timings.asked_ms
        ended = max(at, at + (timings.total_ms - before) / 1e3)
        kinds = {type(hold.claim) for hold in permit.holds}
        circuits = CircuitClaim in kinds
        if record.upstream_status and circuits:
            first_byte = (timings.upstream_first_byte_ms or 0.0) / 1e3
            answer = Answered(record.upstream_status, first_byte)
            opened = min(at + first_byte, ended)
            self._at(opened, lambda now: self._stage.answered(permit, answer, now))
        if circuits or counts or record.cost_usd or not kinds.isdisjoint((SlotClaim, BudgetClaim)):
            outcome = _outcome(record)
            self._at(ended, lambda now: self._stage.settle(call, permit, outcome, now))

    def _at(self, time: float, event: Callable[[float], None]) -> None:
        heappush(self._due, (time, next(self._order), event))

    def _advance(self, to: float) -> None:
        while self._due and self._due[0][0] <= to:
            time, _, event = heappop(self._due)
            self._stage.now = time
            event(time)


def _waited(record: Record, claim: RateClaim) -> bool | None:
    """Whether the call had its turn in a limit's line when it was made; None where it did not come to that."""
    if record.rule == f"limit/{claim.guard}":
        return False
    return True if record.timings.queue_ms else None


class _SomeRules:
    """Judges by the rules that read nothing which is missing."""

    def __init__(self, simulation: Simulation, skipped: dict[Need, frozenset[int]]) -> None:
        self._simulation, self._skipped = simulation, skipped

    def judge(self, call: Call) -> Judgement:
        spoke = self._simulation.rules_of(call, self._skipped).judge(call)
        return judgement_of(spoke) if spoke else NOTHING


def _not_ours(record: Record) -> bool:
    return record.reason in NOT_OURS or record.reason == Reason.BAD_REQUEST


def _redacted(record: Record, call: Call, fields: tuple[Changed, ...]) -> Call:  # noqa: ARG001 - as a Redact is called
    """Nothing is sent, so nothing is masked; where that failed live, it fails again."""
    if record.reason == Reason.REDACTION_FAILED:
        raise Refused(Reason.REDACTION_FAILED, record.status, record.detail or "")
    return call


def _headers_gone(need: Need, record: Record) -> list[str]:
    return [path for path in need.headers if path.removeprefix("request.headers.") not in record.headers]


def _certain(decision: Decision) -> bool:
    """Whether what was refused would be, whatever the rules that were left out say."""
    return isinstance(decision, Refusal) and decision.reason not in _COUNTING


def _verdict(decision: Decision) -> Verdict:
    if isinstance(decision, Permit):
        return ALLOWED
    kind = APPROVE if decision.reason is Reason.APPROVAL_REQUIRED else DENY
    return Verdict(kind, decision.rule or decision.reason.value, decision.reason.value, decision.detail)


def _outcome(record: Record) -> Outcome:
    return Outcome(
        record.status,
        record.upstream_status or 0,
        record.fault or "",
        first_byte=(record.timings.upstream_first_byte_ms or 0.0) / 1e3,
        found=Findings(is_error=bool(record.is_error)),
        cost_usd=record.cost_usd or 0.0,
    )
