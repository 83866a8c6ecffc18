"""What is known of calls by the verdicts on such calls before. Quiet.

Estimates are shrunk: what is known of an agent's calls of an operation towards what is known of the operation, that
towards the rule, that towards the prior. So one denial does not make a rule's calls look dangerous, and a new agent
is not unknown where the rule is known (the empirical Bayes of Efron and Morris, with a fixed strength).
"""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from gateway.approvals.priority import DENIALS, LOOK, VERDICTS, Known, deviation_of
from gateway.approvals.samples import Sample
from gateway.model import Approval

STRENGTH = 4.0
"""Verdicts that the wider estimate counts for in the narrower one."""
MOST_WORKED_OUT = 20_000
"""Answers of ``known`` that are kept until the next verdict."""
LONGEST_LOOK = 300.0
"""Seconds of a look; who had it before them for longer was at lunch."""

Key = tuple[str, ...]
"""A rule; a rule and an operation of a tool; these and an agent."""


class Tally(Struct):
    """Verdicts on calls of one kind."""

    verdicts: int = 0
    denied: int = 0
    looks: int = 0
    seconds: float = 0.0
    verbs: Counter[str] = Counter()

    def add(self, sample: Sample, times: int = 1) -> None:
        """Count a sample, or with -1 count it no more."""
        self.verdicts += times
        self.denied += times * (sample.verb == "deny")
        self.verbs[sample.verb] += times
        if sample.looked:
            self.looks += times
            self.seconds += times * min(sample.looked, LONGEST_LOOK)


class Tallies:
    """Tallies of samples; as large as the samples are many."""

    def __init__(self) -> None:
        self._found: dict[Key, Tally] = {}
        self._worked_out: dict[tuple[str, str, str, tuple[str, ...]], Known] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, sample: Sample) -> None:
        """Count it. Canaries teach nothing of the calls that they look like."""
        if not sample.canary:
            self._worked_out.clear()
            for key in _keys(sample.rules, sample.tool, sample.operation, sample.agent):
                self._found.setdefault(key, Tally(verbs=Counter())).add(sample)

    def remove(self, sample: Sample) -> None:
        """Count it no more."""
        if sample.canary:
            return
        self._worked_out.clear()
        for key in _keys(sample.rules, sample.tool, sample.operation, sample.agent):
            tally = self._found[key]
            tally.add(sample, -1)
            if not tally.verdicts:
                del self._found[key]

    def of(self, *key: str) -> Tally | None:
        """The tally of a rule; of a rule, tool and operation; or of these and an agent."""
        return self._found.get(key)

    def known(self, approval: Approval) -> Known:
        """What is known of it: by the rule that denials follow most often, where several hold it."""
        rules = approval.rules
        key = approval.tool, approval.operation, approval.agent, rules
        known = self._worked_out.get(key)
        if known is None:
            if len(self._worked_out) >= MOST_WORKED_OUT:
                self._worked_out.clear()
            found = [self._known(rule, approval) for rule in rules]
            known = self._worked_out[key] = max(found, key=lambda one: one.deny_rate) if found else Known()
        return known

    def _known(self, rule: str, approval: Approval) -> Known:
        rate, strength, seen = DENIALS / VERDICTS, VERDICTS, VERDICTS
        seconds = LOOK
        for key in _keys((rule,), approval.tool, approval.operation, approval.agent):
            tally = self._found.get(key)
            if tally is None:
                seen = strength  # nothing is known so closely
                break
            rate = (rate * strength + tally.denied) / (strength + tally.verdicts)
            seconds = (seconds * strength + tally.seconds) / (strength + tally.looks)
            seen, strength = strength + tally.verdicts, STRENGTH
        return Known(rate, deviation_of(rate, seen), seconds)


def _keys(rules: tuple[str, ...], tool: str, operation: str, agent: str) -> list[Key]:
    """From wide to narrow."""
    return [
        key
        for rule in dict.fromkeys(rules)
        for key in ((rule,), (rule, tool, operation), (rule, tool, operation, agent))
    ]
