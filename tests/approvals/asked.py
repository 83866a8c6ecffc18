"""Approvals, petitions and samples as they come, by what matters to a test."""

from __future__ import annotations

import itertools
from typing import Any

import orjson

from gateway.approvals.docket import Docket
from gateway.approvals.samples import Sample
from gateway.model import Approval, ApprovalState, Held, Petition, Terms, Vote
from gateway.stores.memory_cabinet import MemoryCabinet

NOW = 1_000_000.0
_numbers = itertools.count(1)


def payload(args: Any = None) -> bytes:
    return orjson.dumps({"method": "POST", "target": "/pay", "operation": "pay", "args": args, "why": {}})


def petition(
    args: Any = None,
    *,
    rules: tuple[str, ...] = ("money/large",),
    agent: str = "billing",
    tool: str = "bank",
    operation: str = "pay",
    terms: Terms = Terms(),
    binding: str = "",
) -> Petition:
    args = {"amount": 900, "to": "acme"} if args is None else args
    read = tuple([(f"args.{name}", value) for name, value in args.items()])
    return Petition(
        binding or f"{next(_numbers):032x}",
        agent,
        ("clerk",),
        "run-1",
        (agent, "run-1"),
        tool,
        operation,
        "v1",
        tuple([Held(rule, "more than 500", read) for rule in rules]),
        terms,
        "call-1",
        payload(args),
    )


def approval(**fields: Any) -> Approval:
    asked = petition(
        **{name: fields.pop(name) for name in ("rules", "agent", "tool", "operation", "terms") if name in fields}
    )
    opened = fields.pop("opened", NOW)
    return Approval(
        **{
            "id": f"apr-{next(_numbers):06x}",
            "binding": asked.binding,
            "agent": asked.agent,
            "roles": asked.roles,
            "run": asked.run,
            "tree": asked.tree,
            "tool": asked.tool,
            "operation": asked.operation,
            "version": asked.version,
            "held": asked.held,
            "terms": asked.terms,
            "opened": opened,
            "expires": opened + asked.terms.expires,
            **fields,
        }
    )


def decided(verb: str = "approve", by: str = "ann", **fields: Any) -> Approval:
    """An approval that this person has decided on."""
    looked = fields.pop("looked", 10.0)
    states = {"deny": ApprovalState.DENIED, "answer": ApprovalState.ANSWERED}
    votes = fields.pop("votes", (Vote(by, verb, NOW + 30, seconds=looked),))
    return approval(
        state=states.get(verb, ApprovalState.APPROVED), votes=votes, edited=verb == "edit", decided=NOW + 30, **fields
    )


def sample(verb: str = "approve", by: str = "ann", **fields: Any) -> Sample:
    number = next(_numbers)
    return Sample(
        **{
            "id": f"apr-{number:06x}",
            "at": NOW + number,
            "rules": ("money/large",),
            "version": "v1",
            "tool": "bank",
            "operation": "pay",
            "agent": "billing",
            "shape": "",
            "verb": verb,
            "by": (by,),
            "votes": ((by, verb),),
            "waited": 60.0,
            "looked": 10.0,
            **fields,
        }
    )


class Time:
    """A wall clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def docket(cabinet: MemoryCabinet, time: Time) -> Docket:
    return Docket(cabinet, time, lambda: f"apr-{next(_numbers):06x}")
