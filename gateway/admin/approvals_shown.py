"""Approvals as the admin API shows them. Times are seconds since the epoch.

That an approval is a known-answer check is shown nowhere: whoever decides must not be able to tell.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from gateway.model import Approval, ApprovalState, Held, Vote


def summary(approval: Approval, now: float) -> dict[str, Any]:
    """What a list has of it: all but what it would do, which is the payload."""
    terms = approval.terms
    waits = approval.state is ApprovalState.WAITING
    return {
        "id": approval.id,
        "state": approval.state.value,
        "agent": approval.agent,
        "roles": approval.roles,
        "run": approval.run,
        "tree": approval.tree,
        "run_url": run_url(approval),
        "tool": approval.tool,
        "operation": approval.operation,
        "rules": approval.rules,
        "held": [_held(held) for held in approval.held],
        "policy_version": approval.version,
        "opened": round(approval.opened, 3),
        "expires": round(approval.expires, 3),
        "seconds_left": round(max(0.0, approval.expires - now), 3) if waits else None,
        "timeout": terms.timeout,
        "approvers": terms.approvers,
        "approvals": approval.approvals,
        "who": terms.who,
        "impact": terms.impact,
        "about": approval.about or "call",
        "editable": approval.editable,
        "answerable": approval.answerable,
        "edited": approval.edited,
        "escalated": approval.escalated,
        "asked": approval.asked,
        "call": approval.call,
        "votes": [_vote(vote) for vote in approval.votes],
        "decided": round(approval.decided, 3) if approval.decided else None,
        "message": approval.message,
        "outcome": approval.outcome,
    }


def run_url(approval: Approval) -> str | None:
    """Where the console shows the run so far; None for a call without a run."""
    if not approval.run:
        return None
    return f"/at/runs?{urlencode([('part', approval.agent), ('part', approval.run)], errors='replace')}"


def _held(held: Held) -> dict[str, Any]:
    return {
        "rule": held.rule,
        "text": held.text,
        "read": [{"path": path, "value": value} for path, value in held.read],
    }


def _vote(vote: Vote) -> dict[str, Any]:
    return {
        "by": vote.by,
        "roles": vote.roles,
        "verb": vote.verb,
        "message": vote.message,
        "at": round(vote.at, 3),
        "seconds": round(vote.seconds, 3),
        "via": vote.via,
    }
