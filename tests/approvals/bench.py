"""A bench over a cabinet in memory, with a clock that the test turns, and approvals that wait before it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.approvals.bench import Bench
from gateway.approvals.docket import Docket
from gateway.approvals.permission import Who
from gateway.model import DEFAULT_TERMS, Agent, Approval, Call, Held, Petition, Run, Terms
from gateway.policy.engines import load_engine
from gateway.ports import Cabinet
from gateway.stores.memory_cabinet import MemoryCabinet
from tests.builders import call, request, tool

ADA, BOB = Who("ada", frozenset({"approver"}), "console"), Who("bob", frozenset({"approver"}), "cli")
BANK = tool("bank")
ENGINE = load_engine()
IDENTS = itertools.count(1)


class Wall:
    """Seconds since the epoch."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Room:
    """One replica: a docket, and a bench over it. Another in the same ``cabinet`` is another replica."""

    def __init__(self, cabinet: Cabinet | None = None, wall: Wall | None = None, engine: Any = ENGINE) -> None:
        self.wall = wall or Wall()
        self.cabinet = cabinet or MemoryCabinet(self.wall)
        self.audit: list[tuple[str, str, str, str]] = []
        self.docket = Docket(self.cabinet, self.wall, lambda: f"apr-{next(IDENTS)}")
        self.bench = Bench(
            self.docket, self.cabinet, lambda: f"exm-{next(IDENTS)}", engine, lambda *told: self.audit.append(told)
        )
        self.give, self.exemptions = self.bench.verdicts.give, self.bench.exemptions

    async def waiting(self, of: Petition | None = None, **rest: Any) -> Approval:
        """An approval that waits."""
        return await self.docket.open(of or petition(**rest))

    async def rules(self, of: Call, **rest: Any) -> Any:
        """What the hooks say of a call before anybody is asked."""
        for hook in self.bench.before:
            if (ruling := await hook(of, petition(of, **rest))) is not None:
                return ruling
        return None

    async def follow(self) -> None:
        """Learn what other replicas have done, as each does four times a second."""
        await self.docket.follow()
        await self.exemptions._known.follow()
        await self.bench.endorsements._known.follow()


def transfer(
    amount: float = 500, to: str = "a@example.org", *, run: str = "run-1", agent: str = "agent-1", **args: Any
) -> Call:
    """A call that moves money."""
    return call(
        "POST /transfers",
        to=BANK,
        agent=Agent(agent, ("payer",), "header"),
        run=Run(run),
        args={"amount": amount, "to": to, **args},
        of=request("POST", "/bank/transfers"),
        target="/transfers",
    )


def petition(of: Call | None = None, terms: Terms = DEFAULT_TERMS, read: tuple[str, ...] = (), **rest: Any) -> Petition:
    """What is laid before the desk of this call; ``read`` are the paths that its one rule read."""
    made = of or transfer()
    paths = read or ("args.amount", "args.to")
    held = (
        Held(
            "payments/large", "large transfers need a person", tuple([(path, _at(made.args, path)) for path in paths])
        ),
    )
    given: dict[str, Any] = {
        "binding": f"binding-{next(IDENTS)}",
        "agent": made.agent.id,
        "roles": made.agent.roles,
        "run": made.run.id,
        "tree": made.tree,
        "tool": made.tool.name,
        "operation": made.operation,
        "version": "v1",
        "held": held,
        "terms": terms,
        "payload": payload(made.args),
        "editable": True,
        "answerable": True,
    }
    return Petition(**given | rest)


def payload(args: Mapping[str, Any] | None, **rest: Any) -> bytes:
    """What a docket keeps of a call."""
    shown = {"protocol": "http", "target": "/transfers", "args": None if args is None else dict(args), **rest}
    return orjson.dumps(shown)


def _at(args: Mapping[str, Any], path: str) -> Any:
    value: Any = {"args": args}
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
