"""What a call costs that is followed, with the library's ``origins`` enforced: ``benchmarks.flow`` prints it.

Everything but sockets is the gateway's own: pipeline, rules, the head for the tool, the answer as it is heard, the
record. All calls pass: what directs them was told by the user. It is CPU time of this process, the least of all turns;
the turns of the gateway that follows nothing are between, and the collector is off.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from benchmarks.governors import Log
from gateway.config.load import load
from gateway.effects import ReadBody, Relay, Send
from gateway.execute.forward import Forwarder
from gateway.identify.header import HeaderIdentity
from gateway.model import Answered, Outcome, Request
from gateway.pipeline import Pipeline
from gateway.stores.flows import FlowBook
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

LIBRARY = Path(__file__).parent.parent / "policies" / "library" / "origins.yaml"
CONFIG = """listen: 127.0.0.1:8080
admin: 127.0.0.1:9090
policies: ./policies
tools:
  mail:
    url: http://127.0.0.1:9001
    operations: ["GET /contacts", "GET /inbox/{id}", "POST /send"]
"""
LABELS = """    flow:
      - operations: ["GET /contacts"]
        returns: [trusted, private]
      - operations: ["GET /inbox/*"]
        returns: [untrusted, private]
      - operations: ["POST /send"]
        returns: [trusted]
        sends: external
        directs: [args.to, args.cc]
        about: [args.subject]
flow:
  values: ["*@example.com"]
"""
PLAIN = """apiVersion: toolgate/v1
kind: Grant
metadata: {name: all}
spec: {agents: ["*"], tools: [mail]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: plain}
spec:
  match: {tools: [mail]}
  rules: [{name: secret, when: 'has(args.text) && string(args.text).contains("password")', then: deny}]
"""
PROMPT = (
    "Write to bob.smith@corp.com and carol@corp.com about the Dental check-up on Nov 30 2026, as said in the mails."
)
SMALL = orjson.dumps({"id": 17, "from": "eve@strange.io", "subject": "Lunch", "text": "Shall we say noon? " * 40})
OF_A_RUN = 50


class Gateway:
    """A gateway in this process; ``followed``: it has labels, and the library's ``origins``."""

    def __init__(self, folder: Path, *, followed: bool) -> None:
        (folder / "policies").mkdir(parents=True)
        (folder / "policies" / "plain.yaml").write_text(PLAIN, "utf-8")
        if followed:
            (folder / "policies" / "origins.yaml").write_text(LIBRARY.read_text("utf-8"), "utf-8")
        (folder / "config.yaml").write_text(CONFIG + LABELS * followed, "utf-8")
        loaded = load(folder / "config.yaml")
        streets = Streets(loaded, Kept(), time.time).all()
        ledger = MemoryLedger(budgets=WaitingBudgets(time.time, time.monotonic))
        idents = count()
        self.flows = FlowBook()
        maps = {name: street.flows for name, street in streets.items() if street.flows is not None}
        self.flows.adopt(maps, (), loaded.config.flow.values, b"")
        self._log = Log()
        self._forwarder = Forwarder(loaded.tools[0])
        self._pipeline = Pipeline(
            loaded.version,
            (HeaderIdentity("x-agent-id"),),
            b"x-run-id",
            Router(loaded.tools),
            streets,
            ledger,
            Lines(WaitingRoom(), ledger.pools),
            self._log,
            time.monotonic,
            time.time,
            lambda: f"6a5b3c2d01020304-{next(idents):06x}",
            RunBook(),
            TracedRuns(b"k" * 32, time.time, Unguessable()),
            Register(time.time),
            flows=self.flows if followed else None,
        )

    def call(self, run: str, path: str, body: bytes, answer: bytes, content_type: str = "application/json") -> None:
        """Make a call, and its record. Raises SystemExit where it does not pass."""
        fields = [(b"Host", b"127.0.0.1:8080"), (b"x-agent-id", b"assistant"), (b"x-run-id", run.encode())]
        if body:
            fields += [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body))]
        lookup = {name.lower(): value for name, value in fields}
        method = "POST" if body else "GET"
        request = Request(method, path, "1.1", tuple(fields), lookup, len(body), "127.0.0.1", True)
        way = self._pipeline.run(request)
        effect: Any = next(way)
        if isinstance(effect, ReadBody):
            effect = way.send(body)
        if not isinstance(effect, Send):
            raise SystemExit(f"a call that should pass was not sent: {effect}")
        self._forwarder.head(effect.permit, chunked=False, plain=effect.plain)
        effect = way.send(Answered(200, 0.001, content_type))
        if not isinstance(effect, Relay):
            raise SystemExit(f"an answer that should pass did not: {effect}")
        if effect.through is not None:
            effect.through.feed(answer)
            effect.through.end()
        try:
            way.send(Outcome(200, 200, received=len(body), sent=len(answer), first_byte=0.001))
        except StopIteration:
            self._log.flush()


