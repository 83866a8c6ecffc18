"""Interleaved rounds: every contestant in turn, so that a noisy minute hits all of them."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import load
from benchmarks.contestants import Builder, Contestant, Upstream
from benchmarks.load import CASES, Case
from benchmarks.processes import Site, Unavailable, cpu_seconds, memory_mb, peak_mb, reset_peak, tree

SETTLE = 0.05  # seconds between runs, so that closing connections is paid for by those who opened them
STALL = 0.5  # seconds that the 1 GiB reader stands still


@dataclass(frozen=True)
class Plan:
    """What is measured: ``connections`` at once, ``rounds`` of ``seconds`` for each cell."""

    cases: tuple[Case, ...]
    connections: tuple[int, ...]
    rounds: int
    seconds: int

    def duration(self, contestants: int) -> float:
        """About how long it takes, in seconds."""
        warm = contestants * len(self.cases)
        return warm * 1.5 + contestants * len(self.cases) * len(self.connections) * self.rounds * (self.seconds + 0.3)


@dataclass(frozen=True)
class Sample:
    """One wrk run. ``cpu_us``: user and system time of the contestant's process tree for each call, in microseconds.

    ``proxy_busy``, ``load_busy``: share of a core used by the contestant, and by wrk with the upstream (1.0: all).
    Memory is the tree's after the run, in MB (10^6 bytes).
    """

    contestant: str
    case: str
    connections: int
    round: int
    calls: int
    calls_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_us: float
    proxy_busy: float
    load_busy: float
    rss_mb: float
    pss_mb: float


@dataclass(frozen=True)
class Flat:
    """What 1 GiB did to the peak resident size (``grown_mb``, over ``before_mb``), and how fast it went (MB/s)."""

    contestant: str
    direction: str
    before_mb: float
    grown_mb: float
    speed: float


def assemble(
    site: Site, upstream: Upstream, builders: Mapping[str, Builder], cases: Sequence[Case]
) -> tuple[list[Contestant], dict[str, str]]:
    """Those that started and answer every case right, and for the others why they are left out."""
    ready: list[Contestant] = []
    skipped: dict[str, str] = {}
    origin = load.Target(upstream.port, "/", {})
    expected = {case.name: load.fetch(origin, case)[1] for case in cases}
    for name, build in builders.items():
        try:
            contestant = build(site, upstream)
            for case in cases:
                load.verify(contestant.target, case, expected[case.name])
            if contestant.governed:
                _verify_governed(contestant)
        except Unavailable as reason:
            skipped[name] = str(reason)
            say(f"left out: {name}: {reason}")
        else:
            ready.append(contestant)
            say(f"ready: {name} {contestant.version}")
    return ready, skipped


def _verify_governed(contestant: Contestant) -> None:
    status, _ = load.fetch(contestant.target, Case("deny", "deny", "refused by policy"))
    if status != 403:
        raise Unavailable(f"its policy is not asked: GET /deny gave {status}, not 403")


def measure(
    site: Site, upstream: Upstream, contestants: Sequence[Contestant], plan: Plan, left: dict[str, str]
) -> list[Sample]:
    """All samples of a plan. The order of the contestants rotates from round to round.

    A contestant whose processes end on the way takes no further part; ``left`` then says so.
    """
    for case, contestant in itertools.product(plan.cases, contestants):
        load.run(site, contestant.target, case, 32, 1)
    samples: list[Sample] = []
    for number in range(plan.rounds):
        turn = number % len(contestants)
        order = [*contestants[turn:], *contestants[:turn]]
        for case, connections in itertools.product(plan.cases, plan.connections):
            for contestant in order:
                if contestant.name in left:
                    continue
                try:
                    samples.append(_sample(site, upstream, contestant, case, connections, number, plan.seconds))
                except Unavailable as reason:
                    left[contestant.name] = f"left in round {number + 1}: {reason}"
                    say(f"{contestant.name} {left[contestant.name]}")
            say(f"round {number + 1}/{plan.rounds}: {case.name}, {connections} connections")
    return samples


def _sample(
    site: Site, upstream: Upstream, who: Contestant, case: Case, connections: int, number: int, seconds: int
) -> Sample:
    pids = tree(who.roots)
    before, upstream_before = cpu_seconds(pids), cpu_seconds([upstream.pid])
    found = load.run(site, who.target, case, connections, seconds)
    time.sleep(SETTLE)
    used = cpu_seconds(pids) - before
    load_used = found.cpu_seconds + cpu_seconds([upstream.pid]) - upstream_before
    if who.roots and set(tree(who.roots)) != set(pids):
        raise Unavailable(f"its processes came or went during {case.name}, so its CPU time is not known")
    rss, pss = memory_mb(pids)
    return Sample(
        contestant=who.name,
        case=case.name,
        connections=connections,
        round=number,
        calls=found.calls,
        calls_per_second=found.calls / found.seconds,
        p50_ms=found.p50_ms,
        p99_ms=found.p99_ms,
        errors=found.errors,
        cpu_us=used / found.calls * 1e6 if found.calls else float("nan"),
        proxy_busy=used / found.seconds,
        load_busy=load_used / found.seconds,
        rss_mb=rss,
        pss_mb=pss,
    )


def flat_memory(contestants: Sequence[Contestant]) -> list[Flat]:
    """Streams 1 GiB down (from a reader that first stands still) and up through each contestant."""
    found: list[Flat] = []
    for who in contestants:
        for direction in ("down", "up"):
            pids = tree(who.roots)
            reset_peak(pids)
            before = peak_mb(pids)
            seconds = load.download_gib(who.target, STALL) if direction == "down" else load.upload_gib(who.target)
            busy = seconds - (STALL if direction == "down" else 0)
            found.append(Flat(who.name, direction, before, peak_mb(pids) - before, load.GIB / 1e6 / busy))
            say(f"1 GiB {direction} through {who.name}: peak +{found[-1].grown_mb:.1f} MB")
    return found


def all_cases(names: Sequence[str]) -> tuple[Case, ...]:
    """The cases by name, in the order given."""
    return tuple(CASES[name] for name in names)


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)
