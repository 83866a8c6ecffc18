"""In which order people look at approvals: by the expected value of a look. Quiet: time is an argument.

    value = risk * uncertainty * waiting / seconds

- risk: what is at stake (``impact`` of the terms) times the chance that what happens without a look is wrong. Where
  calls pass when nobody decides, that is the chance that a person denies it; where they are refused, the chance that a
  person approves it, which counts a fifth: a good call that is refused costs less than a bad one that is made. The
  chance is of what people said of such calls before.
- uncertainty: how many times larger that chance may well be, by one standard deviation of what is known of it: 1 where
  it is known for certain. Without it, what was once thought harmless would never be looked at again, and so never be
  known better (optimism in the face of uncertainty; Lai and Robbins 1985).
- waiting: grows with age, doubles while an agent's connection is held, and grows as the time to decide runs out.
- seconds: how long a look takes, of what is known of the same rule.

It is the value of information (Howard 1966) for the question "let it go or not", per second of a person's time. Growth
with age bounds how long anything waits behind what is worth more. Operators may put another formula over the same
variables in its place (``approvals.priority``).
"""

from __future__ import annotations

from math import sqrt

from msgspec import Struct

from gateway.model import Approval

FORMULA = "risk * uncertainty * waiting / seconds"
"""As ``value`` computes it."""
AGEING = 300.0
"""Seconds of age after which waiting costs twice as much as at first."""
CLOSING = 120.0
"""Seconds before its end at which it costs half as much again."""
DENIALS, VERDICTS = 1.0, 2.0
"""Prior of the chance of a denial, Beta(1, 1): as many denials in so many verdicts, as if they had been seen."""
LOOK = 20.0
"""Seconds of a look where nothing is known."""
REFUSED = 0.2
"""What it costs that a good call is refused, as a share of what a bad one does that is made."""
_LEAST = 1e-9


def deviation_of(rate: float, verdicts: float) -> float:
    """The standard deviation of a share with a beta distribution that so many verdicts have led to."""
    return sqrt(max(0.0, rate * (1.0 - rate)) / (verdicts + 1.0))


class Known(Struct, frozen=True):
    """What past verdicts tell of an approval: the chance of a denial and its standard deviation, and the seconds of a
    look."""

    deny_rate: float = DENIALS / VERDICTS
    deviation: float = deviation_of(DENIALS / VERDICTS, VERDICTS)
    seconds: float = LOOK


NOTHING_KNOWN = Known()


class Factors(Struct, frozen=True):
    """What a formula may read. All are doubles; times are in seconds; ``connected`` is 1 or 0."""

    risk: float
    uncertainty: float
    waiting: float
    impact: float
    deny_rate: float
    age: float
    expires_in: float
    seconds: float
    connected: float

    @property
    def value(self) -> float:
        """By FORMULA."""
        return self.risk * self.uncertainty * self.waiting / self.seconds


def factors(approval: Approval, now: float, known: Known = NOTHING_KNOWN, *, connected: bool = False) -> Factors:
    """What the value of a look at it is made of. ``connected``: an agent is held on the line for it."""
    age, left = max(0.0, now - approval.opened), max(0.0, approval.expires - now)
    impact, rate = approval.terms.impact, known.deny_rate
    passes = approval.terms.timeout == "allow"
    wrong = max(_LEAST, rate if passes else 1.0 - rate)
    risk = impact * wrong if passes else impact * wrong * REFUSED
    waiting = (1.0 + age / AGEING) * (2.0 if connected else 1.0) * (1.0 + CLOSING / (CLOSING + left))
    return Factors(
        risk,
        1.0 + known.deviation / wrong,
        waiting,
        impact,
        rate,
        age,
        left,
        max(1.0, known.seconds),
        1.0 if connected else 0.0,
    )


def priority(approval: Approval, now: float, known: Known = NOTHING_KNOWN, *, connected: bool = False) -> float:
    """The expected value of a look at it, in the unit of impact per second of a person's time."""
    return factors(approval, now, known, connected=connected).value
