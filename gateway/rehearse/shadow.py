"""What rules that are only recorded would have done: those in mode Audit or Warn, and those outside of a rollout."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from gateway.model import Mode
from gateway.rehearse.records import SAID, RecordedSpoke, Said
from gateway.rehearse.timeline import Timeline, wall_of

UNITED = 10_000
"""Agents and runs of one rule that are told apart."""


class Shadow(Struct):
    """One rule in one mode, asking for one thing. ``outside``: the mode is Audit since the calls lie
    outside of the policy's rollout. ``alone``: calls that went through and would not have."""

    policy: str
    rule: str
    verdict: str
    mode: str
    outside: bool
    calls: int = 0
    alone: int = 0
    errors: int = 0
    agents: set[str] = field(default_factory=set)
    runs: set[tuple[str, str]] = field(default_factory=set)
    tools: set[str] = field(default_factory=set)
    first: str = ""
    last: str = ""
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, said: Said, spoke: RecordedSpoke, most: int) -> None:
        """Count a call of which the rule spoke; the last ``most`` are kept as examples."""
        self.calls += 1
        self.alone += said.decision == "allow" and self.verdict in ("deny", "approve")
        self.errors += bool(spoke.error)
        agent = said.agent or ""
        if len(self.agents) < UNITED:
            self.agents.add(agent)
        if said.run and len(self.runs) < UNITED:
            self.runs.add((agent, said.run))
        self.tools.add(said.tool or "")
        self.first = self.first or said.ts
        self.last = said.ts
        self.examples.append(_example(said, spoke))
        del self.examples[: max(0, len(self.examples) - most)]


class ShadowReport:
    """Gathers what rules said. ``since`` (seconds since the epoch) and ``policy`` narrow it; ``examples`` of each."""

    def __init__(self, *, since: float = 0.0, policy: str = "", examples: int = 3) -> None:
        self._since, self._policy, self._examples = since, policy, examples
        self._shadows: dict[tuple[str, str, str, str, bool], Shadow] = {}
        self._calls = self._unusable = 0
        self._first = self._last = ""

    def read(self, timeline: Timeline) -> None:
        """Take all records of a timeline, in its order."""
        self._unusable += timeline.unusable
        before = ""
        for _, line in timeline:
            try:
                said = SAID.decode(line)
            except msgspec.DecodeError:
                self._unusable += 1
                continue
            if said.call != before and wall_of(said.ts) >= self._since:
                self._add(said)
            before = said.call

    def _add(self, said: Said) -> None:
        self._calls += 1
        self._first, self._last = self._first or said.ts, said.ts
        for spoke in said.rules:
            if spoke.mode == Mode.ENFORCE or (self._policy and spoke.policy != self._policy):
                continue
            key = (spoke.policy, spoke.rule, spoke.verdict, spoke.mode, spoke.outside_rollout)
            shadow = self._shadows.get(key)
            if shadow is None:
                shadow = self._shadows[key] = Shadow(*key)
            shadow.add(said, spoke, self._examples)

    def told(self) -> dict[str, Any]:
        """The report as plain data, the rules that spoke most first."""
        return {
            "calls": self._calls,
            "first": self._first or None,
            "last": self._last or None,
            "unusable_lines": self._unusable,
            "rules": [self._told(one) for one in sorted(self._shadows.values(), key=lambda one: -one.calls)],
        }

    def _told(self, shadow: Shadow) -> dict[str, Any]:
        return {
            "policy": shadow.policy,
            "rule": shadow.rule,
            "verdict": shadow.verdict,
            "mode": shadow.mode,
            "outside_rollout": shadow.outside,
            "calls": shadow.calls,
            "share": round(shadow.calls / self._calls, 6),
            "went_through": shadow.alone,
            "errors": shadow.errors,
            "agents": len(shadow.agents),
            "runs": len(shadow.runs),
            "tools": sorted(shadow.tools),
            "first": shadow.first,
            "last": shadow.last,
            "examples": shadow.examples,
        }


def _example(said: Said, spoke: RecordedSpoke) -> dict[str, Any]:
    return {
        "call": said.call,
        "ts": said.ts,
        "agent": said.agent,
        "run": said.run,
        "tool": said.tool,
        "operation": said.operation,
        "message": spoke.error or spoke.message,
    }
