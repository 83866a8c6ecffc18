"""The two shapes of guard. A guard that looks is a Check; a guard that counts is a Quota.

With one shape a counting guard could answer "ask a human" and be ignored; with two it cannot be said.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from gateway.model import Call, Claim, Hold, Question, Refusal, Spoke


class Judgement(Struct, frozen=True):
    """What a check made of a call. A refusal ends the matter; a question goes to a human; the rest is told."""

    refusal: Refusal | None = None
    question: Question | None = None
    spoke: tuple[Spoke, ...] = ()
    grant: str = ""


NOTHING = Judgement()


class Check(Protocol):
    """Judges a call by the call alone."""

    def judge(self, call: Call) -> Judgement: ...


class Quota(Protocol):
    """Names what must be set aside for a call, and words the refusal when it cannot be."""

    def claims(self, call: Call) -> tuple[Claim, ...]: ...

    def refusal(self, hold: Hold) -> Refusal: ...
