"""What it costs a call that its tool is a memory: ``benchmarks.coherence`` prints it.

Everything but sockets is the gateway's own: pipeline, decisions, the head for the tool, the answer as it is read, the
record. An agent reads a note and writes it, by turns, so that every write passes. It is CPU time of this process; what
is stored in Redis is written down before a turn ends. Turns are interleaved, and the collector is off.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import configs
from benchmarks.governors import Log
from gateway.config.load import load
from gateway.effects import Await, ReadBody, Relay, Send
from gateway.execute.forward import Forwarder
from gateway.identify.header import HeaderIdentity
from gateway.model import Answered, Outcome, Request
from gateway.model.state_url import read_state_url
from gateway.pipeline import Pipeline
from gateway.stores.lineage import TracedRuns
from gateway.stores.lines import Lines
from gateway.stores.memory import MemoryLedger
from gateway.stores.pacer import WaitingRoom
from gateway.stores.quarantines import Register
from gateway.stores.runs import RunBook
from gateway.stores.state import open_state
from gateway.stores.unguessable import Unguessable
from gateway.stores.waiting import WaitingBudgets
from gateway.streets import Streets
from gateway.understand.kept import Kept
from gateway.understand.route import Router

PAIRS = 60
"""Reads, and writes, in a turn."""
TEXT = "x" * 900
MEMORY = """    memory:
      reads: [{operations: ["GET /notes/{id}"], key: args.id, value: result.text}]
      writes: [{operations: ["POST /notes/{id}"], key: args.id, value: args.text}]
