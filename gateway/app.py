"""The composition root: the one file that knows which class stands behind which port.

A reload builds one new frozen ``Pipeline`` and swaps it in; counters, circuits, connections and the trace log stay.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from gateway import __version__, parts
from gateway.admin import approvals as admin_approvals
from gateway.admin import breakers, budgets, calibration, exemptions, prompts, quarantines, runs
from gateway.admin import pools as admin_pools
from gateway.admin import server as admin_server
from gateway.admin import tasks as admin_tasks
from gateway.admin.api import make_api
from gateway.admin.approvals import Clerk
from gateway.admin.approvals_stream import Stream
from gateway.admin.callbacks import Callbacks
from gateway.admin.gate import Gate
from gateway.approvals.bench import Bench
from gateway.approvals.changes import Changes
from gateway.approvals.desk import Desk as ApprovalDesk
from gateway.approvals.desk import concerns
from gateway.approvals.docket import Docket
from gateway.approvals.learning import Learning
from gateway.approvals.notify.telling import Telling
from gateway.approvals.standings import Standings
from gateway.config.load import Loaded, load
from gateway.config.reload import watch
from gateway.config.schema_admin import AdminTls
from gateway.config.schema_identify import ListenTls
from gateway.console import pages
from gateway.console.decide import Decide
from gateway.console.desk import Desk, Explain, Sights
from gateway.console.feed import Feed
from gateway.console.inbox import Inbox
from gateway.console.recall import Recall
from gateway.console.records import Records
from gateway.errors import ConfigError, Problem
from gateway.guardrails.book import GuardrailBook
from gateway.lend.lenders import Lenders
from gateway.model import Quarantine, Trace
from gateway.model.state_url import read_state_url
from gateway.observe.audit import TraceLog
from gateway.observe.exposition import Gauges, registry_of
from gateway.observe.keeping import keeping
from gateway.observe.links import Links
from gateway.observe.logs import RedactedFormatter
from gateway.observe.metrics import Metrics
from gateway.observe.redact import Redactor
from gateway.observe.runs_now import RunsNow
from gateway.observe.store.thread import TraceStore
from gateway.pipeline import Pipeline
from gateway.policy.governors import CompiledPool
from gateway.policy.tasks import CompiledTask
from gateway.ports import Ledger, Pacer, Recorder, State
from gateway.replies import quarantined
from gateway.stores.breaker_notices import BreakerNotices
from gateway.stores.flows import FlowBook
from gateway.stores.lineage import TracedRuns
from gateway.stores.lineage_key import SharedKey
from gateway.stores.lines import Lines
from gateway.stores.memory import MemoryLedger
from gateway.stores.pacer import WaitingRoom
from gateway.stores.quarantine_notices import QuarantineNotices
from gateway.stores.quarantines import Register, covers, told
from gateway.stores.runs import RunBook
from gateway.stores.shares import Shares
from gateway.stores.state import open_state
from gateway.stores.tasks import TaskBook
from gateway.stores.unguessable import Unguessable
from gateway.streets import Kept, Streets
from gateway.understand.route import Router
from gateway.wire.listener import Listener

log = logging.getLogger("toolgate")


def _nothing(record: dict[str, Any], loaded: Loaded) -> list[str]:  # noqa: ARG001 - where nobody explains
    return []


def run(path: str, explain: Explain = _nothing) -> None:
    """Serve until SIGTERM or SIGINT, then drain; SIGHUP reloads. ``path`` is the configuration file.

    ``explain`` tells the console what would have changed a recorded call.

    Raises:
        ConfigError: it cannot start: every mistake in its files, or an address that cannot be had.
    """
    loaded = load(path)
    redactor = parts.redactor_of(loaded)
    told = logging.StreamHandler(sys.stderr)
    told.setFormatter(RedactedFormatter(redactor))
    logging.basicConfig(handlers=[told], level=loaded.config.log.level.upper())
    for warning in loaded.warnings:
        log.warning("%s", warning)
    uvloop.run(App(path, loaded, redactor, explain).serve())


MOST_RUNS = 20_000
"""Runs whose states are counted."""
MOST_LINKED = 2_000
"""Runs whose models' proposals are remembered."""


