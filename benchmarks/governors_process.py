"""CPU time of a call in the real process, for each variant of ``governed``: wrk asks, by 32 connections."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contestants import AGENT, Upstream, start_upstream
from benchmarks.governed import Variant
from benchmarks.load import CASES, Target, run, tools
from benchmarks.measure import SETTLE, say
from benchmarks.processes import Site, Unavailable, cpu_seconds, tree

CONNECTIONS = 32
LIFETIME = 3600

Running = tuple[Target, int]
"""Where it is reached, and its process."""


def measure(variants: Sequence[Variant], rounds: int, seconds: int) -> dict[str, list[float]]:
    """Microseconds of a call, for each variant and round; the variants take turns within a round.

    Raises:
        Unavailable: something that it needs is missing, or a call was refused.
    """
    tools()
    os.environ["BENCH_RUNS"] = "1"
    with Site() as site:
        if site.load_core is not None:
            os.sched_setaffinity(0, {site.load_core})
        upstream = start_upstream(site, LIFETIME)
        running = {variant.name: _started(site, upstream, variant) for variant in variants}
        spent: dict[str, list[float]] = {name: [] for name in running}
        for number in range(-1, rounds):  # the first warms up
            for name in list(running)[number % len(running) :] + list(running)[: number % len(running)]:
                took = _taken(site, *running[name], 1 if number < 0 else seconds)
                if number >= 0:
                    spent[name].append(took)
            say(f"round {number + 1}/{rounds}")
    return spent


def _started(site: Site, upstream: Upstream, variant: Variant) -> Running:
    port, admin = site.port(), site.port()
    name = variant.name.replace("+", "-")
    config = site.write(f"{name}/config.yaml", variant.config(port, admin, upstream.port))
    site.write(f"{name}/policies/all.yaml", variant.policies())
    command = Path(sys.executable).with_name("toolgate")
    child = site.spawn(name, [str(command), "run", "-c", str(config)], site.proxy_core)
    site.await_port(name, child, port)
    return Target(port, "/up/", AGENT), child.pid


def _taken(site: Site, target: Target, pid: int, seconds: int) -> float:
    pids = tree([pid])
    before = cpu_seconds(pids)
    found = run(site, target, CASES["json"], CONNECTIONS, seconds)
    time.sleep(SETTLE)
    if found.errors or not found.calls:
        raise Unavailable(f"{found.errors} of {found.calls} calls failed")
    return (cpu_seconds(pids) - before) / found.calls * 1e6