"""
KINDS = ("read", "write")


@dataclass(frozen=True)
class Variant:
    """``memory``: the tool is declared as one. ``drift``: a rule asks whether what the run has read still stands."""

    name: str
    memory: bool = False
    state: str = "memory:"
    drift: bool = False

    def config(self) -> str:
        """Its configuration: that of the other benchmarks."""
        text = configs.toolgate(8000, 8001, 8002, full=True)
        return (
            text.replace("    limits: {concurrency", f"{MEMORY}    limits: {{concurrency", 1) if self.memory else text
        )

    def policies(self) -> str:
        """Its policies: those of the other benchmarks."""
        if not self.drift:
            return configs.policies()
        rule = "  match: {tools: [up]}\n  rules: [{name: it, when: size(run.drift) > 0, then: deny}]\n"
        head = "apiVersion: toolgate/v1\nkind: Policy\nmetadata: {name: drift}\nspec:\n"
        return f"{configs.policies()}---\n{head}{rule}"


class Gateway:
    """One variant, in this process."""

    def __init__(self, folder: Path, variant: Variant) -> None:
        (folder / "policies").mkdir(parents=True)
        (folder / "policies" / "all.yaml").write_text(variant.policies(), "utf-8")
        (folder / "config.yaml").write_text(variant.config(), "utf-8")
        loaded = load(folder / "config.yaml")
        ledger = MemoryLedger(budgets=WaitingBudgets(time.time, time.monotonic))
        idents = count()
        self.state = open_state(read_state_url(variant.state), time.time)
        self.lasting: set[asyncio.Task[Any]] = set()
        self.log = Log()
        self._forwarder = Forwarder(loaded.tools[0])
        self._pipeline = Pipeline(
            loaded.version,
            (HeaderIdentity("x-agent-id"),),
            b"x-run-id",
            Router(loaded.tools),
            Streets(loaded, Kept(), time.time).all(),
            ledger,
            Lines(WaitingRoom(), ledger.pools),
            self.log,
            time.monotonic,
            time.time,
            lambda: f"6a5b3c2d01020304-{next(idents):06x}",
            RunBook(),
            TracedRuns(b"k" * 32, time.time, Unguessable()),
            Register(time.time),
            coherence=self.state.coherence if variant.memory else None,
        )

    async def taken(self, asks: Sequence[Request], bodies: Sequence[bytes], answer: bytes) -> float:
        """Microseconds of CPU a call, its record and what is stored of it included.

        Raises:
            SystemExit: a call did not pass.
        """
        began = time.process_time()
        for request, body in zip(asks, bodies, strict=True):
            await self._serve(request, body, answer)
        await settled(self.lasting)
        self.log.flush()
        return (time.process_time() - began) / len(asks) * 1e6

    async def _serve(self, request: Request, body: bytes, answer: bytes) -> None:
        way = self._pipeline.run(request)
        effect: Any = next(way)
        while not isinstance(effect, Send):
            if isinstance(effect, ReadBody):
                effect = way.send(body)
            elif isinstance(effect, Await):  # in a task, as the wire does it
                effect = way.send(await asyncio.ensure_future(effect.awaitable))
            else:
                raise SystemExit(f"a call that should pass was not sent: {effect}")
        self._forwarder.head(effect.permit, chunked=False, plain=effect.plain)
        effect = way.send(Answered(200, 0.001, "application/json"))
        if not isinstance(effect, Relay):
            raise SystemExit(f"an answer that should pass did not: {effect}")
        if effect.through is not None:
            effect.through.feed(answer)
            effect.through.end()
        try:
            way.send(Outcome(200, 200, received=len(body), sent=len(answer), first_byte=0.001))
        except StopIteration:
            return
        raise SystemExit("the way of a call did not end")


async def settled(but: set[asyncio.Task[Any]]) -> None:
    """Wait for what is still being written down; not for those, which go on."""
    while others := asyncio.all_tasks() - but:
        await asyncio.wait(others)


def requests(turn: int, method: str, body: bytes) -> list[Request]:
    """The calls of a turn, by new runs of eight agents, each about another note."""
    found = []
    for number in range(PAIRS):
        fields = (
            (b"Host", b"127.0.0.1:8000"),
            (b"x-agent-id", b"agent-%d" % (number % 8)),
            (b"x-run-id", b"run-%d-%d" % (turn, number % 8)),
            *(((b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body))) if body else ()),
        )
        lookup = {name.lower(): value for name, value in fields}
        path = f"/up/notes/{number}"
        found.append(Request(method, path, "1.1", fields, lookup, len(body), "127.0.0.1", True))
    return found


async def measure(folder: Path, variants: Sequence[Variant], turns: int) -> dict[str, list[tuple[float, float]]]:
    """Microseconds of CPU of a read and of a write, for each variant and turn."""
    gateways = {each.name: Gateway(folder / f"{number}", each) for number, each in enumerate(variants)}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in gateways}
    for gateway in gateways.values():
        await gateway.state.start()
    for gateway in gateways.values():
        gateway.lasting = asyncio.all_tasks()
    answer, body = b'{"id": "n", "text": "%b"}' % TEXT.encode(), b'{"text": "%b"}' % TEXT[:400].encode()
    gc.collect()
    gc.freeze()
    gc.disable()
    for turn in range(-1, turns):  # the first fills caches, and does not count
        names = list(gateways)
        reads, writes = requests(turn, "GET", b""), requests(turn, "POST", body)
        for name in [*names[turn % len(names) :], *names[: turn % len(names)]]:
            own = gateways[name]
            read = await own.taken(reads, [b""] * PAIRS, answer)
            write = await own.taken(writes, [body] * PAIRS, b'{"saved": true}')
            if turn >= 0:
                spent[name].append((read, write))
        gc.collect()
    gc.enable()
    for gateway in gateways.values():
        await gateway.state.close()
    return spent


def rows(spent: dict[str, list[tuple[float, float]]]) -> list[list[str]]:
    """For a table: the least of all turns, and what is added to that of the first variant, of which the others' medians
    within a turn are told, too."""
    base = next(iter(spent.values()))
    found = []
    for name, own in spent.items():
        row = [name]
        for part in range(len(KINDS)):
            least = min(times[part] for times in own)
            row.append(f"{least:.0f}")
            if own is base:
                row.append("")
                continue
            added = least - min(times[part] for times in base)
            median = statistics.median(mine[part] - first[part] for mine, first in zip(own, base, strict=True))
            row.append(f"{added:+.0f} ({median:+.0f})")
        found.append(row)
    return found
