"""The two shapes of guard. A guard that looks is a Check; a guard that counts is a Quota.

With one shape a counting guard could answer "ask a human" and be ignored; with two it cannot be said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from gateway.model import Call, Changed, Claim, Hold, Question, Refusal, Spoke


class Judgement(Struct, frozen=True):
    """What a check made of a call. A refusal ends the matter; questions go to a human; ``fields`` are masked in what
    the tool gets; the rest is told."""

    refusal: Refusal | None = None
    questions: tuple[Question, ...] = ()
    spoke: tuple[Spoke, ...] = ()
    grant: str = ""
    fields: tuple[Changed, ...] = ()


NOTHING = Judgement()

Redact = Callable[[Call, tuple[Changed, ...]], Call]
"""Gives the call with these fields masked in all that the tool gets. Raises Refused where that cannot be done."""


Fit = Callable[[Call, Sequence[Hold]], Call]
"""Gives the call within what was granted, where a hold grants less than was claimed. Raises Refused where it cannot."""


Edit = Callable[[Call, Mapping[str, Any]], Call]
"""Gives the call with these arguments in place of its own. Raises Refused where that cannot be done."""


class Check(Protocol):
    """Judges a call by the call alone."""

    def judge(self, call: Call) -> Judgement: ...


class Quota(Protocol):
    """Names what must be set aside for a call, and words the refusal when it cannot be."""

    def claims(self, call: Call) -> tuple[Claim, ...]: ...

    def refusal(self, hold: Hold) -> Refusal: ...
