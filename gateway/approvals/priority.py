"""In which order people look at approvals: by the expected value of a look. Quiet: time is an argument.

    value = risk * uncertainty * waiting / seconds

- risk: what is at stake (``impact`` of the terms) times the chance that a person denies it (what they said of calls
  that the same rule held, shrunk towards a prior).
- uncertainty: the entropy of that chance, in bits. Where nobody doubts the answer, a look changes nothing. It is 1
  where the call goes through if nobody looks.
- waiting: grows with age, doubles while an agent's connection is held, and grows as the time to decide runs out.
- seconds: how long a look takes, of what is known of the same rule.

It is the value of information (Howard 1966) for the question "let it go or not", per second of a person's time. Growth
with age bounds how long anything waits behind what is worth more. Operators may put another formula over the same
variables in its place (``approvals.priority``).
"""

from __future__ import annotations

from math import log2

from msgspec import Struct

from gateway.model import Approval

FORMULA = "risk * uncertainty * waiting / seconds"
"""As ``value`` computes it."""
AGEING = 300.0
"""Seconds of age after which waiting costs twice as much as at first."""
CLOSING = 120.0
"""Seconds before its end at which it costs half as much again."""
DENIALS, VERDICTS = 0.2, 2.0
"""Prior of the chance of a denial: as many denials in so many verdicts, as if they had been seen."""
LOOK = 20.0
"""Seconds of a look where nothing is known."""


class Known(Struct, frozen=True):
    """What past verdicts tell of an approval: the chance of a denial, and the seconds of a look."""

    deny_rate: float = DENIALS / VERDICTS
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
    unsure = 1.0 if approval.terms.timeout == "allow" else entropy(rate)
    waiting = (1.0 + age / AGEING) * (2.0 if connected else 1.0) * (1.0 + CLOSING / (CLOSING + left))
    return Factors(
        impact * rate, unsure, waiting, impact, rate, age, left, max(1.0, known.seconds), 1.0 if connected else 0.0
    )


def priority(approval: Approval, now: float, known: Known = NOTHING_KNOWN, *, connected: bool = False) -> float:
    """The expected value of a look at it, in the unit of impact per second of a person's time."""
    return factors(approval, now, known, connected=connected).value


def entropy(chance: float) -> float:
    """Of a yes or no, in bits: 1 where nobody knows, 0 where it is certain."""
    if chance <= 0.0 or chance >= 1.0:
        return 0.0
    return -(chance * log2(chance) + (1.0 - chance) * log2(1.0 - chance))
