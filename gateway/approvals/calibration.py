"""What verdicts tell of rules, and of how people decide. Quiet.

Drift: the last 50 verdicts on what a rule holds against those before, by Fisher's test at 1 %: where nothing has
changed, a look at one rule says so in at most 1 of 100 cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import median

from msgspec import Struct

from gateway.approvals.agreement import alpha, apart
from gateway.approvals.intervals import credible, fisher, wilson
from gateway.approvals.samples import Sample

LAST = 50
"""Verdicts that are held against those before."""
FALSE_ALARM = 0.01
"""How often at most a rule is said to drift that does not."""


class RuleReport(Struct, frozen=True):
    """One rule. Shares are of its verdicts; intervals are of 95 %."""

    rule: str
    n: int
    approved: int
    rate: float
    credible: tuple[float, float]
    wilson: tuple[float, float]
    edited: float
    """Share of verdicts that put other arguments in."""
    median_waited: float
    """Seconds from opening to verdict."""
    median_looked: float | None
    """Seconds that people had it before them."""
    rubber_stamps: float | None
    """Share of approvals that took less than 3 s, of those whose time is known."""
    drift: tuple[float, float, float] | None
    """Where it drifts: the approval rate before, that of the last 50, and how likely that is by chance."""
    alpha: float | None
    """Krippendorff's, where several people voted on the same calls."""
    apart: tuple[str, ...]
    """People who decide unlike the others."""


class PersonReport(Struct, frozen=True):
    """One person who decides."""

    who: str
    n: int
    approved: int
    median_looked: float | None
    rubber_stamps: float | None
    streak: int
    """Most approvals in a row that took less than 3 s each."""
    canaries: int
    """Questions with a known answer that they have decided on."""
    caught: int


def rules_of(samples: Iterable[Sample]) -> list[RuleReport]:
    """Of each rule, those with most verdicts first. Canaries count for people, not for rules."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        if not sample.canary:
            for rule in dict.fromkeys(sample.rules):
                found.setdefault(rule, []).append(sample)
    reports = [_rule(rule, sorted(mine, key=lambda one: one.at)) for rule, mine in found.items()]
    return sorted(reports, key=lambda one: (-one.n, one.rule))


def _rule(rule: str, samples: Sequence[Sample]) -> RuleReport:
    n, approved = len(samples), sum(sample.approved for sample in samples)
    return RuleReport(
        rule,
        n,
        approved,
        approved / n,
        credible(approved, n),
        wilson(approved, n),
        sum(sample.edited for sample in samples) / n,
        median(sample.waited for sample in samples),
        _looked(samples),
        stamps(samples),
        drift([sample.approved for sample in samples]),
        alpha(samples),
        tuple(apart(samples)),
    )


def drift(approved: Sequence[bool]) -> tuple[float, float, float] | None:
    """Rates before and of the last LAST verdicts, and the p-value, where they differ; None where they do not, or where
    there are too few."""
    before, last = approved[:-LAST], approved[-LAST:]
    if len(before) < LAST:
        return None
    chance = fisher(sum(last), len(last), sum(before), len(before))
    return (sum(before) / len(before), sum(last) / len(last), chance) if chance <= FALSE_ALARM else None


def people_of(samples: Iterable[Sample]) -> list[PersonReport]:
    """Of each person, those with most verdicts first."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.by:
            found.setdefault(sample.by[-1], []).append(sample)
    reports = [_person(who, sorted(mine, key=lambda one: one.at)) for who, mine in found.items()]
    return sorted(reports, key=lambda one: (-one.n, one.who))


def _person(who: str, samples: Sequence[Sample]) -> PersonReport:
    canaries = [sample for sample in samples if sample.canary]
    quick = [len(list(run)) for is_quick, run in groupby(samples, key=lambda one: one.quick) if is_quick]
    return PersonReport(
        who,
        len(samples),
        sum(sample.approved for sample in samples),
        _looked(samples),
        stamps(samples),
        max(quick, default=0),
        len(canaries),
        sum(sample.caught for sample in canaries),
    )


def stamps(samples: Iterable[Sample]) -> float | None:
    """The share of quick approvals among those whose time is known; None where there are none."""
    known = [sample.quick for sample in samples if sample.verb == "approve" and sample.looked]
    return sum(known) / len(known) if known else None


def caught(samples: Iterable[Sample]) -> float | None:
    """The share of canaries that were denied; None where there were none."""
    found = [sample.caught for sample in samples if sample.canary]
    return sum(found) / len(found) if found else None


def _looked(samples: Sequence[Sample]) -> float | None:
    known = [sample.looked for sample in samples if sample.looked]
    return median(known) if known else None
