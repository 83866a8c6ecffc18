"""Drives a pipeline by hand: the world stands still, and every effect is answered by the test."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
import pytest
from msgspec import structs

from gateway.decide.shapes import NOTHING, Judgement
from gateway.identify.header import Anonymous
from gateway.model import DEFAULT_TERMS, Answered, Claim, Hold, Outcome, Permit, Reason, Refusal, Request, Tool, Trace
from gateway.pipeline import Pipeline, Reply, Street
from gateway.stores.lineage import Roots
from gateway.stores.quarantines import Register
from gateway.stores.runs import RunBook
from gateway.understand.http import HttpReader
from gateway.understand.route import Router
from tests.builders import request, slot, tool

TOOL = tool("bank", body_limit=1000)
DONE = Outcome(200, upstream=200, received=3, sent=5)


class World:
    """Ledger, pacer, recorder and clock, all of which note what they were told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.available: Any = True
        self.traces: list[Trace] = []
        self.reserved: list[tuple[Any, ...]] = []
        self.heard: list[Answered] = []
        self.settled: list[tuple[tuple[Hold, ...], Outcome]] = []
        self.grants = True
        self.paced: Any = True
        self.released: list[tuple[Hold, ...]] = []

    def __call__(self) -> float:
        self.now += 0.001
        return self.now

    def reserve(self, claims, now):
        self.reserved.append(tuple(claims))
        return tuple(Hold(claim, self.grants, retry_after=0.0 if self.grants else 3.0) for claim in claims)

    def look(self, claims, now):
        return tuple(Hold(claim, self.grants) for claim in claims)

    def answered(self, holds, answer, now):
        self.heard.append(answer)

    def settle(self, holds, outcome, now):
        self.settled.append((tuple(holds), outcome))

    def release(self, holds, now):
        self.released.append(tuple(holds))

    def pace(self, claim):
        return Hold(claim, self.paced) if isinstance(self.paced, bool) else self.paced

    def record(self, trace):
        self.traces.append(trace)


class Later:
    """What a store or a line gives in its own time: suspends once, then gives what it is sent."""

    def __await__(self):
        return (yield self)


def given(effect: Any, value: Any) -> Any:
    """What the awaitable of an ``Await`` gives, when that which it waits for gives ``value``."""
    waiting = effect.awaitable.__await__()
    assert isinstance(next(waiting), Later)
    with pytest.raises(StopIteration) as done:
        waiting.send(value)
    return done.value.value


def drop(effect: Any) -> None:
    """What the wire does with an awaitable whose agent has gone."""
    effect.awaitable.close()


class Check:
    def __init__(self, judgement: Judgement | Exception) -> None:
        self.judgement = judgement

    def judge(self, call):
        if isinstance(self.judgement, Exception):
            raise self.judgement
        return self.judgement


class Asks:
    """The usual terms for everything."""

    def terms(self, call, questions):
        return DEFAULT_TERMS


class Quota:
    def __init__(self, *claims: Claim) -> None:
        self._claims = claims

    def claims(self, call):
        return self._claims

    def refusal(self, hold):
        return Refusal(Reason.RATE_LIMITED, 429, "slow down", "limit/x", hold.retry_after, True)


@dataclass
class Drive:
    """A pipeline for one tool, and one call driven through it by hand."""

    check: Any = NOTHING
    """A check, or what one says of every call."""
    quotas: tuple[Quota, ...] = (Quota(slot()),)
    reads_args: bool = False
    to: Tool = TOOL
    sources: tuple[Any, ...] = (Anonymous("report-1"),)
    world: World = field(default_factory=World)
    reader: Any = None
    results: Any = None
    pricer: Any = None
    reads_cost: bool = False
    reads_time: bool = False
    counts: bool = False
    compares: bool = False
    desk: Any = None
    """Where people decide; then calls may be asked about, on the usual terms."""
    keep_alive: float = 0.0
    standings: Any = None

    def __post_init__(self) -> None:
        reader = self.reader or HttpReader(self.to, reads_args=self.reads_args, looks_at_path=False)
        world = self.world
        self.runs = RunBook()
        self.quarantines = Register(lambda: 1_700_000_000.0)
        checks = (self.check if hasattr(self.check, "judge") else Check(self.check),)
        reads = {"reads_cost": self.reads_cost, "reads_time": self.reads_time, "counts": self.counts}
        street = Street(
            self.to, reader, checks, self.quotas, self.results, self.pricer, compares=self.compares, **reads
        )
        if self.desk is not None:
            pulse = partial(reader.pulse, every=self.keep_alive) if self.keep_alive else None
            answers = getattr(reader, "answers", None)
            street = structs.replace(street, asks=Asks(), edit=reader.edit, answers=answers, pulse=pulse)

        class Recorder:
            record = staticmethod(world.record)

            @property
            def available(self):
                if isinstance(world.available, Exception):
                    raise world.available
                return world.available

        self.pipeline = Pipeline(
            "v1",
            self.sources,
            b"x-run-id",
            Router([self.to]),
            {self.to.name: street},
            world,
            world,
            Recorder(),
            world,
            lambda: 1_700_000_000.0,
            lambda: "call-7",
            self.runs,
            Roots(),
            self.quarantines,
            desk=self.desk,
            standings=self.standings,
        )

    def go(self, of: Request | None = None) -> Any:
        """Set out; returns the first effect."""
        self.way = self.pipeline.run(of or request("POST", "/bank/transfers", length=3))
        return self.way.send(None)

    def answer(self, value: Any) -> Any:
        """Answer the last effect; returns the next, or None at the end of the way."""
        try:
            return self.way.send(value)
        except StopIteration:
            return None

    def throw(self, error: BaseException) -> Any:
        """Let the last effect fail; returns the next, or None at the end."""
        try:
            return self.way.throw(error)
        except StopIteration:
            return None

    def recorded(self) -> Trace:
        """The one trace of the call, which must be all there is; settled once if and only if it was permitted."""
        assert len(self.world.traces) == 1
        (trace,) = self.world.traces
        permitted = isinstance(trace.decision, Permit)
        assert len(self.world.settled) == permitted
        if permitted:
            assert self.world.settled == [(trace.decision.holds, trace.outcome)]
        assert trace.began <= trace.decided <= trace.opened <= trace.ended
        assert self.way.gi_frame is None, "the way has ended"
        return trace


def problem(reply: Any) -> dict[str, Any]:
    assert isinstance(reply, Reply)
    body = orjson.loads(reply.body)
    assert body["call_id"] == "call-7"
    assert body["status"] == reply.status
    return body
