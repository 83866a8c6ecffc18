"""From samples to markdown: medians over the rounds, ratios taken within a round."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.load import CASES
from benchmarks.measure import Flat, Sample

FLAT_MB = 8.0  # growth over 1 GiB that still counts as flat: socket and stream buffers
LOAD_BOUND = 0.95
UNFINISHED = 0.05


@dataclass(frozen=True)
class Goal:
    """A ratio that has to stay at or under ``most``: ``of``'s figure over ``to``'s, at json with 32 connections."""

    text: str
    of: str
    to: str
    most: float
    figure: str = "cpu_us"


GOALS = (
    Goal(
        "CPU of toolgate-full at most half of Envoy's with ext_authz and rate limit",
        "toolgate-full",
        "envoy+authz+limit",
        0.5,
    ),
    Goal("CPU of toolgate-full at most 2.5 times nginx's", "toolgate-full", "nginx", 2.5),
    Goal("CPU of toolgate-full at most a quarter of the aiohttp proxy's", "toolgate-full", "aiohttp", 0.25),
    Goal("CPU of toolgate-bare at most twice nginx's", "toolgate-bare", "nginx", 2.0),
    Goal("p99 of toolgate-full no worse than plain Envoy's", "toolgate-full", "envoy", 1.0, "p99_ms"),
    Goal("p99 of toolgate-full no worse than Envoy's with policy", "toolgate-full", "envoy+authz+limit", 1.0, "p99_ms"),
)
MOST_RSS_MB = 80.0


@dataclass(frozen=True)
class Results:
    """All that a run found. ``versions`` and ``skipped`` are by contestant."""

    command: str
    samples: Sequence[Sample]
    versions: dict[str, str]
    skipped: dict[str, str]
    flats: Sequence[Flat] = ()
    notes: Sequence[str] = field(default=())
    base: str = "nginx"

    def of(self, contestant: str, case: str, connections: int) -> list[Sample]:
        """The samples of a cell, round by round."""
        return [s for s in self.samples if (s.contestant, s.case, s.connections) == (contestant, case, connections)]


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """``median [least-most]``, or a dash."""
    if not values:
        return "-"
    return f"{median(values):{form}} [{min(values):{form}}-{max(values):{form}}]"


def paired(results: Results, of: str, to: str, case: str, connections: int, figure: str = "cpu_us") -> list[float]:
    """The ratio of a figure in each round in which both have it."""
    other = {s.round: getattr(s, figure) for s in results.of(to, case, connections)}
    pairs = ((getattr(s, figure), other.get(s.round)) for s in results.of(of, case, connections))
    return [a / b for a, b in pairs if b and a == a]


def markdown(results: Results) -> str:
    """The whole report, without a title of its own."""
    parts = [f"`{results.command}`, {datetime.now(UTC):%Y-%m-%d}, {machine()}.", "", versions(results)]
    parts += [f"Not measured: **{name}** ({reason})." for name, reason in results.skipped.items()]
    parts += [*results.notes, ""]
    if results.base == "nginx" and any(s.case == "json" and s.connections == 32 for s in results.samples):
        parts += list(goals(results))
    if results.flats:
        parts += list(flats(results.flats))
    for case in dict.fromkeys(s.case for s in results.samples):
        for connections in sorted({s.connections for s in results.samples if s.case == case}):
            parts += list(cell_table(results, case, connections))
    return "\n".join(parts).rstrip() + "\n"


def versions(results: Results) -> str:
    """One line that names what was run."""
    return "Versions: " + ", ".join(sorted({text for text in results.versions.values() if text})) + "."


def goals(results: Results) -> Iterator[str]:
    """The goals and whether each is met: on medians of ratios within a round."""
    rows: list[tuple[str, str, str]] = []
    for goal in GOALS:
        ratios = paired(results, goal.of, goal.to, "json", 32, goal.figure)
        if ratios:
            met = "yes" if median(ratios) <= goal.most else "**no**"
            rows.append((f"{goal.text} (ratio <= {goal.most:g})", spread(ratios), met))
    sizes = [s.rss_mb for s in results.samples if s.contestant == "toolgate-full"]
    if sizes:
        met = "yes" if max(sizes) < MOST_RSS_MB else "**no**"
        rows.append(
            (f"RSS of toolgate-full under {MOST_RSS_MB:.0f} MB in every run", f"{max(sizes):.0f} MB at most", met)
        )
    for found in results.flats:
        met = "yes" if found.grown_mb <= FLAT_MB else "**no**"
        text = f"Memory flat while 1 GiB streams {found.direction} through {found.contestant} (<= {FLAT_MB:.0f} MB)"
        rows.append((text, f"+{found.grown_mb:.1f} MB", met))
    if rows:
        yield "### Goals (small JSON, 32 connections)\n"
        yield "| goal | measured | met |\n|---|---|---|"
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""


def flats(found: Sequence[Flat]) -> Iterator[str]:
    """What 1 GiB does to memory."""
    yield "### 1 GiB streams\n"
    yield "| contestant | direction | RSS before, MB | peak growth, MB | MB/s |\n|---|---|---|---|---|"
    for f in found:
        yield f"| {f.contestant} | {f.direction} | {f.before_mb:.0f} | {f.grown_mb:.1f} | {f.speed:.0f} |"
    yield ""


def cell_table(results: Results, case: str, connections: int) -> Iterator[str]:
    """One table: a case at a number of connections."""
    base = results.base
    yield f"### {case}, {connections} connection{'s' if connections > 1 else ''}: {CASES[case].about}\n"
    yield (
        f"| contestant | calls/s | p50 ms | p99 ms | CPU µs/call | CPU ÷ {base} | RSS MB | PSS MB | core used "
        "| errors |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for name in dict.fromkeys(s.contestant for s in results.samples):
        rows = results.of(name, case, connections)
        if not rows:
            continue
        mid = _middle(rows)
        ratio = spread(paired(results, name, base, case, connections))
        marks = _marks(rows)
        own = (
            f"{mid(_cpu):.1f} | {ratio} | {mid(_rss):.0f} | {mid(_pss):.0f} | {mid(_busy):.0%}"
            if any(s.rss_mb for s in rows)
            else "- | - | - | - | -"
        )
        yield (
            f"| {name}{marks} | {mid(_rate):.0f} | {mid(_p50):.2f} | {mid(_p99):.2f} | {own} | "
            f"{sum(s.errors for s in rows)} |"
        )
    yield ""


def _middle(rows: Sequence[Sample]) -> Callable[[Callable[[Sample], float]], float]:
    return lambda figure: median(figure(s) for s in rows)


def _rate(s: Sample) -> float:
    return s.calls_per_second


def _p50(s: Sample) -> float:
    return s.p50_ms


def _p99(s: Sample) -> float:
    return s.p99_ms


def _cpu(s: Sample) -> float:
    return s.cpu_us


def _rss(s: Sample) -> float:
    return s.rss_mb


def _pss(s: Sample) -> float:
    return s.pss_mb


def _busy(s: Sample) -> float:
    return s.proxy_busy


def _marks(rows: Sequence[Sample]) -> str:
    """(l): the load's core was full, so rate and latency are the load's. (u): over 5 % of the calls were unfinished."""
    load_bound = median(s.load_busy for s in rows) >= LOAD_BOUND
    unfinished = rows[0].rss_mb > 0 and median(s.connections / max(s.calls, 1) for s in rows) > UNFINISHED
    return (" (l)" if load_bound else "") + (" (u)" if unfinished else "")


def machine() -> str:
    """The machine, as far as it matters and no further."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    gb = int(memory[1]) / 1024**2 if memory else 0
    cores = os.cpu_count()
    return (
        f"{model[1].strip() if model else platform.machine()}, {cores} cores, {gb:.0f} GiB, "
        f"Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}, loopback"
    )


def write_docs(page: Path, name: str, text: str) -> None:
    """Puts ``text`` between the page's ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``; ValueError without them."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    content = page.read_text()
    before, found, rest = content.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page.name} lacks the markers {begin} and {end}")
    page.write_text(f"{before}{begin}\n{text}{end}{after}")
