"""The states of an approval, and what leads from one to another. Quiet: time is an argument.

    waiting --approve/edit/endorse (enough of them)--> approved --claimed by a call--> running --> done
       |  \\--deny--> denied      \\--answer--> answered        |         \\--the call was not made--> approved
       \\--nobody in time--> expired (or approved, where the policy says so)   \\--the process died--> running (unknown)

What is waiting or approved may be withdrawn. A verdict, and that nobody gave one, is remembered for ``terms.valid``.

A step that does not fit raises ``Conflict``: whoever takes it has not seen what stands.
"""

from __future__ import annotations

from msgspec import structs

from gateway.model import RESULT, Approval, ApprovalState, Vote

FOR_TIMEOUT = "timeout"
"""Who approves where nobody did, and the policy lets the call through."""
APPROVING = frozenset({"approve", "edit", "endorse"})


class Conflict(Exception):  # noqa: N818 - an event
    """The approval does not stand as it must for this step. The text says how it stands, for a person."""


def voted(approval: Approval, vote: Vote, now: float) -> Approval:
    """The approval after a verdict.

    Raises:
        Conflict: it does not wait any more, or this person has decided already.
    """
    if approval.state is not ApprovalState.WAITING:
        raise Conflict(told(approval))
    if now >= approval.expires:
        raise Conflict("the approval has expired")
    if any(one.by == vote.by and one.verb in APPROVING for one in approval.votes) and vote.verb in APPROVING:
        raise Conflict(f"{vote.by} has approved already; another person must")
    if vote.verb == "edit":
        # What others approved before was something else.
        approval = structs.replace(approval, votes=_asked(approval.votes), edited=True)
    after = structs.replace(approval, votes=(*approval.votes, vote))
    if vote.verb == "ask":
        return structs.replace(after, message=vote.message)
    if vote.verb == "deny":
        return _closed(after, ApprovalState.DENIED, vote.message, now)
    if vote.verb == "answer":
        return _closed(after, ApprovalState.ANSWERED, vote.message, now)
    if vote.verb not in APPROVING:
        raise Conflict(f"no verdict is called {vote.verb!r}")
    if after.approvals < after.terms.approvers:
        return after
    return _closed(after, ApprovalState.APPROVED, "", now)


def _asked(votes: tuple[Vote, ...]) -> tuple[Vote, ...]:
    """What was asked back; not what was approved."""
    return tuple([vote for vote in votes if vote.verb == "ask"])


def _closed(approval: Approval, state: ApprovalState, message: str, now: float) -> Approval:
    return structs.replace(approval, state=state, message=message, decided=now, expires=now + approval.terms.valid)


def timed_out(approval: Approval, now: float) -> Approval:
    """The approval after its time has come: nobody decided, or nobody called in time.

    Raises:
        Conflict: its time has not come, or it has no end.
    """
    if now < approval.expires:
        raise Conflict("its time has not come")
    if approval.state is ApprovalState.WAITING:
        if approval.terms.timeout == "allow" and not approval.canary:
            vote = Vote(FOR_TIMEOUT, "approve", now)
            allowed = structs.replace(approval, votes=(*approval.votes, vote))
            return _closed(allowed, ApprovalState.APPROVED, "", now)
        return _closed(approval, ApprovalState.EXPIRED, "", now)
    if approval.state is ApprovalState.APPROVED:
        return structs.replace(approval, state=ApprovalState.EXPIRED)
    raise Conflict(told(approval))


def claimed(approval: Approval, call: str, now: float) -> Approval:
    """The approval in the hands of a call that is about to be made.

    Raises:
        Conflict: it is not approved, or not any more.
    """
    if approval.state is not ApprovalState.APPROVED or approval.canary:
        raise Conflict(told(approval))
    if now >= approval.expires:
        raise Conflict("the approval has expired")
    return structs.replace(approval, state=ApprovalState.RUNNING, call=call, outcome="unknown")


def ended(approval: Approval, call: str, outcome: str) -> Approval:
    """The approval after the call that took it has ended, with this outcome.

    Raises:
        Conflict: it is not in the hands of this call.
    """
    if approval.state is not ApprovalState.RUNNING or approval.call != call:
        raise Conflict(told(approval))
    return structs.replace(approval, state=ApprovalState.DONE, outcome=outcome)


def released(approval: Approval, call: str) -> Approval:
    """The approval after it has turned out that the call which took it was never made.

    Raises:
        Conflict: it is not in the hands of this call.
    """
    if approval.state is not ApprovalState.RUNNING or approval.call != call:
        raise Conflict(told(approval))
    return structs.replace(approval, state=ApprovalState.APPROVED, outcome="")


def unclaimed(approval: Approval, call: str) -> Approval:
    """As ``released``, where nobody knows whether the call took it. One that has not been taken is written anew as it
    stands: a claim that is still on its way to the store finds another version there, and comes too late.

    Raises:
        Conflict: it is past that, or in the hands of another call.
    """
    return structs.replace(approval) if approval.state is ApprovalState.APPROVED else released(approval, call)


def attached(approval: Approval, more: int) -> Approval:
    """The approval after the same call has been made so many times more.

    Raises:
        Conflict: it does not wait any more.
    """
    if approval.state is not ApprovalState.WAITING:
        raise Conflict(told(approval))
    return structs.replace(approval, asked=approval.asked + more)


def withdrawn(approval: Approval, message: str, now: float) -> Approval:
    """The approval taken back: it waits no more, and cannot be called.

    Raises:
        Conflict: it is past that.
    """
    if approval.state not in (ApprovalState.WAITING, ApprovalState.APPROVED):
        raise Conflict(told(approval))
    return structs.replace(approval, state=ApprovalState.WITHDRAWN, message=message, decided=now)


_TOLD = {
    ApprovalState.WAITING: "it still waits",
    ApprovalState.APPROVED: "it was approved",
    ApprovalState.DENIED: "it was denied",
    ApprovalState.ANSWERED: "it was answered",
    ApprovalState.RUNNING: "the call is being made",
    ApprovalState.DONE: "the call has been made",
    ApprovalState.EXPIRED: "it has expired",
    ApprovalState.WITHDRAWN: "it was withdrawn",
}


_TOLD_OF_RESULT = {
    ApprovalState.RUNNING: "the result is being given to the agent",
    ApprovalState.DONE: "the agent has the result",
}

_BY_SOMEBODY = frozenset({ApprovalState.APPROVED, ApprovalState.DENIED, ApprovalState.ANSWERED})


def told(approval: Approval) -> str:
    """How it stands, for a person."""
    by = next((vote.by for vote in reversed(approval.votes) if vote.verb != "ask"), "")
    if not by or approval.state not in _BY_SOMEBODY:
        of_result = _TOLD_OF_RESULT.get(approval.state) if approval.about == RESULT else None
        return of_result or _TOLD[approval.state]
    return f"{_TOLD[approval.state]} by {by}"
