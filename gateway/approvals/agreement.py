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
    each against all others by Fisher's test, with Bonferroni's correction for how many they are. Who differs most is
    left out before the others are looked at, since whoever is compared with them seems to differ too; of two, both."""
    votes: dict[str, list[bool]] = {}
    for sample in samples:
        for who, verb in sample.votes:
            votes.setdefault(who, []).append(verb in APPROVING)
    threshold = FALSE_ALARM / max(1, len(votes))
    found: list[str] = []
    while len(votes) > 1:
        chances = {who: _chance(who, votes) for who in votes}
        furthest = min(chances, key=lambda who: chances[who])
        if chances[furthest] > threshold:
            break
        found += list(votes) if len(votes) == 2 and not found else [furthest]
        del votes[furthest]
    return sorted(found)


def _chance(who: str, votes: dict[str, list[bool]]) -> float:
    own, others = votes[who], [vote for other, cast in votes.items() if other != who for vote in cast]
    return fisher(sum(own), len(own), sum(others), len(others))
