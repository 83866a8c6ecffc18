"""What a call is told by how its approval stands. Quiet."""

from __future__ import annotations

from gateway.approvals.states import APPROVING
from gateway.decide.results import KEPT_BACK
from gateway.model import RESULT, Approval, ApprovalState, Reason, Ruling

LATER = "a person has been asked; repeat exactly the same call later, in a minute or more, or go on with something else"
OUTDATED = "the policies have changed since a person was asked about this call"
"""Why approvals are taken back that were asked for by other policies than count now."""
ELSE = "do not repeat this call; go on without it, or ask for what is needed in another way"


def ruling_of(approval: Approval) -> Ruling | None:
    """The ruling; None where it still waits."""
    by = tuple(dict.fromkeys([vote.by for vote in approval.votes if vote.verb != "ask"]))
    if approval.state is ApprovalState.APPROVED:
        verb = "edit" if approval.edited else next((v.verb for v in approval.votes if v.verb in APPROVING), "approve")
        return Ruling(True, approval.id, by, verb)
    if approval.state is ApprovalState.DENIED:
        text = approval.message or "a person has denied this call"
        return Ruling(False, approval.id, by, "deny", message=text, reason=Reason.APPROVAL_DENIED, advice=ELSE)
    if approval.state is ApprovalState.ANSWERED:
        return Ruling(
            False, approval.id, by, "answer", message=approval.message, reason=Reason.ANSWERED_BY_PERSON, status=200
        )
    if approval.state is ApprovalState.RUNNING:
        return Ruling(
            False,
            approval.id,
            by,
            "running",
            message="the same call has been approved once, and is being made now or has ended in a way nobody knows",
            reason=Reason.APPROVAL_PENDING,
            advice="look whether it has had its effect before you ask for it again",
        )
    if approval.state is ApprovalState.DONE:
        return used(approval)
    if approval.state is ApprovalState.EXPIRED:
        return expired(approval)
    return withdrawn(approval) if approval.state is ApprovalState.WITHDRAWN else None


def pending(approval: Approval) -> Ruling:
    """What a call is told that has waited for long enough."""
    asks = [vote.message for vote in approval.votes if vote.verb == "ask" and vote.message]
    text = approval.held[0].text if approval.held else "a person must approve this call"
    if asks:
        text = f"{text}; the person who looked at it asks: {asks[-1]}"
    return Ruling(
        False,
        approval.id,
        verb="pending",
        message=f"waiting for a person: {text}",
        reason=Reason.APPROVAL_PENDING,
        advice=LATER,
    )


def expired(approval: Approval) -> Ruling:
    """What a call is told that waited until nobody could decide any more."""
    return Ruling(
        False,
        approval.id,
        verb="expired",
        message="nobody decided on this call in time, so it is not made",
        reason=Reason.APPROVAL_DENIED,
        advice=ELSE,
    )


def used(approval: Approval) -> Ruling:
    """What a call is told beside which the same call waited, and has been made."""
    return Ruling(
        False,
        approval.id,
        verb="used",
        message="the same call waited too, has been approved and has been made",
        advice="look whether it has had its effect; make the call again only where it is to be made once more",
    )


def withdrawn(approval: Approval) -> Ruling:
    """What a call is told whose approval was taken back."""
    if approval.message == OUTDATED:
        return outdated(approval.id)
    return Ruling(
        False,
        approval.id,
        verb="withdrawn",
        message=approval.message or "what was asked of a person about this call has been taken back",
        reason=Reason.APPROVAL_DENIED,
        advice=ELSE,
    )


def outdated(approval: str) -> Ruling:
    """What a call is told that came by policies which have been replaced while it waited: here, or on a replica."""
    return Ruling(
        False,
        approval,
        verb="withdrawn",
        message=OUTDATED,
        advice="make the call again, so that it is decided by those that count now",
    )


def lost(approval: Approval) -> Ruling:
    """What a call is told whose approval is not there any more: the state has lost it."""
    return Ruling(
        False,
        approval.id,
        verb="lost",
        message="what was asked of a person about this call is not there any more",
        advice="make the call again to ask anew",
    )


def unavailable(what: str, about: str = "") -> Ruling:
    """What a call is told where nobody can be asked; ``about`` is that of the petition."""
    if about == RESULT:
        text, advice = f"a person must look at this result, and none can be asked now: {what}", KEPT_BACK
        return Ruling(
            False, verb="unavailable", message=text, reason=Reason.STATE_UNAVAILABLE, status=503, advice=advice
        )
    return Ruling(
        False,
        verb="unavailable",
        message=f"a person must approve this call, and none can be asked now: {what}",
        reason=Reason.STATE_UNAVAILABLE,
        status=503,
        advice="go on without this call, or try again in some minutes",
    )


def unknown(what: str) -> Ruling:
    """What a call is told of which nobody knows now whether it has been made, and people look at its result."""
    return Ruling(
        False,
        verb="unavailable",
        message=f"whether a result of the same call waits for a person cannot be known now, so it is not made: {what}",
        reason=Reason.STATE_UNAVAILABLE,
        status=503,
        advice="repeat exactly the same call later",
    )
