"""What governors cost a call: ``python -m benchmarks.governors``.

The usual call of the other benchmarks (50 rules of which 10 match, 2 limits, a breaker, a bulkhead, a trace) is made
with no governor, with each, and with all. Everything but sockets is the gateway's own: pipeline, ledger, the head for
the tool, the answer as it is read; the record, which is encoded and counted a little later, is told apart. Runs have 50
calls, each with other arguments and another answer.

It is CPU time, the least of all turns, and what is added to the least of ``off``; ``median`` is that of the ratios
within each turn. Turns are interleaved, and the collector is off.

With ``--process`` it is the CPU time of the real process, sockets included, while wrk makes the same kind of calls.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import governors_process
from benchmarks.governed import OFF, VARIANTS, Variant
from benchmarks.load import CASES
from benchmarks.processes import Unavailable
from gateway.config.load import load
from gateway.effects import ReadBody, Relay, Send
from gateway.execute.forward import Forwarder
from gateway.identify.header import HeaderIdentity
from gateway.model import Answered, Outcome, Quarantine, Request, Trace
from gateway.observe.audit import BATCH
from gateway.observe.metrics import Metrics
from gateway.observe.trace import line_of
from gateway.pipeline import Pipeline
from gateway.stores.lineage import TracedRuns
from gateway.stores.lines import Lines
from gateway.stores.memory import MemoryLedger
from gateway.stores.pacer import WaitingRoom
from gateway.stores.quarantines import Register
from gateway.stores.runs import RunBook
from gateway.stores.unguessable import Unguessable
from gateway.stores.waiting import WaitingBudgets
from gateway.streets import Streets
from gateway.understand.kept import Kept
from gateway.understand.route import Router

CALLS = BATCH
OF_A_RUN = 50
AGENTS = 8

Ask = tuple[Request, bytes, bytes]
"""Request, its body, and the body of the tool's answer."""


class Log:
    """Keeps traces until they are encoded, as the process does."""

    available = True

    def __init__(self) -> None:
        self._metrics = Metrics()
        self._traces: list[Trace] = []
        self.record = self._traces.append

    def flush(self) -> None:
        """Count and encode all of them."""
        for trace in self._traces:
            self._metrics.record(trace)
            line_of(trace)
        self._traces.clear()


class Gateway:
    """One variant, in this process."""

    def __init__(self, folder: Path, variant: Variant) -> None:
        (folder / "policies").mkdir(parents=True)
        (folder / "policies" / "all.yaml").write_text(variant.policies(), "utf-8")
        (folder / "config.yaml").write_text(variant.config(8000, 8001, 8002), "utf-8")
        loaded = load(folder / "config.yaml")
        ledger = MemoryLedger(budgets=WaitingBudgets(time.time, time.monotonic))
        quarantines = Register(time.time)
        if variant.quarantined:
            quarantines.put(Quarantine("run", ("somebody", "else"), "loops", "loop/x", time.time(), 0.0))
        idents = count()
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
            quarantines,
        )

    def serve(self, asks: Sequence[Ask]) -> None:
        """Make these calls, one after the other. Raises SystemExit where one is refused."""
        for request, body, answer in asks:
            self._serve(request, body, answer)

    def _serve(self, request: Request, body: bytes, answer: bytes) -> None:
        way = self._pipeline.run(request)
        effect: Any = next(way)
        if isinstance(effect, ReadBody):
            effect = way.send(body)
        if not isinstance(effect, Send):
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


def asks(turn: int) -> list[Ask]:
    """The calls of a turn: new runs, each call with other arguments and another answer."""
    found: list[Ask] = []
    body = CASES["json"].body or b""
    for number in range(CALLS):
        own = body.replace(b"120.5", b"1%04d" % number)
        fields = (
            (b"Host", b"127.0.0.1:8000"),
            (b"x-agent-id", b"agent-%d" % (number // OF_A_RUN % AGENTS)),
            (b"x-run-id", b"run-%d-%d" % (turn, number // OF_A_RUN)),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(own)),
        )
        lookup = {name.lower(): value for name, value in fields}
        request = Request("POST", "/up/json", "1.1", fields, lookup, len(own), "127.0.0.1", True)
        answer = b'{"id": %d, "choices": [{"message": {"content": "%b"}}]}' % (number, b"x" * 970)
        found.append((request, own, answer))
    return found


def measure(gateways: dict[str, Gateway], turns: int) -> dict[str, list[tuple[float, float]]]:
    """CPU time of a call and of its record, in microseconds, for each variant and turn."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in gateways}
    names = list(gateways)
    for turn in range(-1, turns):  # the first fills caches, and does not count
        calls = asks(turn)
        first = turn % len(names)
        for name in [*names[first:], *names[:first]]:
            took = taken(gateways[name], calls)
            if turn >= 0:
                spent[name].append(took)
        gc.collect()
    return spent


def taken(gateway: Gateway, calls: Sequence[Ask]) -> tuple[float, float]:
    """CPU time of a call and of its record, in microseconds."""
    began = time.process_time()
    gateway.serve(calls)
    served = time.process_time()
    gateway.log.flush()
    return (served - began) / len(calls) * 1e6, (time.process_time() - served) / len(calls) * 1e6


def table(spent: dict[str, list[tuple[float, float]]]) -> str:
    """The results in Markdown."""
    lines = [
        "| governors | call, us | record, us | added to the call | to the record | together | median |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    without = spent[OFF.name]
    least = [min(times[part] for times in without) for part in (0, 1)]
    for name, own in spent.items():
        call, record = (min(times[part] for times in own) for part in (0, 1))
        share = (call + record) / sum(least) - 1
        median = statistics.median(sum(mine) / sum(off) for mine, off in zip(own, without, strict=True)) - 1
        added = f"{call - least[0]:+.1f} | {record - least[1]:+.1f} | {share:+.0%} | {median:+.0%}"
        lines.append(f"| {name} | {call:.1f} | {record:.1f} | {added} |")
    return "\n".join(lines)


def process_table(spent: dict[str, list[float]]) -> str:
    """The results of ``--process`` in Markdown."""
    lines = ["| governors | CPU, us a call | added | together | median |", "|---|---:|---:|---:|---:|"]
    without = spent[OFF.name]
    for name, own in spent.items():
        least, median = min(own), statistics.median(mine / off for mine, off in zip(own, without, strict=True))
        added, share = least - min(without), least / min(without) - 1
        lines.append(f"| {name} | {least:.1f} | {added:+.1f} | {share:+.0%} | {median - 1:+.0%} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print; 2 where nothing could be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=150, help="in this process; 128 calls each")
    parser.add_argument("--only", default="", help="variants, separated by commas; all by default")
    parser.add_argument("--process", action="store_true", help="measure real processes under load")
    parser.add_argument("--rounds", type=int, default=5, help="of --process")
    parser.add_argument("--seconds", type=int, default=2, help="of each load with --process")
    options = parser.parse_args()
    wanted = {OFF.name, *options.only.split(",")} if options.only else {variant.name for variant in VARIANTS}
    chosen = [variant for variant in VARIANTS if variant.name in wanted]
    if options.process:
        try:
            print(process_table(governors_process.measure(chosen, options.rounds, options.seconds)))
        except Unavailable as reason:
            print(f"benchmarks: {reason}", file=sys.stderr)
            return 2
        return 0
    with TemporaryDirectory() as folder:
        gateways = {each.name: Gateway(Path(folder) / each.name, each) for each in chosen}
        gc.collect()
        gc.freeze()
        gc.disable()
        print(table(measure(gateways, options.turns)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
