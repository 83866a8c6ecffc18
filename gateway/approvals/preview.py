"""What an exemption would have let pass, had it stood: held against calls that were recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from gateway.approvals.matching import SCOPES, check_when, is_true
from gateway.approvals.proposals import Proposal
from gateway.model import Approval, Call
from gateway.policy.engine import CelEngine


class Past(Struct, frozen=True):
    """A call that was recorded. ``asked`` are the rules that held it for a person (``policy/rule``); ``unknown`` the
    variables, or paths below them, that the record lacks, masks or cuts."""

    call: Call
    asked: tuple[str, ...]
    unknown: tuple[str, ...] = ()


class Recent(Struct, frozen=True):
    """Calls that are recorded, the newest ones. ``since`` is the time of the oldest, in seconds
    since the epoch; ``complete``: there are no more of the time that was asked for."""

    calls: tuple[Past, ...] = ()
    since: float = 0.0
    complete: bool = True


Recall = Callable[[Approval], Awaitable[Recent]]
"""Gives what is recorded of calls that the rules of an approval held."""


class Preview(Struct, frozen=True):
    """Of ``held`` recorded calls of this operation that the same rules had held, since ``since`` (seconds since the
    epoch), so many would have passed, by scope. Of ``unknown`` others that cannot be said: what the condition reads of
    them was not recorded. ``complete``: there are no more of that time."""

    held: int
    passed: dict[str, int]
    unknown: int
    since: float
    complete: bool


class Offer(Struct, frozen=True):
    """A proposal, and what it would have let pass."""

    proposal: Proposal
    preview: Preview


def preview(engine: CelEngine, approval: Approval, when: str, recent: Recent) -> Preview:
    """What calls like the one of this approval would have passed, in its run, of its agent, and of everybody.

    Raises:
        CelError: ``when`` is no such expression.
    """
    program = check_when(engine, when)
    held = unknown = 0
    passed = dict.fromkeys(SCOPES, 0)
    for past in recent.calls:
        if past.call.operation != approval.operation or not past.asked or not set(past.asked) <= set(approval.rules):
            continue
        held += 1
        if any(name in program.references or name.partition(".")[0] in program.references for name in past.unknown):
            unknown += 1
        elif is_true(engine, program, past.call):
            passed["run"] += bool(approval.tree[1]) and past.call.tree == approval.tree
            passed["agent"] += past.call.agent.id == approval.agent
            passed["everybody"] += 1
    return Preview(held, passed, unknown, recent.since, recent.complete)
