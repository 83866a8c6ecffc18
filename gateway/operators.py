"""The operators' side of one process: probes, metrics, the admin API and the console, on addresses of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.admin import approvals as admin_approvals
from gateway.admin import breakers, budgets, calibration, exemptions, prompts, quarantines, runs
from gateway.admin import memory as admin_memory
from gateway.admin import pools as admin_pools
from gateway.admin import server as admin_server
from gateway.admin import tasks as admin_tasks
from gateway.admin.api import make_api
from gateway.admin.approvals import Clerk
from gateway.admin.approvals_stream import Stream
from gateway.admin.callbacks import Callbacks
from gateway.admin.gate import Gate
from gateway.admin.tls import Certificate
from gateway.config.load import Loaded
from gateway.config.schema_admin import Admin
from gateway.console import pages
from gateway.console.decide import Decide
from gateway.console.desk import Desk, Explain, Sights
from gateway.console.inbox import Inbox
from gateway.console.recall import Recall
from gateway.console.records import Records
from gateway.core import Core
from gateway.observe.exposition import Gauges, registry_of
from gateway.wire.listener import Listener

Version = Callable[[], Loaded]
"""The version in force."""


class Operators:
    """``status`` tells how the process stands, beside what its core knows; see ``admin_server.Status``."""

    def __init__(
        self,
        core: Core,
        listener: Listener,
        version: Version,
        status: admin_server.Status,
        explain: Explain,
        certificate: Certificate | None,
    ) -> None:
        """``explain`` tells what would have changed a recorded call. By the ``certificate`` the address speaks TLS."""
        admin = version().config.admin
        self._core, self._listener, self._version, self._explain = core, listener, version, explain
        self._certificate, self._own = certificate, status
        self._gate = Gate(admin.listen, admin=admin, noted=core.noted)

    def adopt(self, admin: Admin) -> None:
        """Other users, from now on."""
        self._gate.adopt(admin)

    async def start(self) -> AsyncExitStack:
        """Open the addresses; ends with what is returned.

        Raises:
            ConfigError: one cannot be had.
        """
        async with AsyncExitStack() as ends:
            runner = await self.serve()
            ends.push_async_callback(self._gate.close)
            ends.push_async_callback(runner.cleanup)
            probes = self._version().config.admin.probes
            if probes is not None:
                at = (probes.host, probes.port)
                runner = await admin_server.start_probes(at, self.status, self._registry())
                ends.push_async_callback(runner.cleanup)
            return ends.pop_all()

    async def serve(self) -> web.AppRunner:
        """The admin address: probes, metrics, the API and the console.

        Raises:
            ConfigError: the address cannot be had.
        """
        listen = self._version().config.admin.listen
        return await admin_server.start(
            (listen.host, listen.port),
            self.status,
            self._registry(),
            self._api(),
            hide=self._core.redactor.page,
            pages=self._pages,
            tls=None if self._certificate is None else self._certificate.context,
        )

    def status(self) -> Mapping[str, Any]:
        """As on /readyz."""
        core = self._core
        exporting = {} if core.exporter is None else {"otlp": core.exporter.status()}
        return {
            **self._own(),
            "trace": {**core.traces.status(), **exporting},
            "audit": None if core.audit is None else core.audit.status(),
            "state": core.state.status(),
            "channels": core.telling.notifier.status(),
            "unapproved_tools": sorted(str(change) for change in core.kept.changes()),
        }

    # -- the API ------------------------------------------------------------------------------------------------

    def _api(self) -> web.Application:
        core, bench = self._core, self._core.bench
        api = make_api(self._gate, core.noted)
        quarantines.add(api, core.quarantines, lambda: self._listener.pipeline.streets, core.notices.said)
        names = lambda: self._version().book.breaker_names  # noqa: E731 - a reload brings others
        breakers.add(api, core.ledger.circuits, core.breakers.say, names, core.breakers.said)
        runs.add(api, core.runs, core.quarantines)
        admin_tasks.add(api, core.tasks)
        prompts.add(api, core.flows.hand_over)
        admin_pools.add(api, core.ledger.pools)
        budgets.add(api, core.budgets.all_standings)
        admin_memory.add(api, core.state.shelf, core.memory.has)
        admin_approvals.add(api, self._clerk())
        calibration.add(api, core.learning)
        exemptions.add(api, core.docket, bench.exemptions, bench.verdicts, bench.offers)
        return api

    def _clerk(self) -> Clerk:
        core, learning, hide = self._core, self._core.learning, self._core.redactor.page
        stream = Stream(core.changes, core.state.holder, time.time, hide)
        return Clerk(
            core.docket,
            core.bench.verdicts,
            stream,
            hide,
            learning.order.value,
            learning.similar,
            learning.connected,
        )

    # -- the console --------------------------------------------------------------------------------------------

    def _pages(self, app: web.Application) -> None:
        """The console's, and what messages lead to: that has signatures of its own."""
        core, told = self._core, self._core.telling
        store = self._version().config.trace.store
        records = Records(None if store is None else Path(store.path), core.feed)
        core.bench.offers.recall = Recall(records, lambda: self._listener.pipeline, time.time)
        pages.add(app, desk=Desk(records, core.feed, self._sights(), self._gate))
        Callbacks(told.buttons).add(app)
        Decide(core.docket, told.buttons, told.notifier).add(app)

    def _sights(self) -> Sights:
        core, learning = self._core, self._core.learning
        return Sights(
            self.status,
            self._version,
            core.quarantines,
            core.ledger.circuits,
            lambda: list(core.ledger.pools.states()),
            core.budgets.all_standings,
            lambda: list(core.runs.listing(time.monotonic())),
            core.kept.changes,
            self._explain,
            Inbox(core.docket, learning.order.value, learning.attention.tired),
            core.bench.verdicts.why_not,
            learning.connected,
            learning.similar,
            core.bench.exemptions.standing,
            partial(calibration.told, learning),
            core.redactor.page,
        )

    # -- metrics ------------------------------------------------------------------------------------------------

    def _registry(self) -> Any:
        core = self._core
        gauges = Gauges(
            self._listener.in_flight,
            core.ledger.breakers,
            self._connections,
            core.kept.unapproved,
            lambda: core.traces.dropped,
            core.quarantines.counts,
            core.quarantines.refused.items,
            pools=core.ledger.pools.states,
            budgets=core.budgets.standings,
            store=self._stored,
            audit=self._audited,
            runs=core.runs_now.counts,
            exported=self._exported,
            notifications=core.telling.notifier.counts,
            approvals=core.learning.vigilance,
            memory=core.memory.readings,
        )
        return registry_of(core.metrics, gauges)

    def _connections(self) -> Iterator[tuple[str, int]]:
        yield "agent", len(self._listener.connections)
        yield "upstream", self._listener.pools.open()

    def _exported(self) -> tuple[int, int]:
        exporter = self._core.exporter
        return (0, 0) if exporter is None else (exporter.exported, exporter.dropped)

    def _audited(self) -> tuple[int, int, int]:
        audit = self._core.audit
        return (0, 0, 0) if audit is None else (audit.head.seq, audit.unwritten, audit.dropped)

    def _stored(self) -> tuple[int, int]:
        store = self._core.store
        return (0, 0) if store is None else (store.dropped, store.size)


__all__ = ["Operators"]
