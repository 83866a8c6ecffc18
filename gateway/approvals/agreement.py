"""Whether people who decide mean the same. Quiet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from gateway.approvals.intervals import fisher
from gateway.approvals.samples import Sample
from gateway.approvals.states import APPROVING

FALSE_ALARM = 0.01
"""How often at most somebody is said to decide unlike the others, of one rule, where all decide alike."""


def alpha(samples: Iterable[Sample]) -> float | None:
    """Krippendorff's alpha (nominal) of yes and no, over what several people voted on: 1 where they always agree, 0
    where as often as by chance. None where nobody could have disagreed."""
    units = [[verb in APPROVING for _, verb in sample.votes] for sample in samples]
    units = [unit for unit in units if len(unit) > 1]
    totals = Counter(value for unit in units for value in unit)
    many = totals.total()
    expected = 2 * totals[True] * totals[False]
    if not expected:
        return None
    observed = sum(2 * sum(unit) * (len(unit) - sum(unit)) / (len(unit) - 1) for unit in units)
    return 1.0 - (many - 1) * observed / expected


def apart(samples: Sequence[Sample]) -> list[str]:
    """People who approve calls that one rule holds more often than the others do, or less often, by more than chance:
    each against all others by Fisher's test, with Bonferroni's correction for how many they are."""
    votes: dict[str, list[bool]] = {}
    for sample in samples:
        for who, verb in sample.votes:
            votes.setdefault(who, []).append(verb in APPROVING)
    if len(votes) < 2:
        return []
    yes, total = sum(map(sum, votes.values())), sum(map(len, votes.values()))
    return sorted(
        who
        for who, own in votes.items()
        if fisher(sum(own), len(own), yes - sum(own), total - len(own)) <= FALSE_ALARM / len(votes)
    )