def reads(gateway: Gateway, run: str) -> Iterator[Callable[[], None]]:
    """Calls of a run that look at small mails, each another."""
    for at in range(OF_A_RUN):
        answer = SMALL.replace(b"17", b"%d" % at)
        yield lambda at=at, answer=answer: gateway.call(run, f"/mail/inbox/m{at}", b"", answer)


def sends(gateway: Gateway, run: str) -> Iterator[Callable[[], None]]:
    """Calls of a run that send, with five arguments, each another text."""
    for at in range(OF_A_RUN):
        args = {
            "to": "bob.smith@corp.com",
            "cc": ["carol@corp.com"],
            "subject": "Dental check-up",
            "text": f"Dear Bob, number {at}: we meet on Monday at the usual place. Yours, Ann",
            "priority": at,
        }
        yield lambda args=args: gateway.call(run, "/mail/send", orjson.dumps(args), b'{"sent": true}')


def mixed(gateway: Gateway, run: str) -> Iterator[Callable[[], None]]:
    """A mail is looked at, then one sent, by turns."""
    for read, send in zip(reads(gateway, run), sends(gateway, run), strict=True):
        yield read
        yield send


def _big(size: int, text: str) -> bytes:
    rows = [
        {"id": at, "subject": f"Number {at}", "text": text[at * 1000 : at * 1000 + 900]} for at in range(size // 1000)
    ]
    return orjson.dumps(rows)[:-1] + b"]"


def spent(kind: Callable[[Gateway, str], Iterator[Callable[[], None]]], gateway: Gateway, run: str) -> float:
    """Microseconds of CPU a call, over a run."""
    gateway.flows.hand_over("assistant", run, PROMPT)
    calls = list(kind(gateway, run))
    began = time.process_time()
    for call in calls:
        call()
    return (time.process_time() - began) / len(calls) * 1e6


def after(gateway: Gateway, run: str, size: int, text: str) -> tuple[float, float]:
    """Microseconds of CPU: of a call whose answer is so large, and of the first call that sends after it."""
    gateway.flows.hand_over("assistant", run, PROMPT)
    answer = _big(size, text)
    began = time.process_time()
    gateway.call(run, "/mail/inbox/big", b"", answer)
    heard = time.process_time()
    next(sends(gateway, run))()
    return (heard - began) * 1e6, (time.process_time() - heard) * 1e6


def measure(text: str, turns: int = 20) -> list[list[str]]:
    """Rows: kind of call, without labels, followed, added; microseconds."""
    with TemporaryDirectory() as folder:
        both = [Gateway(Path(folder) / name, followed=name == "followed") for name in ("plain", "followed")]
        found: dict[str, list[list[float]]] = {}
        gc.collect()
        gc.disable()
        try:
            for turn in range(turns):
                for at in (0, 1) if turn % 2 else (1, 0):
                    for name, took in _turn(both[at], turn, text):
                        found.setdefault(name, [[], []])[at].append(took)
                gc.collect()
        finally:
            gc.enable()
    least = {name: [min(each) for each in times] for name, times in found.items()}
    return [[name, *[f"{each:,.0f}" for each in (plain, told, told - plain)]] for name, (plain, told) in least.items()]


def _turn(gateway: Gateway, turn: int, text: str) -> Iterator[tuple[str, float]]:
    for name, kind in KINDS.items():
        yield name, spent(kind, gateway, f"{kind.__name__}-{turn}")
    for size in (50_000, 510_000):
        heard, sent = after(gateway, f"{size}-{turn}", size, text)
        yield f"reads a result of {size // 1000} KB", heard
        yield f"the next that sends, after {size // 1000} KB", sent


KINDS = {"reads a mail of 1 KB": reads, "sends, five arguments": sends, "both by turns, of each": mixed}
