"""The gateway of a simulation: its pipeline and stores over policies in YAML, with tools that are only modelled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from benchmarks.simulate.clock import now
from benchmarks.simulate.tools import Served, Tool
from gateway.config.load import load
from gateway.effects import Await, Collect, ReadBody, Relay, Reply, Send
from gateway.errors import ClientGone, UpstreamError
from gateway.identify.header import HeaderIdentity
from gateway.model import Answered, Fields, Outcome, Reason, Request, Trace
from gateway.pipeline import Pipeline
from gateway.ports import Board, Vault
from gateway.rehearse.stage import Stage
from gateway.stores.leases import LeasedBudgets
from gateway.stores.lineage import TracedRuns
from gateway.stores.lines import Lines
from gateway.stores.memory import MemoryLedger
from gateway.stores.pacer import WaitingRoom
from gateway.stores.waiting import WaitingBudgets

EPOCH = 1_767_614_400.0
"""A Monday at noon, UTC: budgets of a day have half of it left."""
GRANT = """\
apiVersion: toolgate/v1
kind: Grant
metadata: {name: all}
spec: {agents: ["*"], tools: ["*"]}
"""


def wall() -> float:
    """Seconds since the epoch, in the simulation that is running."""
    return EPOCH + now()


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent gets. ``reason`` is empty where the tool has answered."""

    status: int
    reason: str = ""
    retry_after: float = 0.0
    body: bytes = b""

    @property
    def ok(self) -> bool:
        return self.status < 400


class World:
    """One gateway in front of ``tools``. Made inside of the loop that plays it."""

    def __init__(
        self,
        policies: str,
        tools: Mapping[str, Tool],
        config: str = "",
        shared: tuple[Vault, Board] | None = None,
        holder: str = "replica",
    ) -> None:
        """``config`` are the ``tools:`` of the configuration file; by default each is plain HTTP. ``shared``: the
        budgets are those that other replicas spend too; this one is called ``holder``."""
        self.tools = tools
        with TemporaryDirectory() as folder:
            self.loaded = load(_written(Path(folder), policies, config or _plain(tools)))
        self._budgets = LeasedBudgets(wall, now, shared[0], holder, shared[1]) if shared else WaitingBudgets(wall, now)
        stage = _Live(self.loaded, EPOCH)
        stage.ledger = MemoryLedger(now, wall, self._budgets)
        self.ledger, self.runs, self.quarantines = stage.ledger, stage.runs, stage.quarantines
        self.traces: list[Trace] = []
        idents, spans = count(1), count(1)
        self._pipeline = Pipeline(
            self.loaded.version,
            (HeaderIdentity("x-agent-id"),),
            b"x-run-id",
            stage.router,
            stage.streets,
            stage.ledger,
            Lines(WaitingRoom(), stage.ledger.pools, now),
            self,
            now,
            wall,
            lambda: f"call-{next(idents)}",
            stage.runs,
            TracedRuns(b"simulated", wall, lambda size: next(spans).to_bytes(size, "big")),
            stage.quarantines,
        )

    available = True

    def record(self, trace: Trace) -> None:
        """Keep the record: the pipeline's last word on a call."""
        self.traces.append(trace)

    async def close(self) -> None:
        """Write down what was spent."""
        await self._budgets.close()

    async def call(self, agent: str, run: str, target: str, args: Mapping[str, Any], more: Fields = ()) -> Answer:
        """One call, as the wire would take it through the pipeline; ``target`` is /TOOL/PATH, ``more`` are fields."""
        body = orjson.dumps(args)
        fields = ((b"host", b"127.0.0.1:8080"), (b"x-agent-id", agent.encode()), (b"x-run-id", run.encode()),
                  (b"content-type", b"application/json"), *more)  # fmt: skip
        request = Request("POST", target, "1.1", fields, dict(fields), len(body), "127.0.0.1", True)
        return await _Exchange(self._pipeline, self.tools, request, body).run()


class _Live(Stage):
    """What stands along the way to each tool, and the stores of a rehearsal, by the clock of the loop."""

    def clock(self) -> float:
        return now()

    def wall(self) -> float:
        return wall()


class _Exchange:
    """One call: performs the effects of the pipeline."""

    def __init__(self, pipeline: Pipeline, tools: Mapping[str, Tool], request: Request, body: bytes) -> None:
        self._way = pipeline.run(request)
        self._tools, self._body = tools, body
        self._served = Served(0)
        self._answer = Answer(0)

    async def run(self) -> Answer:
        """The answer for the agent. Cancelled: the agent has gone, and the pipeline is told so."""
        try:
            return await self._drive()
        except asyncio.CancelledError:
            with suppress(StopIteration):
                self._way.throw(ClientGone())
            raise

    async def _drive(self) -> Answer:
        value: Any = None
        while True:
            try:
                effect = self._way.throw(value) if isinstance(value, Exception) else self._way.send(value)
            except StopIteration:
                return self._answer
            try:
                value = await self._perform(effect)
            except UpstreamError as error:
                value = error

    async def _perform(self, effect: Any) -> Any:
        if isinstance(effect, ReadBody):
            return self._body
        if isinstance(effect, Await):
            return await effect.awaitable
        if isinstance(effect, Send):
            return await self._send(effect)
        if isinstance(effect, Collect):
            return self._served.body
        if isinstance(effect, Relay):
            return self._relay(effect)
        if isinstance(effect, Reply):
            return self._reply(effect)
        raise TypeError(f"the pipeline asked for {effect!r}")

    async def _send(self, effect: Send) -> Answered:
        call = effect.permit.call
        tool, began = self._tools[call.tool.name], now()
        self._served = await tool.serve(call, self._body if call.body is None else call.body)
        if not self._served.status:
            raise UpstreamError(Reason.UPSTREAM_TIMEOUT, 504, "the tool was too slow")
        return Answered(self._served.status, now() - began, "application/json")

    def _relay(self, effect: Relay) -> Outcome:
        body = self._served.body if effect.body is None else effect.body
        if effect.through is not None:
            body = effect.through.feed(body) + effect.through.end()
        status = self._served.status
        self._answer = Answer(status, body=body)
        return Outcome(status, status, "", "", len(self._body), len(body))

    def _reply(self, effect: Reply) -> Outcome:
        told = orjson.loads(effect.body)
        told = told.get("error", told) if isinstance(told.get("error"), dict) else told
        wait = dict(effect.fields).get(b"Retry-After", b"0")
        reason = str(told.get("reason") or told.get("code") or "refused")
        self._answer = Answer(effect.status, reason, float(wait), effect.body)
        return Outcome(effect.status, received=len(self._body), sent=len(effect.body))


def _plain(tools: Mapping[str, Tool]) -> str:
    return "tools:\n" + "".join(f"  {name}: {{url: 'http://{name}.test'}}\n" for name in tools)


def _written(folder: Path, policies: str, config: str) -> Path:
    (folder / "policies").mkdir()
    (folder / "policies" / "all.yaml").write_text("---\n".join(part for part in (GRANT, policies) if part))
    path = folder / "toolgate.yaml"
    path.write_text("policies: ./policies\nidentify: [{header: x-agent-id}]\n" + config)
    return path
