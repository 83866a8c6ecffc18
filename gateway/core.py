"""What one process has that outlives reloads: its state, counters, records, and what people decide by.

Nothing here knows the agents' side or the admin side; ``App`` puts these around it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from gateway import parts
from gateway.approvals.bench import Bench
from gateway.approvals.changes import Changes
from gateway.approvals.desk import Desk, concerns
from gateway.approvals.docket import Docket
from gateway.approvals.learning import Learning
from gateway.approvals.notify.telling import Telling
from gateway.approvals.standings import Standings
from gateway.config.load import Loaded
from gateway.console.feed import Feed
from gateway.guardrails.book import GuardrailBook
from gateway.lend.lenders import Lenders
from gateway.memory.house import MemoryHouse
from gateway.model import Quarantine, Trace
from gateway.model.state_url import read_state_url
from gateway.observe.audit import TraceLog
from gateway.observe.constants import Constants
from gateway.observe.keeping import keeping
from gateway.observe.links import Links
from gateway.observe.metrics import Metrics
from gateway.observe.redact import Redactor
from gateway.observe.runs_now import RunsNow
from gateway.observe.store.thread import TraceStore
from gateway.policy.governors import CompiledPool
from gateway.ports import State
from gateway.stores.breaker_notices import BreakerNotices
from gateway.stores.flows import FlowBook
from gateway.stores.lineage import TracedRuns
from gateway.stores.lineage_key import SharedKey
from gateway.stores.lines import Lines
from gateway.stores.memory import MemoryLedger
from gateway.stores.pacer import WaitingRoom
from gateway.stores.quarantine_notices import QuarantineNotices
from gateway.stores.quarantines import Register, told
from gateway.stores.runs import RunBook
from gateway.stores.shares import Shares
from gateway.stores.state import open_state
from gateway.stores.tasks import TaskBook
from gateway.stores.unguessable import Unguessable
from gateway.understand.kept import Kept

log = logging.getLogger("toolgate")

MOST_RUNS = 20_000
"""Runs whose states are counted."""
MOST_LINKED = 2_000
"""Runs of which is remembered what models proposed, and what should stay as it is while they go on."""


class Core:
    """One for each process."""

    def __init__(self, loaded: Loaded, redactor: Redactor, cut: Callable[[Quarantine], None]) -> None:
        """``cut`` ends the calls that a quarantine is about.

        Raises:
            ConfigError: the state, or what is written, cannot be opened.
        """
        self.redactor, self._cut = redactor, cut
        self._told_revision = 0
        self._told: set[str] = set()
        self.metrics = Metrics()
        self.metrics.started(loaded.version)
        self.audit = parts.audit_of(loaded)
        self._count(loaded)
        self._people(loaded)
        self.flows = FlowBook(endorsed=self.bench.endorsements.endorsed)
        self.tasks = TaskBook(time.time, self.state.board)
        self.guardrails = GuardrailBook(time.monotonic, self.metrics.guardrails.count)
        self.kept = Kept()
        self.lenders = Lenders(redactor.learn, time.monotonic, random.random)
        self.memory = MemoryHouse(self.state.shelf, self.runs.labels)
        self._records(loaded)

    def _count(self, loaded: Loaded) -> None:
        """What is held, counted and shut off."""
        self.state: State = open_state(read_state_url(loaded.config.state), time.time)
        self.budgets = parts.budgets_of(self.state)
        self.ledger = MemoryLedger(budgets=self.budgets, buckets=parts.buckets_of(self.state))
        self.pacer = Lines(WaitingRoom(), self.ledger.pools)
        self.runs = RunBook()
        self.lineage = TracedRuns(os.urandom(32), time.time, Unguessable())
        self._shared_key = SharedKey(self.state.board, self.lineage)
        self.notices = QuarantineNotices(self.state.board, time.time)
        self.quarantines = Register(time.time, self.notices.announce, self._heed)
        self.breakers = BreakerNotices(
            self.state.board, self.state.holder, self.ledger.circuits, time.monotonic, time.time
        )

    def _people(self, loaded: Loaded) -> None:
        """What is asked of people, who they are, and what is learnt from them."""
        cabinet, engine = self.state.cabinet, loaded.book.engine
        self.ident = parts.idents()
        self.docket = Docket(cabinet, time.time, parts.approval_ids())
        self.changes = Changes(self.docket)
        self.bench = Bench(self.docket, cabinet, parts.exemption_ids(), engine, self._judged)
        self.telling = Telling(self.docket, self.state, self.bench.verdicts, parts.masks_of(loaded, self.redactor))
        self.learning = Learning(
            self.docket,
            cabinet,
            self.metrics.approvals,
            lambda ident: self.desk.holds(ident),  # noqa: PLW0108 - the desk comes after its hooks
            self.ident.__next__,
        )
        self.learning.adopt(loaded.config.approvals, engine)
        self.standings = Standings(self.docket)
        before = (*self.bench.before, *self.learning.before)
        self.desk = Desk(self.docket, time.monotonic, before, tuple(self.bench.before))
        self.desk.adopt(loaded.version)

    def _records(self, loaded: Loaded) -> None:
        """Where calls are written down, and who reads along."""
        trace = loaded.config.trace
        kept = trace.store
        self.runs_now = RunsNow(
            Shares(MOST_RUNS), time.time, lambda: [approval.tree for approval in self.docket.waiting()]
        )
        self.store = None if kept is None else TraceStore(kept.path, kept.keep, kept.max_size)
        self.exporter = parts.exporter_of(loaded)
        self.feed = Feed()
        self.traces = TraceLog(
            trace.file,
            trace.on_failure,
            trace.capacity,
            (self.metrics.record, self.runs_now.record, self._tell),
            settings=keeping(trace.args, trace.redact, trace.headers, trace.args_limit, os.urandom(16)),
            store=self.store,
            redactor=self.redactor,
            audit=self.audit,
            links=Links(Shares(MOST_LINKED)),
            constants=Constants(Shares(MOST_LINKED)),
            followers=(self.feed.put,) if self.exporter is None else (self.feed.put, self.exporter.put),
        )

    async def start(self, loaded: Loaded) -> None:
        """Learn what stands in the state, and follow it. The state must have been started.

        Raises:
            StoreUnavailable: the state cannot be reached.
        """
        self.notices.start(self.quarantines)
        self.breakers.start(shared=self.state.shared)
        await self.telling.start(*parts.telling_of(loaded))
        self.tasks.start()
        await self.docket.start()
        await self.bench.start()
        await self.learning.start()
        if any(tool.builtin for tool in loaded.tools):
            self.memory.start()
        if loaded.config.lineage.key is None:
            await self._shared_key.start()

    async def close(self) -> None:
        """Follow it no more: the last first, and each whatever becomes of the others."""
        async with AsyncExitStack() as ends:
            for part in (
                self.state,
                self.budgets,
                self.breakers,
                self.notices,
                self._shared_key,
                self.docket,
                self.bench,
                self.learning,
                self.desk,
                self.telling,
                self.lenders,
                self.guardrails,
                self.memory,
            ):
                ends.push_async_callback(part.close)

    def adopt(self, loaded: Loaded) -> None:
        """Another valid version is in force."""
        self.redactor.adopt(parts.credentials(loaded))
        self.kept.keep(loaded.tools)
        if self.exporter is not None:
            self.exporter.peers = parts.peers_of(loaded)
        pools = {pool.name: pool.settings for pool in loaded.book.every(CompiledPool)}
        self.ledger.pools.adopt(pools, time.monotonic())
        self.bench.adopt(loaded.book.engine)
        self.telling.adopt(*parts.telling_of(loaded))
        self.learning.adopt(loaded.config.approvals, loaded.book.engine)
        self.metrics.reloaded(loaded.version)
        self.desk.adopt(loaded.version)
        if self.audit is not None:
            self.audit.note("reload", policy=loaded.version)

    def flush(self) -> int:
        """Write down what is still to be written; how many traces are lost."""
        lost = self.traces.close()
        if self.exporter is not None:
            self.exporter.close()
        return lost

    def noted(self, by: str, peer: str, what: str, why: str) -> None:
        """Somebody has changed something at the admin side."""
        if self.audit is not None:
            hide = self.redactor.text
            self.audit.note("change", by=hide(by), peer=peer, what=hide(what), why=hide(why))

    def _judged(self, by: str, via: str, what: str, said: str) -> None:
        """A person has given a verdict."""
        log.info("approvals: %s by %s", what, by)
        if self.audit is not None:
            hide = self.redactor.text
            self.audit.note("approval", by=hide(by), via=via, what=hide(what), said=hide(said))

    def _tell(self, trace: Trace) -> None:  # noqa: ARG002 - a call has ended, so a list of tools may have passed
        """Log tools of MCP servers that have come to differ from what was approved, once each."""
        revision = self.kept.revision
        if revision == self._told_revision:
            return
        self._told_revision = revision
        changes = {str(change) for change in self.kept.changes()}
        for change in sorted(changes - self._told):
            log.warning("%s", change)
        self._told = changes

    def _heed(self, quarantine: Quarantine) -> None:
        """A quarantine has come to stand. What it ends is ended after this turn: it may be a call that imposes it."""
        log.warning("%s", told(quarantine))
        if self.audit is not None:
            hide = self.redactor.text
            self.audit.note("quarantine", by=hide(quarantine.by), what=hide(told(quarantine)))
        withdrawn = self.desk.withdraw(partial(concerns, quarantine), "who or what it is about has been quarantined")
        if withdrawn:
            log.warning("quarantine of %s: %d approvals are taken back", quarantine.scope, withdrawn)
        asyncio.get_running_loop().call_soon(self._cut, quarantine)


__all__ = ["Core"]
