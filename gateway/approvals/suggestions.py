"""What verdicts suggest that a rule should say instead of asking. Quiet; nothing here changes anything.

- Loosen: nobody need be asked about calls of an operation (or of one agent) any more. Only where the lower end of the
  95 % interval of "approved as it was" is above 0.98, of at least 200 verdicts, and the rule does not drift.
- Tighten: the rule may as well refuse. Where the upper end of the interval of "approved" is below 0.5, of at least 20.

An edit is no approval of what was asked for, so it counts against loosening.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from msgspec import Struct

from gateway.approvals.calibration import caught, drift, stamps
from gateway.approvals.intervals import credible
from gateway.approvals.samples import Sample

DOUBTFUL = 0.2
"""Share of approvals faster than anybody reads, or of checks that were missed, above which verdicts are in doubt."""


class Limits(Struct, frozen=True):
    """What a suggestion needs."""

    loosen: float = 0.98
    loosen_n: int = 200
    tighten: float = 0.5
    tighten_n: int = 20


USUAL = Limits()


class Suggestion(Struct, frozen=True):
    """One change of one rule. ``unless`` is CEL for the calls that it asks about no more (loosen); empty where it is to
    refuse (tighten)."""

    kind: Literal["loosen", "tighten"]
    rule: str
    text: str
    unless: str
    tool: str
    operation: str
    agent: str
    n: int
    approved: int
    interval: tuple[float, float]
    cautions: tuple[str, ...] = ()
    """Why the verdicts may be worth less than they look."""


def suggestions(samples: Iterable[Sample], limits: Limits = USUAL) -> list[Suggestion]:
    """All that the samples suggest, for the rules with most verdicts first."""
    everything = list(samples)
    found: dict[str, list[Sample]] = {}
    for sample in everything:
        if not sample.canary and len(set(sample.rules)) == 1:  # of several rules, nobody knows which was the matter
            found.setdefault(sample.rules[0], []).append(sample)
    missed = caught(everything)
    made: list[Suggestion] = []
    for rule, mine in sorted(found.items(), key=lambda one: (-len(one[1]), one[0])):
        mine.sort(key=lambda one: one.at)
        made += _of_rule(rule, mine, limits, missed)
    return made


def _of_rule(rule: str, samples: Sequence[Sample], limits: Limits, missed: float | None) -> list[Suggestion]:
    n, approved = len(samples), sum(sample.approved for sample in samples)
    interval = credible(approved, n)
    if n >= limits.tighten_n and interval[1] < limits.tighten:
        text = f"{n - approved} of {n} calls that {rule} held were not approved: it may refuse them without asking"
        return [Suggestion("tighten", rule, text, "", "", "", "", n, approved, interval)]
    made: list[Suggestion] = []
    for (tool, operation), group in _by(samples, lambda one: (one.tool, one.operation)):
        whole = _loosened(rule, tool, operation, "", group, limits, missed)
        if whole is not None:
            made.append(whole)
            continue
        for (agent,), own in _by(group, lambda one: (one.agent,)):
            narrow = _loosened(rule, tool, operation, agent, own, limits, missed)
            made += [narrow] if narrow is not None else []
    return made


def _loosened(
    rule: str, tool: str, operation: str, agent: str, samples: Sequence[Sample], limits: Limits, missed: float | None
) -> Suggestion | None:
    plain = [sample.approved and not sample.edited for sample in samples]
    n, approved = len(plain), sum(plain)
    if n < limits.loosen_n:
        return None
    interval = credible(approved, n)
    if interval[0] <= limits.loosen or drift(plain) is not None:
        return None
    whose = f" by {agent}" if agent else ""
    return Suggestion(
        "loosen",
        rule,
        f"{approved} of {n} calls of {operation}{whose} that {rule} held were approved as they were: let such calls"
        " pass",
        _condition(tool, operation, agent),
        tool,
        operation,
        agent,
        n,
        approved,
        interval,
        _cautions(samples, missed),
    )


def _condition(tool: str, operation: str, agent: str) -> str:
    """CEL for exactly these calls. JSON writes texts as CEL reads them."""
    parts = {"tool.name": tool, "tool.operation": operation, "agent.id": agent}
    return " && ".join(f"{name} == {json.dumps(value, ensure_ascii=False)}" for name, value in parts.items() if value)


def _cautions(samples: Sequence[Sample], missed: float | None) -> tuple[str, ...]:
    found = []
    quick = stamps(samples)
    if quick is None:
        found.append("how long people looked is not known of these verdicts")
    elif quick > DOUBTFUL:
        found.append(f"{quick:.0%} of these approvals took less than 3 s: people may not have looked")
    if missed is not None and 1 - missed > DOUBTFUL:
        found.append(f"{1 - missed:.0%} of the checks with a known answer were missed: people may not have looked")
    people = {sample.by[-1] for sample in samples if sample.by}
    if len(people) == 1:
        found.append(f"all of these verdicts are of one person, {people.pop()}")
    return tuple(found)


def _by(
    samples: Sequence[Sample], key: Callable[[Sample], tuple[str, ...]]
) -> list[tuple[tuple[str, ...], list[Sample]]]:
    found: dict[tuple[str, ...], list[Sample]] = {}
    for sample in samples:
        found.setdefault(key(sample), []).append(sample)
    return sorted(found.items())