class App:
    """One process: what outlives reloads, and the pipeline of the moment."""

    def __init__(self, path: str, loaded: Loaded, redactor: Redactor, explain: Explain = _nothing) -> None:
        self._explain = explain
        self._path = path
        self._redactor = redactor
        self._loaded = loaded
        self._started_with = loaded.config
        self._loaded_at = _now()
        self._reload_error: dict[str, Any] | None = None
        self._ready = False
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._state: State = open_state(read_state_url(loaded.config.state), time.time)
        self._budgets = parts.budgets_of(self._state)
        self._ledger = MemoryLedger(budgets=self._budgets, buckets=parts.buckets_of(self._state))
        self._pacer = Lines(WaitingRoom(), self._ledger.pools)
        self._runs = RunBook()
        self._lineage = TracedRuns(os.urandom(32), time.time, Unguessable())
        self._shared_key = SharedKey(self._state.board, self._lineage)
        self._notices = QuarantineNotices(self._state.board, time.time)
        self._quarantines = Register(time.time, self._notices.announce, self._heed)
        self._breakers = BreakerNotices(
            self._state.board, self._state.holder, self._ledger.circuits, time.monotonic, time.time
        )
        self._metrics = Metrics()
        self._ident = parts.idents()
        self._docket = Docket(self._state.cabinet, time.time, parts.approval_ids())
        self._changes = Changes(self._docket)
        self._bench = Bench(self._docket, self._state.cabinet, parts.exemption_ids(), loaded.book.engine, self._judged)
        self._telling = Telling(self._docket, self._state, self._bench.verdicts, parts.masks_of(loaded, redactor))
        self._learning = Learning(
            self._docket,
            self._state.cabinet,
            self._metrics.approvals,
            lambda ident: self._desk.holds(ident),  # noqa: PLW0108 - the desk comes after its hooks
            self._ident.__next__,
        )
        self._learning.adopt(loaded.config.approvals, loaded.book.engine)
        before = (*self._bench.before, *self._learning.before)
        self._standings = Standings(self._docket)
        self._desk = ApprovalDesk(self._docket, time.monotonic, before, tuple(self._bench.before))
        self._flows = FlowBook(endorsed=self._bench.endorsements.endorsed)
        self._tasks = TaskBook(time.time, self._state.board)
        self._guardrails = GuardrailBook(time.monotonic, self._metrics.guardrails.count)
        self._kept = Kept()
        self._lenders = Lenders(redactor.learn, time.monotonic, random.random)
        self._told_revision = 0
        self._told: set[str] = set()
        self._runs_now = RunsNow(
            Shares(MOST_RUNS), time.time, lambda: [approval.tree for approval in self._docket.waiting()]
        )
        self._metrics.started(loaded.version)
        self._desk.adopt(loaded.version)
        trace = loaded.config.trace
        kept = trace.store
        self._store = None if kept is None else TraceStore(kept.path, kept.keep, kept.max_size)
        self._exporter = parts.exporter_of(loaded)
        self._feed = Feed()
        self._audit = parts.audit_of(loaded)
        self._traces = TraceLog(
            trace.file,
            trace.on_failure,
            trace.capacity,
            (self._metrics.record, self._runs_now.record, self._tell),
            settings=keeping(trace.args, trace.redact, trace.headers, trace.args_limit, os.urandom(16)),
            store=self._store,
            redactor=redactor,
            audit=self._audit,
            links=Links(Shares(MOST_LINKED)),
            followers=(self._feed.put,) if self._exporter is None else (self._feed.put, self._exporter.put),
        )
        self._gate = Gate(loaded.config.admin.listen, admin=loaded.config.admin, noted=self._noted)
        self._certificate = parts.certificate_of(loaded)
        self._identities = parts.Identities()
        self._listening_tls = parts.listening_tls_of(loaded)
        self._listener = Listener(self._pipeline(loaded), parts.limits_of(loaded.config.wire))

    async def serve(self) -> None:
        """Listen, watch the files, and drain when told to stop.

        Raises:
            ConfigError: an address cannot be had, or the state cannot be opened.
        """
        await self._state.start()
        try:
            self._notices.start(self._quarantines)
            self._breakers.start(shared=self._state.shared)
            await self._telling.start(*parts.telling_of(self._loaded))
            self._tasks.start()
            await self._docket.start()
            await self._bench.start()
            await self._learning.start()
            if self._loaded.config.lineage.key is None:
                await self._shared_key.start()
            await self._serve()
        finally:
            async with AsyncExitStack() as ends:  # the last first, and each whatever becomes of the others
                ends.push_async_callback(self._state.close)
                ends.push_async_callback(self._identities.close)
                ends.push_async_callback(self._budgets.close)
                ends.push_async_callback(self._breakers.close)
                ends.push_async_callback(self._notices.close)
                ends.push_async_callback(self._shared_key.close)
                ends.push_async_callback(self._docket.close)
                ends.push_async_callback(self._bench.close)
                ends.push_async_callback(self._learning.close)
                ends.push_async_callback(self._desk.close)
                ends.push_async_callback(self._telling.close)
                ends.push_async_callback(self._lenders.close)
                ends.push_async_callback(self._guardrails.close)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        config = self._loaded.config
        operators = await self._operators()
        probes = await self._probes(operators)
        try:
            tls = None if self._listening_tls is None else self._listening_tls.context
            host, port = await self._listener.start(config.listen.host, config.listen.port, tls)
        except OSError as error:
            await operators.cleanup()
            await probes.aclose()
            raise ConfigError(
                [Problem(self._path, 0, 0, f"cannot listen on {config.listen}: {error.strerror or error}")]
            ) from None
        watching = asyncio.create_task(
            watch(self._path, self._loaded, self._changed, self._failed, self._stop, self._reload)
        )
        _settle_garbage()
        self._ready = True
        tools = ", ".join(sorted(tool.name for tool in self._loaded.tools))
        log.info("toolgate %s on %s:%s, policy %s, tools: %s", __version__, host, port, self._loaded.version, tools)
        if not config.admin.asks:
            log.info("the admin API asks for no login: whatever runs on this machine can use it, agents and tools too")
        await self._stop.wait()
        grace = self._listener.limits.drain
        log.info("draining: %d connections, up to %g s", len(self._listener.connections), grace)
        self._desk.hurry()
        self._standings.hurry()
        try:
            await self._listener.drain()
            await watching
            await operators.cleanup()
            await probes.aclose()
            await self._gate.close()
        finally:
            lost = self._traces.close()
            if self._exporter is not None:
                self._exporter.close()
        log.info("drained; %d traces lost", lost)

    # -- reload -------------------------------------------------------------------------------------------------

    def _changed(self, loaded: Loaded) -> None:
        """A new valid version: calls from now on take it."""
        after = loaded.config
        if parts.bound_by(self._started_with.admin) != parts.bound_by(after.admin):
            log.warning("where admin listens is not as it was at the start, in %s: that needs a restart", self._path)
        self._gate.adopt(after.admin)
        self._renew_certificate(after.admin.tls)
        self._renew_listening(after.listen_tls)
        if (self._started_with.listen_tls is None) != (after.listen_tls is None):
            log.warning("whether there is listen_tls is not as at the start, in %s: that needs a restart", self._path)
        for key in ("listen", "state", "trace", "audit", "log"):
            if getattr(self._started_with, key) != getattr(after, key):
                log.warning("%s is not as it was at the start, in %s: that needs a restart", key, self._path)
        self._redactor.adopt(parts.credentials(loaded))
        self._listener.limits = parts.limits_of(after.wire)
        self._listener.pipeline = self._pipeline(loaded)
        self._listener.pools.keep(loaded.tools)
        self._kept.keep(loaded.tools)
        if self._exporter is not None:
            self._exporter.peers = parts.peers_of(loaded)
        pools = {pool.name: pool.settings for pool in loaded.book.every(CompiledPool)}
        self._ledger.pools.adopt(pools, time.monotonic())
        self._bench.adopt(loaded.book.engine)
        self._telling.adopt(*parts.telling_of(loaded))
        self._learning.adopt(after.approvals, loaded.book.engine)
        self._loaded, self._loaded_at, self._reload_error = loaded, _now(), None
        self._metrics.reloaded(loaded.version)
        self._desk.adopt(loaded.version)
        if self._audit is not None:
            self._audit.note("reload", policy=loaded.version)
        for warning in loaded.warnings:
            log.warning("%s", warning)
        log.info("reloaded: policy %s", loaded.version)

    def _renew_certificate(self, tls: AdminTls | None) -> None:
        if self._certificate is None or tls is None:
            return
        try:
            self._certificate.renew(tls)
        except OSError as error:  # ssl.SSLError is one
            log.warning("the certificate of the admin address stays as it was: %s", error)

    def _renew_listening(self, tls: ListenTls | None) -> None:
        if self._listening_tls is None or tls is None:
            return
        try:
            if self._listening_tls.renew(tls):
                self._listener.retire_certified()
        except OSError as error:  # ssl.SSLError is one
            log.warning("TLS for agents stays as it was: %s", error)

    def _failed(self, error: ConfigError) -> None:
        """A new version that cannot be used: the old one stays, and everybody is told."""
        self._metrics.reload_failed()
        self._reload_error = {"at": _now(), "problems": [str(problem) for problem in error.problems]}
        for problem in error.problems:
            log.error("not reloaded, %s stays in force: %s", self._loaded.version, problem)

    def _pipeline(self, loaded: Loaded) -> Pipeline:
        config = loaded.config
        self._lineage.parent_header = config.lineage.parent_header.lower().encode("ascii")
        if config.lineage.key is not None:
            self._lineage.rekey(config.lineage.key.encode())
        lenders = self._lenders.adopt(loaded.tools)
        flow, streets = config.flow, Streets(loaded, self._kept, time.time, lenders).all()
        maps = {name: street.flows for name, street in streets.items() if street.flows is not None}
        key = b"" if flow.prompt_key is None else flow.prompt_key.encode()
        self._tasks.adopt(loaded.book.every(CompiledTask), key)
        self._guardrails.adopt(config.guardrails, parts.args_masked(loaded))
        self._flows.adopt(maps, flow.trusted_sources, flow.values, key)
        ledger: Ledger = self._ledger
        pacer: Pacer = self._pacer
        recorder: Recorder = self._traces
        return Pipeline(
            loaded.version,
            self._identities.of(config.identify),
            config.run_header.lower().encode("ascii"),
            Router(loaded.tools),
            streets,
            ledger,
            pacer,
            recorder,
            time.monotonic,
            time.time,
            self._ident.__next__,
            self._runs,
            self._lineage,
            self._quarantines,
            self._redactor.held,
            self._desk,
            frozenset(name.lower().encode("ascii") for name in config.approvals.ignore_headers),
            flows=self._flows,
            guards=self._guardrails,
            tasks=self._tasks,
            standings=self._standings,
        )

    def _tell(self, trace: Trace) -> None:  # noqa: ARG002 - a call has ended, so a list of tools may have passed
        """Log tools of MCP servers that have come to differ from what was approved, once each."""
        revision = self._kept.revision
        if revision == self._told_revision:
            return
        self._told_revision = revision
        changes = {str(change) for change in self._kept.changes()}
        for change in sorted(changes - self._told):
            log.warning("%s", change)
        self._told = changes

    def _heed(self, quarantine: Quarantine) -> None:
        """A quarantine has come to stand. What it ends is ended after this turn: it may be a call that imposes it."""
        log.warning("%s", told(quarantine))
        if self._audit is not None:
            hide = self._redactor.text
            self._audit.note("quarantine", by=hide(quarantine.by), what=hide(told(quarantine)))
        withdrawn = self._desk.withdraw(partial(concerns, quarantine), "who or what it is about has been quarantined")
        if withdrawn:
            log.warning("quarantine of %s: %d approvals are taken back", quarantine.scope, withdrawn)
        asyncio.get_running_loop().call_soon(self._cut, quarantine)

    def _cut(self, quarantine: Quarantine) -> None:
        refused = quarantined(quarantine, time.time())
        ended = self._listener.cut(partial(covers, quarantine), refused, running=quarantine.cut)
        if ended:
            log.warning("quarantine of %s: %d calls were ended", quarantine.scope, ended)

    # -- what operators see -------------------------------------------------------------------------------------

    async def _operators(self) -> web.AppRunner:
        """The admin address: probes, metrics, the API and the console.

        Raises:
            ConfigError: the address cannot be had.
        """
        listen, gate = self._loaded.config.admin.listen, self._gate
        api = make_api(gate, self._noted)
        quarantines.add(api, self._quarantines, lambda: self._listener.pipeline.streets, self._notices.said)
        names = lambda: self._loaded.book.breaker_names  # noqa: E731 - a reload brings others
        breakers.add(api, self._ledger.circuits, self._breakers.say, names, self._breakers.said)
        runs.add(api, self._runs, self._quarantines)
        admin_tasks.add(api, self._tasks)
        prompts.add(api, self._flows.hand_over)
        admin_pools.add(api, self._ledger.pools)
        budgets.add(api, self._budgets.all_standings)
        admin_approvals.add(api, self._clerk())
        calibration.add(api, self._learning)
        bench = self._bench
        exemptions.add(api, self._docket, bench.exemptions, bench.verdicts, bench.offers)
        return await admin_server.start(
            (listen.host, listen.port),
            self._status,
            registry_of(self._metrics, self._gauges()),
            api,
            hide=self._redactor.page,
            pages=self._all_pages(gate),
            tls=None if self._certificate is None else self._certificate.context,
        )

    def _clerk(self) -> Clerk:
        hide, learning = self._redactor.page, self._learning
        stream = Stream(self._changes, self._state.holder, time.time, hide)
        return Clerk(
            self._docket,
            self._bench.verdicts,
            stream,
            hide,
            learning.order.value,
            learning.similar,
            learning.connected,
        )

    async def _probes(self, operators: web.AppRunner) -> AsyncExitStack:
        """The address for probes alone, where there is one. Raises ConfigError, with ``operators`` ended."""
        ends, address = AsyncExitStack(), self._loaded.config.admin.probes
        if address is not None:
            try:
                at = (address.host, address.port)
                runner = await admin_server.start_probes(at, self._status, registry_of(self._metrics, self._gauges()))
            except ConfigError:
                await operators.cleanup()
                raise
            ends.push_async_callback(runner.cleanup)
        return ends

    def _gauges(self) -> Gauges:
        return Gauges(
            self._listener.in_flight,
            self._ledger.breakers,
            self._connections,
            self._kept.unapproved,
            lambda: self._traces.dropped,
            self._quarantines.counts,
            self._quarantines.refused.items,
            pools=self._ledger.pools.states,
            budgets=self._budgets.standings,
            store=self._stored,
            audit=self._audited,
            runs=self._runs_now.counts,
            exported=self._exported,
            notifications=self._telling.notifier.counts,
            approvals=self._learning.vigilance,
        )

    def _status(self) -> Mapping[str, Any]:
        return {
            "ready": self._ready,
            "draining": self._listener.draining,
            "policy_version": self._loaded.version,
            "loaded_at": self._loaded_at,
            "last_reload_error": self._reload_error,
            "trace": {**self._traces.status(), **self._exporting()},
            "audit": None if self._audit is None else self._audit.status(),
            "state": self._state.status(),
            "channels": self._telling.notifier.status(),
            "unapproved_tools": sorted(str(change) for change in self._kept.changes()),
        }

    def _exporting(self) -> dict[str, Any]:
        return {} if self._exporter is None else {"otlp": self._exporter.status()}

    def _exported(self) -> tuple[int, int]:
        return (0, 0) if self._exporter is None else (self._exporter.exported, self._exporter.dropped)

    def _all_pages(self, gate: Gate) -> Callable[[web.Application], None]:
        """The console's, and what messages lead to: that has signatures of its own."""
        told = self._telling
        console = self._pages(gate)

        def add(app: web.Application) -> None:
            console(app)
            Callbacks(told.buttons).add(app)
            Decide(self._docket, told.buttons, told.notifier).add(app)

        return add

    def _pages(self, gate: Gate) -> Callable[[web.Application], None]:
        """The console's."""
        store = self._loaded.config.trace.store
        sights = Sights(
            self._status,
            lambda: self._loaded,
            self._quarantines,
            self._ledger.circuits,
            lambda: list(self._ledger.pools.states()),
            self._budgets.all_standings,
            lambda: list(self._runs.listing(time.monotonic())),
            self._kept.changes,
            self._explain,
            Inbox(self._docket, self._learning.order.value, self._learning.attention.tired),
            self._bench.verdicts.why_not,
            self._learning.connected,
            self._learning.similar,
            self._bench.exemptions.standing,
            partial(calibration.told, self._learning),
        )
        records = Records(None if store is None else Path(store.path), self._feed)
        self._bench.offers.recall = Recall(records, lambda: self._listener.pipeline, time.time)
        return partial(pages.add, desk=Desk(records, self._feed, sights, gate))

    def _noted(self, by: str, peer: str, what: str, why: str) -> None:
        if self._audit is not None:
            hide = self._redactor.text
            self._audit.note("change", by=hide(by), peer=peer, what=hide(what), why=hide(why))

    def _judged(self, by: str, via: str, what: str, said: str) -> None:
        """A person has given a verdict."""
        log.info("approvals: %s by %s", what, by)
        if self._audit is not None:
            hide = self._redactor.text
            self._audit.note("approval", by=hide(by), via=via, what=hide(what), said=hide(said))

    def _audited(self) -> tuple[int, int, int]:
        audit = self._audit
        return (0, 0, 0) if audit is None else (audit.head.seq, audit.unwritten, audit.dropped)

    def _stored(self) -> tuple[int, int]:
        return (0, 0) if self._store is None else (self._store.dropped, self._store.size)

    def _connections(self) -> Iterator[tuple[str, int]]:
        yield "agent", len(self._listener.connections)
        yield "upstream", self._listener.pools.open()


def _settle_garbage() -> None:
    """What is loaded stays loaded: the collector need not look at it again, nor look as often as it does by default."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
