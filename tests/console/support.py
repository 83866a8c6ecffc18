"""The console over real sockets, in this process, on records of one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import time
from typing import Any

import aiohttp
from msgspec import Struct

from gateway.admin.api import make_api
from gateway.admin.gate import Gate
from gateway.admin.server import start
from gateway.approvals.docket import Docket
from gateway.approvals.exemptions import Exemption
from gateway.approvals.permission import Who
from gateway.approvals.priority import priority
from gateway.config.fields import Address
from gateway.config.load import load
from gateway.console import pages
from gateway.console.desk import Desk, Sights
from gateway.console.feed import Feed
from gateway.console.inbox import Inbox
from gateway.console.records import Records
from gateway.model import Approval, Trace
from gateway.observe.exposition import Gauges, registry_of
from gateway.observe.metrics import Metrics
from gateway.observe.trace import line_of
from gateway.stores.circuits import Circuits
from gateway.stores.memory_cabinet import MemoryCabinet
from gateway.stores.quarantines import Register

STATE = {
    "ready": True,
    "draining": False,
    "policy_version": "abc",
    "loaded_at": "2026-11-30T00:00:00Z",
    "last_reload_error": None,
    "trace": {"dropped": 0, "error": None},
    "unapproved_tools": [],
}
CONFIG = """
policies: ./policies
identify: [{anonymous: tester}]
tools:
  bank: {url: "http://127.0.0.1:1", operations: ["POST /transfers"]}
"""
POLICY = """
apiVersion: toolgate/v1
kind: Policy
metadata: {name: payments}
spec:
  rules:
    - {name: large, when: request.size > 100, then: deny, message: large}
    - {name: silent, when: request.size > 1000, then: deny, message: silent}
"""
EXEMPTION = Exemption(
    *("exm-1", ("payments/large",), "bank", "POST /transfers", "args.amount <= 900", "agent", "billing", ("", "")),
    *(7, True, 2e9, "ann", ("approver",), "apr-1", 1.6e9, 3),
)


class Place(Struct):
    """A console that is served: a client at it, and what it shows."""

    session: aiohttp.ClientSession
    feed: Feed
    register: Register
    state: dict[str, object]
    url: str


@asynccontextmanager
async def serving(
    folder: Path,
    traces: Iterable[Trace] = (),
    token: str | None = None,
    store: Path | None = None,
    docket: Docket | None = None,
    why_not: Callable[[Approval, Who], str] = lambda *_: "",
    calibration: Callable[[], Mapping[str, Any]] = dict,
    hide: Callable[[bytes], bytes] = bytes,
) -> AsyncIterator[Place]:
    """A console whose feed has these traces; ``store`` is its trace store's file, if it has one. ``docket`` has what
    its inbox shows, ``calibration`` gives what verdicts tell."""
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "payments.yaml").write_text(POLICY)
    (folder / "toolgate.yaml").write_text(CONFIG)
    loaded = load(str(folder / "toolgate.yaml"))
    feed, gate, register, state = Feed(), Gate(Address("127.0.0.1", 9090), token), Register(lambda: 1e9), dict(STATE)
    feed.put([line_of(one) for one in traces])

    async def no_budgets() -> list[object]:
        return []

    sights = Sights(
        lambda: state,
        lambda: loaded,
        register,
        Circuits(),
        list,
        no_budgets,
        list,
        tuple,
        lambda record, _: [f"nothing changes {record['call']}"],
        Inbox(docket or Docket(MemoryCabinet(time), time, str), priority, lambda *_: False),
        why_not,
        lambda _: True,
        lambda _: [{"rule": "payments/large", "verdicts": {"approve": 41, "deny": 3}, "agent": {}}],
        lambda: [EXEMPTION],
        calibration,
        hide,
    )
    desk = Desk(Records(store, feed), feed, sights, gate)
    runner = await start(
        ("127.0.0.1", 0),
        lambda: state,
        registry_of(Metrics(), Gauges()),
        make_api(gate),
        pages=lambda app: pages.add(app, desk),
    )
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            yield Place(session, feed, register, state, f"http://{host}:{port}")
    finally:
        await runner.cleanup()
