"""What a number of yeses out of some questions tells of a share: intervals and tests, without any library. Quiet.

The beta distribution's function is the continued fraction of Lentz (Numerical Recipes, 6.4); shares are compared by
Fisher's exact test, which is conservative: where both are the same, it says otherwise at most as often as it was asked
to.
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p, sqrt

LEVEL = 0.95
_Z = 1.959963984540054
_TINY = 1e-300
_STEPS = 300


def credible(yes: int, total: int) -> tuple[float, float]:
    """The central 95 % interval of the share, from Beta(1, 1) as prior."""
    low, high = 1.0 + yes, 1.0 + total - yes
    tail = (1.0 - LEVEL) / 2.0
    return quantile(tail, low, high), quantile(1.0 - tail, low, high)


def wilson(yes: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of the share (1927); (0, 1) where nothing was asked."""
    if not total:
        return 0.0, 1.0
    share, square = yes / total, _Z * _Z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = _Z / (1 + square / total) * sqrt(share * (1 - share) / total + square / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def quantile(chance: float, a: float, b: float) -> float:
    """Where the distribution function of Beta(a, b) is ``chance``; by halving, to 1e-12."""
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if cumulative(middle, a, b) < chance:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def cumulative(x: float, a: float, b: float) -> float:
    """The distribution function of Beta(a, b)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(1.0 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / _apart(1.0 - (a + b) * x / (a + 1.0))
    found = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / _apart(1.0 + even * d)
        c = _apart(1.0 + even / c)
        found *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / _apart(1.0 + odd * d)
        c = _apart(1.0 + odd / c)
        found *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return found


def _apart(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def fisher(yes: int, total: int, other_yes: int, other_total: int) -> float:
    """How likely two shares differ so much or more where they are the same (two-sided p-value of Fisher's test)."""
    all_yes, everything = yes + other_yes, total + other_total
    first, last = max(0, all_yes - other_total), min(all_yes, total)

    def chance(number: int) -> float:
        return exp(_choose(total, number) + _choose(other_total, all_yes - number) - _choose(everything, all_yes))

    seen = chance(yes) * (1 + 1e-9)
    return min(1.0, sum(each for number in range(first, last + 1) if (each := chance(number)) <= seen))


def _choose(many: int, few: int) -> float:
    return lgamma(many + 1) - lgamma(few + 1) - lgamma(many - few + 1)
