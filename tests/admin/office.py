"""Approvals with everything that the admin API has of them, over a cabinet in memory; time is the test's."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

from gateway.admin import approvals, exemptions
from gateway.admin.approvals_stream import Stream
from gateway.admin.principals import Principal, enter
from gateway.approvals.bench import Bench
from gateway.approvals.changes import Changes
from gateway.approvals.docket import Docket
from gateway.approvals.offers import Offers
from gateway.model import Approval, Held, Petition, Terms
from gateway.policy.engines import load_engine
from gateway.stores.memory_cabinet import MemoryCabinet
from tests.admin.support import session_of

NOW = 1_000_000.0
SECRET = b"s3cr3t-of-the-tool"


def hide(data: bytes) -> bytes:
    """What the redactor does to what the gateway itself holds."""
    return data.replace(SECRET, b"[redacted:credential:bank]") if SECRET in data else data


class Office:
    """The parts, and calls that come to them."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        numbers = itertools.count(1)
        cabinet = MemoryCabinet(lambda: self.now)
        self.docket = Docket(cabinet, lambda: self.now, lambda: f"apr-abcd{next(numbers):04x}")
        self.noted: list[tuple[str, ...]] = []
        self.engine = load_engine()
        self.bench = Bench(
            self.docket,
            cabinet,
            lambda: f"exm-abcd{next(numbers):04x}",
            self.engine,
            lambda *told: self.noted.append(told),
        )
        self.changes = Changes(self.docket)
        self._bindings = itertools.count(1)

    def add(self, app: Any) -> None:
        clerk = approvals.Clerk(
            self.docket, self.bench.verdicts, Stream(self.changes, "p1", lambda: self.now, hide), hide
        )
        approvals.add(app, clerk)
        exemptions.add(app, self.docket, self.bench.exemptions, self.bench.verdicts, Offers(self.docket, self.engine))

    async def open(self, args: dict[str, Any] | None = None, *, canary: bool = False, **fields: Any) -> Approval:
        """The approval of a call that has just been held."""
        args = {"to": "mallory", "amount": 900} if args is None else args
        terms = fields.pop("terms", Terms())
        usual = Petition(
            f"binding-{next(self._bindings)}",
            fields.pop("agent", "invoices"),
            ("clerk",),
            "run-1",
            ("invoices", "run-1"),
            fields.pop("tool", "bank"),
            fields.pop("operation", "POST /transfer"),
            "v1",
            (
                Held(
                    fields.pop("rule", "money/large"),
                    "more than 500 needs a person",
                    (("args.amount", args.get("amount")),),
                ),
            ),
            terms,
            "call-1",
            orjson.dumps({"method": "POST", "target": "/transfer", "args": args}),
            fields.pop("editable", True),
            fields.pop("answerable", True),
        )
        assert not fields, fields
        return await self.docket.open(usual, canary=canary)


@asynccontextmanager
async def serving(principal: Principal | None = None):
    """A client session, and the office behind it. ``principal`` makes all requests; None is whoever is on this
    machine."""
    office = Office()

    def add(app: Any) -> None:
        office.add(app)
        if principal is not None:
            app.middlewares.append(_as(principal))

    async with session_of(add) as session:
        yield session, office


def _as(principal: Principal):
    @web.middleware
    async def entering(request, handler):
        enter(request, principal)
        return await handler(request)

    return entering
