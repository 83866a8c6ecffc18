"""Every verdict of a person is a labelled sample: what was asked, and what they said. Quiet.

No value of an argument is in it, only the digest of their shape; so samples may be kept for longer than calls.
"""

from __future__ import annotations

from msgspec import Struct

from gateway.approvals.states import APPROVING, FOR_TIMEOUT
from gateway.model import Approval, ApprovalState, Vote

QUICK = 3.0
"""Seconds within which nobody has read what they approve."""
_USED = frozenset({ApprovalState.APPROVED, ApprovalState.RUNNING, ApprovalState.DONE})
_GONE = frozenset({ApprovalState.EXPIRED, ApprovalState.WITHDRAWN})


class Sample(Struct, frozen=True):
    """One verdict. Times are seconds since the epoch."""

    id: str
    """Of the approval."""
    at: float
    rules: tuple[str, ...]
    version: str
    tool: str
    operation: str
    agent: str
    shape: str
    """Digest of names and types of the arguments (``alike.shape_of``)."""
    verb: str
    """approve, edit, endorse, deny or answer."""
    by: tuple[str, ...]
    """Who voted, in order, the one last whose vote decided."""
    votes: tuple[tuple[str, str], ...]
    """Each one's last word: who, and the verb."""
    waited: float
    """Seconds from its opening to the verdict."""
    looked: float
    """Seconds that the last of them had it before them; 0 where that is not known."""
    canary: bool = False
    """The answer was known: it should have been denied."""
    via: str = ""

    @property
    def approved(self) -> bool:
        """Whether the call may be made, as it was or with other arguments."""
        return self.verb in APPROVING

    @property
    def edited(self) -> bool:
        """Whether somebody put other arguments in."""
        return self.verb == "edit"

    @property
    def quick(self) -> bool:
        """Whether it was approved faster than anybody reads."""
        return self.verb == "approve" and 0.0 < self.looked < QUICK

    @property
    def caught(self) -> bool:
        """Whether a canary was denied."""
        return self.canary and self.verb == "deny"


def verdict_of(approval: Approval) -> str:
    """What people have decided; empty where they have not, or where it was not a person who did."""
    said = [vote for vote in approval.votes if vote.verb != "ask"]
    if not said or said[-1].by == FOR_TIMEOUT:
        return ""
    if approval.state is ApprovalState.DENIED:
        return "deny"
    if approval.state is ApprovalState.ANSWERED:
        return "answer"
    enough = approval.approvals >= approval.terms.approvers
    if approval.state in _USED or (approval.state in _GONE and enough):
        return "edit" if approval.edited else said[-1].verb
    return ""


def sample_of(approval: Approval, shape: str) -> Sample | None:
    """The sample that its verdict is; None where there is no verdict of a person."""
    verb = verdict_of(approval)
    if not verb:
        return None
    said = [vote for vote in approval.votes if vote.verb != "ask"]
    last: Vote = said[-1]
    return Sample(
        approval.id,
        last.at,
        approval.rules,
        approval.version,
        approval.tool,
        approval.operation,
        approval.agent,
        shape,
        verb,
        tuple(dict.fromkeys([vote.by for vote in said])),
        tuple({vote.by: vote.verb for vote in said}.items()),
        max(0.0, last.at - approval.opened),
        max(0.0, last.seconds),
        approval.canary,
        last.via,
    )
