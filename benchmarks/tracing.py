"""What tracing costs a call: ``python -m benchmarks.tracing``.

Real gateway processes with the usual configuration of the other benchmarks (50 rules of which 10 match, 2 limits, a
breaker, a bulkhead), one for each way of tracing, and one that records nothing at all. They get the same load by turns:
connections that are kept, calls of 512 B of JSON with 1 KB back, each connection a run. Told is CPU time of all threads
of the process (Linux, ``schedstat``, nanoseconds) for each call, the least and the median of all rounds; what is added
is the median of the differences within a round. A round ends when all of it is written and stored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import uvloop

from benchmarks import configs
from benchmarks.load import CASES
from benchmarks.processes import ROOT, Site

CONNECTIONS = 16
ANSWER = json.dumps({"choices": [{"message": {"content": "x" * 970}}]}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
NOTHING = "nothing"
WAYS = {
    NOTHING: "{file: /dev/null}",
    "log": "{file: ./trace.jsonl}",
    "log, store": "{file: ./trace.jsonl, store: {}}",
    "log, store, args": "{file: ./trace.jsonl, store: {}, args: true}",
}
_UNTRACED = """
from gateway.observe.audit import TraceLog
TraceLog.record = lambda self, trace: None
from gateway.__main__ import main
main()
"""
"""Runs the gateway without recording: no setting of its own turns that off."""


class _Tool(asyncio.Protocol):
    """Answers each request, whose body is as long as every other's."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._left = transport, b""

    def data_received(self, data: bytes) -> None:
        self._left += data
        while (end := self._left.find(b"\r\n\r\n")) >= 0 and len(self._left) >= (whole := end + 4 + _length()):
            self._left = self._left[whole:]
            self._transport.write(HEAD + ANSWER)  # type: ignore[attr-defined]


class _Agent(asyncio.Protocol):
    """Makes so many calls on one connection, one after the other."""

    def __init__(self, request: bytes, calls: int, done: asyncio.Future[None]) -> None:
        self._request, self._left, self._done, self._got = request, calls, done, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0 or len(self._got) < end + 4 + len(ANSWER):
            return
        if not self._got.startswith(b"HTTP/1.1 200 "):
            self._done.set_exception(SystemExit(f"a call that should pass did not: {self._got[:200]!r}"))
            return
        self._got, self._left = b"", self._left - 1
        if self._left:
            self._transport.write(self._request)  # type: ignore[attr-defined]
        else:
            self._transport.close()
            self._done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(SystemExit(f"the gateway closed a connection: {error}"))


def _length() -> int:
    return len(CASES["json"].body or b"")


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Tool, "127.0.0.1", port)
    await server.serve_forever()


async def _load(port: int, calls: int) -> None:
    loop = asyncio.get_running_loop()
    done = []
    for number in range(CONNECTIONS):
        head = (
            b"POST /up/json HTTP/1.1\r\nHost: 127.0.0.1\r\nx-agent-id: agent-%d\r\nx-run-id: run-%d\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (number % 8, number, _length())
        )
        done.append(loop.create_future())
        request, share = head + (CASES["json"].body or b""), calls // CONNECTIONS
        await loop.create_connection(partial(_Agent, request, share, done[-1]), "127.0.0.1", port)
    await asyncio.gather(*done)


class Gateway:
    """One process."""

    def __init__(self, site: Site, way: str, upstream: int) -> None:
        self.port, self._admin = site.port(), site.port()
        name = way.replace(", ", "-")
        text = configs.toolgate(self.port, self._admin, upstream, full=True)
        text = text.replace("trace: {file: ./trace.jsonl, on_failure: drop}", f"trace: {WAYS[way]}")
        config = site.write(f"{name}/config.yaml", text)
        site.write(f"{name}/policies/all.yaml", configs.policies())
        start = ["-c", _UNTRACED] if way == NOTHING else ["-m", "gateway"]
        self._child = site.spawn(name, [sys.executable, *start, "run", "-c", str(config)], site.proxy_core)
        site.await_port(name, self._child, self.port)

    def cpu(self) -> float:
        """Seconds of CPU that all its threads have used."""
        tasks = Path(f"/proc/{self._child.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def settle(self) -> None:
        """Wait until all is written and stored."""
        while True:
            time.sleep(0.4)
            with urllib.request.urlopen(f"http://127.0.0.1:{self._admin}/readyz") as answer:
                trace = json.load(answer)["trace"]
            if not trace["unwritten"] and not trace.get("store", {}).get("waiting"):
                return

    def took(self, calls: int) -> float:
        """Microseconds of CPU a call."""
        before = self.cpu()
        uvloop.run(_load(self.port, calls))
        self.settle()
        return (self.cpu() - before) / calls * 1e6


@contextmanager
def _upstream(port: int) -> Iterator[None]:
    child = subprocess.Popen([sys.executable, "-m", "benchmarks.tracing", "--serve", str(port)], cwd=ROOT)
    try:
        yield
    finally:
        child.terminate()
        child.wait()


def table(found: dict[str, list[float]]) -> str:
    """The results in Markdown."""
    lines = [
        "| recorded | least, CPU us/call | median | added, median | share |",
        "|---|---:|---:|---:|---:|",
    ]
    without = found[NOTHING]
    for way, own in found.items():
        pairs = list(zip(own, without, strict=True))
        added = statistics.median(mine - base for mine, base in pairs)
        share = statistics.median(mine / base for mine, base in pairs) - 1
        lines.append(f"| {way} | {min(own):.1f} | {statistics.median(own):.1f} | {added:+.1f} | {share:+.1%} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=8000, help="of each way in a round")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(_serve(options.serve))
        return
    with ExitStack() as stack:
        site = stack.enter_context(Site())
        port = site.port()
        stack.enter_context(_upstream(port))
        gateways = {way: Gateway(site, way, port) for way in WAYS}
        found: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(-1, options.rounds):  # the first round fills caches, and does not count
            names = list(WAYS)
            first = number % len(names)
            for way in [*names[first:], *names[:first]]:
                took = gateways[way].took(options.calls)
                if number >= 0:
                    found[way].append(took)
        print(table(found))


if __name__ == "__main__":
    main()
