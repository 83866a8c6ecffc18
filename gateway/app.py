"""The composition root: with ``core.py``, what knows which class stands behind which port.

A reload builds one new frozen ``Pipeline`` and swaps it in; counters, circuits, connections and the trace log stay.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any

import uvloop

from gateway import __version__, parts
from gateway.config.load import Loaded, load
from gateway.config.reload import watch
from gateway.config.schema_admin import AdminTls
from gateway.config.schema_identify import ListenTls
from gateway.console.desk import Explain
from gateway.core import Core
from gateway.errors import ConfigError, Problem
from gateway.execute.forward import Forwarder
from gateway.model import Quarantine, Tool
from gateway.observe.logs import RedactedFormatter
from gateway.observe.redact import Redactor
from gateway.operators import Operators
from gateway.pipeline import Pipeline
from gateway.policy.tasks import CompiledTask
from gateway.ports import Ledger, Pacer, Recorder
from gateway.replies import quarantined
from gateway.stores.quarantines import covers
from gateway.streets import Streets
from gateway.understand.route import Router
from gateway.wire.errands import Errands
from gateway.wire.listener import Listener
from gateway.wire.pool import Pool

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


class App:
    """One process: the core that outlives reloads, the pipeline of the moment, and both sides around them."""

    def __init__(self, path: str, loaded: Loaded, redactor: Redactor, explain: Explain = _nothing) -> None:
        self._path = path
        self._loaded = loaded
        self._started_with = loaded.config
        self._loaded_at = _now()
        self._reload_error: dict[str, Any] | None = None
        self._ready = False
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self.core = Core(loaded, redactor, self._cut)
        self._certificate = parts.certificate_of(loaded)
        self._identities = parts.Identities()
        self._listening_tls = parts.listening_tls_of(loaded)
        self._errands = Errands(self._way_to, time.monotonic)
        self._listener = Listener(self._pipeline(loaded), parts.limits_of(loaded.config.wire))
        self._listener.pools.doors |= self.core.memory.doors
        self.operators = Operators(
            self.core, self._listener, lambda: self._loaded, self._status, explain, self._certificate
        )

    async def serve(self) -> None:
        """Listen, watch the files, and drain when told to stop.

        Raises:
            ConfigError: an address cannot be had, or the state cannot be opened.
        """
        await self.core.state.start()
        try:
            await self.core.start(self._loaded)
            await self._serve()
        finally:
            try:
                await self._identities.close()
            finally:
                await self.core.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        config = self._loaded.config
        operators = await self.operators.start()
        try:
            tls = None if self._listening_tls is None else self._listening_tls.context
            host, port = await self._listener.start(config.listen.host, config.listen.port, tls)
            if config.listen_transparent is not None:
                await self._listener.start_transparent(config.listen_transparent)
        except OSError as error:
            await operators.aclose()
            where = " and ".join(str(at) for at in (config.listen, config.listen_transparent) if at is not None)
            message = f"cannot listen on {where}: {error.strerror or error}"
            raise ConfigError([Problem(self._path, 0, 0, message)]) from None
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
        self.core.desk.hurry()
        self.core.standings.hurry()
        self.core.memory.hurry()
        try:
            await self._listener.drain()
            await watching
            await operators.aclose()
        finally:
            lost = self.core.flush()
        log.info("drained; %d traces lost", lost)

    # -- reload -------------------------------------------------------------------------------------------------

    def _changed(self, loaded: Loaded) -> None:
        """A new valid version: calls from now on take it."""
        after = loaded.config
        if parts.bound_by(self._started_with.admin) != parts.bound_by(after.admin):
            log.warning("where admin listens is not as it was at the start, in %s: that needs a restart", self._path)
        self.operators.adopt(after.admin)
        self._renew_certificate(after.admin.tls)
        self._renew_listening(after.listen_tls)
        if (self._started_with.listen_tls is None) != (after.listen_tls is None):
            log.warning("whether there is listen_tls is not as at the start, in %s: that needs a restart", self._path)
        for key in ("listen", "listen_transparent", "state", "trace", "audit", "log"):
            if getattr(self._started_with, key) != getattr(after, key):
                log.warning("%s is not as it was at the start, in %s: that needs a restart", key, self._path)
        self.core.redactor.adopt(parts.credentials(loaded))  # before anything can be sent with them
        self._listener.limits = parts.limits_of(after.wire)
        self._listener.pipeline = self._pipeline(loaded)
        self._listener.pools.keep(loaded.tools)
        self.core.adopt(loaded)
        self._loaded, self._loaded_at, self._reload_error = loaded, _now(), None
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
        self.core.metrics.reload_failed()
        self._reload_error = {"at": _now(), "problems": [str(problem) for problem in error.problems]}
        for problem in error.problems:
            log.error("not reloaded, %s stays in force: %s", self._loaded.version, problem)

    def _pipeline(self, loaded: Loaded) -> Pipeline:
        config, core = loaded.config, self.core
        core.lineage.parent_header = config.lineage.parent_header.lower().encode("ascii")
        if config.lineage.key is not None:
            core.lineage.rekey(config.lineage.key.encode())
        lenders = {**core.lenders.adopt(loaded.tools), **core.memory.adopt(config.memory, loaded.tools)}
        flow, streets = config.flow, Streets(loaded, core.kept, time.time, lenders).all()
        remembers = any(street.memory is not None or street.drifts for street in streets.values())
        maps = {name: street.flows for name, street in streets.items() if street.flows is not None}
        key = b"" if flow.prompt_key is None else flow.prompt_key.encode()
        core.tasks.adopt(loaded.book.every(CompiledTask), key)
        core.guardrails.adopt(config.guardrails, parts.args_masked(loaded))
        core.flows.adopt(maps, flow.trusted_sources, flow.values, key)
        ledger: Ledger = core.ledger
        pacer: Pacer = core.pacer
        recorder: Recorder = core.traces
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
            core.ident.__next__,
            core.runs,
            core.lineage,
            core.quarantines,
            core.redactor.held,
            core.desk,
            frozenset(name.lower().encode("ascii") for name in config.approvals.ignore_headers),
            flows=core.flows,
            guards=core.guardrails,
            tasks=core.tasks,
            standings=core.standings,
            coherence=core.state.coherence if remembers else None,
            revalidation=self._errands if any(memory.revalidate for memory in loaded.memories.values()) else None,
        )

    def _way_to(self, tool: Tool) -> tuple[Forwarder, Pool]:
        return self._listener.way_to(tool)

    def _cut(self, quarantine: Quarantine) -> None:
        refused = quarantined(quarantine, time.time())
        ended = self._listener.cut(partial(covers, quarantine), refused, running=quarantine.cut)
        if ended:
            log.warning("quarantine of %s: %d calls were ended", quarantine.scope, ended)

    def _status(self) -> dict[str, Any]:
        return {
            "ready": self._ready,
            "draining": self._listener.draining,
            "policy_version": self._loaded.version,
            "loaded_at": self._loaded_at,
            "last_reload_error": self._reload_error,
        }


def _settle_garbage() -> None:
    """What is loaded stays loaded: the collector need not look at it again, nor look as often as it does by default."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
