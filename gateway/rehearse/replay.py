"""A replay: recorded calls under other policies, and what would have been decided otherwise.

Compared is what was recorded, or where a baseline is given what its policies decide in the same replay, with what the
policies in question decide.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from msgspec import Struct, field

from gateway.config.load import Loaded
from gateway.model import Reason
from gateway.rehearse.records import RECORDS, Record
from gateway.rehearse.simulation import ALLOW, APPROVE, DENY, SKIPPED, UNKNOWN, Simulation, Verdict

KINDS = (DENY, ALLOW, APPROVE, UNKNOWN)
"""What a call may come to that was decided otherwise before, and unknown."""
UNITED = 1_000
"""Agents and runs of one group that are told apart."""


class Group(Struct):
    """Calls with one change for one reason. ``rule`` is what refuses or asks now, or refused before."""

    change: str
    before: str
    rule: str
    calls: int = 0
    usd: float = 0.0
    agents: set[str] = field(default_factory=set)
    runs: set[tuple[str, str]] = field(default_factory=set)
    first: str = ""
    last: str = ""
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, record: Record, was: Verdict, now: Verdict, most: int) -> None:
        """Count a call; the first ``most`` are kept as examples."""
        self.calls += 1
        self.usd += record.cost_usd or 0.0
        agent = record.agent or ""
        if len(self.agents) < UNITED:
            self.agents.add(agent)
        if record.run and len(self.runs) < UNITED:
            self.runs.add((agent, record.run))
        self.first = min(self.first or record.ts, record.ts)
        self.last = max(self.last, record.ts)
        if len(self.examples) < most:
            self.examples.append(_example(record, was, now))

    def told(self) -> dict[str, Any]:
        """The group as plain data."""
        return {
            "change": self.change,
            "before": self.before,
            "rule": self.rule or None,
            "calls": self.calls,
            "agents": len(self.agents),
            "runs": len(self.runs),
            "cost_usd": round(self.usd, 6),
            "first": self.first,
            "last": self.last,
            "examples": self.examples,
        }


class Replay:
    """One replay. ``since`` and ``until`` bound the calls that are compared, in seconds from the epoch of the timeline:
    those before only fill counters. ``examples`` of each group are kept."""

    def __init__(
        self,
        after: Loaded,
        epoch: float,
        before: Loaded | None = None,
        *,
        since: float = float("-inf"),
        until: float = float("inf"),
        examples: int = 3,
    ) -> None:
        self._after = Simulation(after, epoch, self._now)
        self._before = Simulation(before, epoch, self._was) if before is not None else None
        self._versions = (after.version, None if before is None else before.version)
        self._since, self._until, self._examples = since, until, examples
        self._half: dict[str, Verdict] = {}
        self._groups: dict[tuple[str, str, str], Group] = {}
        self._kinds: Counter[str] = Counter()
        self._recorded: Counter[str] = Counter()
        self._last = self.first_ts = self.last_ts = ""
        self._usd = 0.0
        self._other_rule = 0
        self.unusable = self.duplicates = self.outside = 0

    def feed(self, at: float, line: bytes) -> None:
        """The next line of the timeline."""
        try:
            record = RECORDS.decode(line)
        except msgspec.DecodeError:
            self.unusable += 1
            return
        if record.call == self._last:
            self.duplicates += 1
            return
        self._last = record.call
        if at > self._until:
            self.outside += 1
            return
        if at < self._since:
            self.outside += 1
            record = msgspec.structs.replace(record, ts="")  # decided for what it leaves behind, not compared
        else:
            self.first_ts = self.first_ts or record.ts
            self.last_ts = record.ts
            self._recorded[record.policy_version or ""] += 1
            self._usd += record.cost_usd or 0.0
        if self._before is not None:
            self._before.feed(at, record)
        self._after.feed(at, record)

    def finish(self) -> None:
        """No more lines: let calls that wait come to their verdict."""
        if self._before is not None:
            self._before.finish()
        self._after.finish()

    def _was(self, record: Record, verdict: Verdict) -> None:
        if record.ts:
            now = self._half.pop(record.call, None)
            if now is None:
                self._half[record.call] = verdict
            else:
                self._compare(record, verdict, now)

    def _now(self, record: Record, verdict: Verdict) -> None:
        if not record.ts:
            return
        if self._before is None:
            self._compare(record, recorded(record), verdict)
            return
        was = self._half.pop(record.call, None)
        if was is None:
            self._half[record.call] = verdict
        else:
            self._compare(record, was, verdict)

    def _compare(self, record: Record, was: Verdict, now: Verdict) -> None:
        if SKIPPED in (was.kind, now.kind):
            self._kinds[SKIPPED] += 1
            return
        if UNKNOWN in (was.kind, now.kind):
            unknown = now if now.kind == UNKNOWN else was
            self._kinds[UNKNOWN] += 1
            self._group(UNKNOWN, "", unknown.why).add(record, was, unknown, self._examples)
            return
        if was.kind == now.kind:
            self._kinds["same"] += 1
            self._other_rule += was.rule != now.rule
            return
        self._kinds[now.kind] += 1
        rule = was.rule if now.kind == ALLOW else now.rule
        self._group(now.kind, was.kind, rule).add(record, was, now, self._examples)

    def _group(self, change: str, before: str, rule: str) -> Group:
        key = (change, before, rule)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(change, before, rule)
        return group

    def counts(self) -> dict[str, int]:
        """How many calls came to each of KINDS by a change (or are unknown)."""
        return {kind: self._kinds[kind] for kind in KINDS}

    def report(self, minutes: float = 2.0) -> dict[str, Any]:
        """Everything as plain data. ``minutes`` is what one approval costs a person."""
        kinds, groups = self._kinds, sorted(self._groups.values(), key=lambda one: -one.calls)
        changed = [group for group in groups if group.change != UNKNOWN]
        saved = sum(group.usd for group in changed if group.change == DENY and group.before == ALLOW)
        return {
            "log": {
                "calls": self._recorded.total(),
                "first": self.first_ts or None,
                "last": self.last_ts or None,
                "versions": dict(self._recorded),
                "outside": self.outside,
                "unusable_lines": self.unusable,
                "duplicates": self.duplicates,
            },
            "policy_version": self._versions[0],
            "baseline_version": self._versions[1],
            "same": kinds["same"],
            "changed": kinds[DENY] + kinds[ALLOW] + kinds[APPROVE],
            "unknown": kinds[UNKNOWN],
            "not_decided": kinds[SKIPPED],
            "newly_refused": kinds[DENY],
            "newly_allowed": kinds[ALLOW],
            "newly_asked": kinds[APPROVE],
            "approval_minutes": round(kinds[APPROVE] * minutes, 1),
            "recorded_usd": round(self._usd, 6),
            "saved_usd": round(saved, 6),
            "refused_by_another_rule": self._other_rule,
            "changes": [group.told() for group in changed],
            "unknowns": [
                {"why": group.rule, "calls": group.calls, "examples": group.examples}
                for group in groups
                if group.change == UNKNOWN
            ],
            "notes": self._notes(),
        }

    def _notes(self) -> list[str]:
        after = self._after
        notes = ["limits begin full, circuits closed and runs without cost at the first call of the logs"]
        if after.endless:
            notes.append(
                f"{after.endless} calls that were refused are allowed now: what they would have cost, and done to"
                " breakers, is not known and left out"
            )
        if self._kinds[UNKNOWN]:
            notes.append("limits and breakers count unknown calls as they were decided when they were made")
        if after.unjudged:
            notes.append(
                f"rules on results or proposals match {after.unjudged} calls that are allowed; answers are not"
                " recorded, so what those rules would say is not known"
            )
        return notes


_ASKED = frozenset(
    {Reason.APPROVAL_REQUIRED, Reason.APPROVAL_PENDING, Reason.APPROVAL_DENIED, Reason.ANSWERED_BY_PERSON}
)
"""Reasons of calls about which a rule asked a person, whatever that person said."""
_NOT_MADE_AGAIN = frozenset({Reason.RESULT_PENDING, Reason.RESULT_APPROVED, Reason.RESULT_DENIED})
"""Reasons of calls that had been made before, and came for the result."""


def recorded(record: Record) -> Verdict:
    """What was decided when the call was made."""
    if record.decision is None:
        return Verdict(SKIPPED)
    if record.decision == ALLOW:
        return Verdict(ALLOW)
    reason = record.reason or ""
    if reason in _NOT_MADE_AGAIN:
        return Verdict(SKIPPED)
    kind = APPROVE if reason in _ASKED else DENY
    return Verdict(kind, record.rule or reason, reason, record.detail or "")


def _example(record: Record, was: Verdict, now: Verdict) -> dict[str, Any]:
    return {
        "call": record.call,
        "ts": record.ts,
        "agent": record.agent,
        "run": record.run,
        "tool": record.tool,
        "operation": record.operation,
        "why": (now.why or was.why) or None,
    }
