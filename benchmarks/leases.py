"""Processes that lease from one account until it is empty: ``python -m benchmarks.leases [URL]``.

URL is a state as the configuration takes it; by default a Redis server is started for the time of the trial, where one
is installed. Prints, for leases of 1 and of up to 100, the round trips, the seconds, and what was granted in all, which
must be the limit.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from typing import Any

from gateway.model import Account
from tests.stores.redis_server import RedisServer
from tests.stores.spender import drain

LIMIT = 20_000
PROCESSES = 4


def main() -> None:
    """Run both trials and print what came of them."""
    server = None if len(sys.argv) > 1 else RedisServer()
    try:
        for lease in (1, 100):
            print(trial(sys.argv[1] if server is None else server.url, lease))
    finally:
        if server is not None:
            server.stop()


def trial(url: str, lease: int) -> str:
    """One line about leases of at most ``lease``."""
    account = Account((f"trial {time.time_ns()}", "calls"), LIMIT, "total")
    context = multiprocessing.get_context("spawn")
    pipes: list[Any] = []
    for _ in range(PROCESSES):
        ours, theirs = context.Pipe()
        context.Process(target=drain, args=(url, account, lease, theirs), daemon=True).start()
        pipes.append(ours)
    for pipe in pipes:
        pipe.recv()
    began = time.perf_counter()
    for pipe in pipes:
        pipe.send("go")
    had = [pipe.recv() for pipe in pipes]
    seconds = time.perf_counter() - began
    granted, trips = sum(amount for amount, _ in had), sum(trips for _, trips in had)
    return f"lease {lease:3}: {trips:6} leases asked for, {seconds:6.2f} s, {granted} of {LIMIT} granted"


if __name__ == "__main__":
    main()
