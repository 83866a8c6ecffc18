"""What stands behind one kind of claim. A keeper is one file; the ledger holds one for each kind."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Generic, TypeVar

from gateway.model import Answered, Claim, Hold, Outcome

C = TypeVar("C", bound=Claim)


class Keeper(Generic[C]):
    """Counters of one kind. All of it on one loop, so each method is atomic. ``now`` is in seconds, monotonic.

    The four switches say which of the later methods do anything, so that no call pays for those that do not.
    """

    fetches = False
    """``missing`` may find something."""
    hears = False
    """``answered`` does something."""
    ends = False
    """``settle`` and ``release`` do something."""
    refuses = False
    """``refused`` does something."""

    def look(self, claim: C, now: float) -> Hold:
        """Whether the claim can be granted now. Moves nothing."""
        raise NotImplementedError

    def take(self, claim: C, hold: Hold, now: float) -> Hold:  # noqa: ARG002
        """Take what ``look`` (``hold``) found to be there; the same hold, or one that says more."""
        return hold

    def refused(self, hold: Hold, now: float) -> Hold:  # noqa: ARG002
        """The call was refused, by what ``look`` (``hold``) found, or by another keeper where it granted that; the same
        hold, or one that says more."""
        return hold

    def foresee(self, claim: C, now: float) -> Hold:
        """As ``look``, but granted too where ``missing`` may still bring what is not there now."""
        return self.look(claim, now)

    def missing(self, claim: C, now: float) -> Awaitable[None] | None:  # noqa: ARG002
        """What must happen before ``look`` can know, or could grant (a lease from a shared store); None for nothing."""
        return None

    def answered(self, hold: Hold, answer: Answered, now: float) -> None:
        """The head of the tool's answer is here."""

    def settle(self, hold: Hold, outcome: Outcome, now: float) -> None:
        """The call was made, and this came of it."""

    def release(self, hold: Hold, now: float) -> None:
        """The call was not made after all."""

    def tidy(self, now: float) -> None:
        """Forget what says nothing. Called before claims are looked at, never among them."""
