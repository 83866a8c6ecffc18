"""Toolgate beside nginx, HAProxy, Envoy and an aiohttp proxy, in one run: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from benchmarks import report
from benchmarks.contestants import CONTESTANTS, start_upstream
from benchmarks.load import CASES, tools
from benchmarks.measure import Plan, all_cases, assemble, flat_memory, measure, say
from benchmarks.processes import Site, Unavailable

OUT = Path(__file__).parent / "out"
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def _list(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def arguments(description: str, names: Sequence[str], cases: str, connections: str) -> argparse.ArgumentParser:
    """The options that both benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 second: does it work, not how fast")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each run")
    parser.add_argument("--cases", type=_list, default=cases, help=f"of {', '.join(CASES)}")
    parser.add_argument("--connections", type=_list, default=connections)
    parser.add_argument("--only", type=_list, default=",".join(names), help="contestants, by name")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/performance.md")
    return parser


def plan_of(parser: argparse.ArgumentParser, options: argparse.Namespace, names: Sequence[str]) -> Plan:
    """The plan that the options describe; ends with a usage error where they name what does not exist."""
    for given, known, option in ((options.cases, CASES, "--cases"), (options.only, names, "--only")):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"{option}: {', '.join(unknown)} is not known; there are {', '.join(known)}")
    try:
        connections = tuple(int(text) for text in options.connections)
    except ValueError:
        parser.error("--connections: write numbers, such as 1,32,256")
    rounds, seconds = (2, 1) if options.quick else (options.rounds, options.seconds)
    if min(rounds, seconds, *connections) < 1:
        parser.error("--rounds, --seconds and --connections: at least 1")
    return Plan(all_cases(options.cases), connections, rounds, seconds)


def guard(seconds: float) -> None:
    """Ends this process, and with it all that it started, on a signal or after ``seconds``."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(f"stopped by {signal.Signals(number).name}")

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, stop)
    signal.alarm(int(seconds))


def pin(site: Site) -> list[str]:
    """Puts this process on the load's core; what to say where there is only one core."""
    if site.load_core is None:
        return ["One core only: load, upstream and proxy shared it, so rates and latencies are of little worth."]
    os.sched_setaffinity(0, {site.load_core})
    return []


def publish(results: report.Results, name: str, *, docs: bool) -> None:
    """Prints the report, keeps it and the raw samples in benchmarks/out/, and puts it into the page if asked to."""
    text = report.markdown(results)
    OUT.mkdir(exist_ok=True)
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    lines = [json.dumps(asdict(row)) for row in results.samples]
    lines += [json.dumps(asdict(row)) for row in results.flats]
    (OUT / f"{name}-{stamp}.jsonl").write_text("\n".join(lines) + "\n")
    (OUT / f"{name}.md").write_text(text)
    if docs:
        report.write_docs(PAGE, name, text)
    print(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; 0 when something was measured, 2 when nothing could be."""
    given = sys.argv[1:] if argv is None else list(argv)
    parser = arguments(__doc__ or "", list(CONTESTANTS), ",".join(CASES), "1,32,256")
    parser.add_argument("--no-gib", action="store_true", help="leave out the check that memory stays flat over 1 GiB")
    options = parser.parse_args(given)
    plan = plan_of(parser, options, list(CONTESTANTS))
    limit = 900 + 2 * plan.duration(len(options.only))
    guard(limit)
    try:
        tools()
        with Site() as site:
            notes = pin(site)
            upstream = start_upstream(site, int(limit))
            if not upstream.streams:
                notes.append(
                    "No C compiler: nginx was the upstream, and neither events, uploads nor 1 GiB were measured."
                )
                plan = Plan(
                    tuple(c for c in plan.cases if c.name in ("json", "blob")),
                    plan.connections,
                    plan.rounds,
                    plan.seconds,
                )
            builders = {name: CONTESTANTS[name] for name in options.only}
            ready, skipped = assemble(site, upstream, builders, plan.cases)
            if not ready:
                raise Unavailable("no contestant is ready")
            say(f"about {plan.duration(len(ready)) / 60:.0f} minutes")
            streaming = [who for who in ready if who.name.startswith("toolgate")] if upstream.streams else []
            flats = [] if options.no_gib else flat_memory(streaming)  # first: a heap that has grown would hide growth
            samples = measure(site, upstream, ready, plan, skipped)
    except Unavailable as reason:
        print(f"benchmarks: {reason}", file=sys.stderr)
        return 2
    command = shlex.join(["python", "-m", "benchmarks", *given])
    known = {who.name: who.version for who in ready}
    publish(report.Results(command, samples, known, skipped, flats, notes), "bench", docs=options.write_docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
