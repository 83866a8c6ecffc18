"""Who may decide on an approval, and why somebody may not. Quiet: time is an argument."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from gateway.model import Approval
from gateway.policy.people import People

DECIDING = frozenset({"approver", "admin"})
"""Roles one of which whoever decides must have, whatever else the terms ask for."""


class Who(Struct, frozen=True):
    """A person who decides. ``id`` is what the gateway knows them by; ``via`` is how the verdict comes: console, cli,
    api, or the name of a channel."""

    id: str
    roles: frozenset[str] = frozenset()
    via: str = ""


def why_not(approval: Approval, principal: Who, people: People, now: float) -> str:
    """Why this person may not decide on it at this time (seconds since the epoch); empty where they may.

    Steps of escalation whose time has come let others decide too.
    """
    if DECIDING.isdisjoint(principal.roles):
        return f"{principal.id} is no approver"
    if _same(principal.id, approval.agent) or _same(principal.id, approval.tree[0]):
        return f"{principal.id} may not decide on calls of its own"
    terms = approval.terms
    due = [step.who for step in terms.escalate if step.who and now - approval.opened >= step.after]
    if not terms.who or any(
        people.may(who, principal.id, sorted(principal.roles), approval.agent, approval.roles)
        for who in (terms.who, *due)
    ):
        return ""
    later = [step.after for step in terms.escalate if step.who and now - approval.opened < step.after]
    more = f"; others may once it has waited for {later[0]:g} s" if later else ""
    return f"{principal.id} is not among those who may decide on this: {terms.who}{more}"


def _same(person: str, agent: str) -> bool:
    """Whether they are one: issuers write the same address now in this case, now in that."""
    return person.casefold() == agent.casefold()


def stands_for(
    ident: str, roles: Collection[str], who: str, agent: str, agent_roles: tuple[str, ...], root: str, people: People
) -> bool:
    """Whether what this person once said (an exemption, an endorsement) counts for a call of this agent, whose run
    began with ``root``, on terms with this ``who``: only where they could decide on it."""
    if DECIDING.isdisjoint(roles) or _same(ident, agent) or _same(ident, root):
        return False
    return people.may(who, ident, sorted(roles), agent, agent_roles)
