"""What agents that share a memory lose, and what it costs to lose nothing: ``python -m benchmarks.coherence``.

First the same agents, through the same tool, declared as a memory and not (``coherence_race.py``). Then CPU time of a
call to a tool that is a memory, over that of the same call to one that is none (``coherence_cost.py``).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks import coherence_cost
from benchmarks.coherence_cost import Variant
from benchmarks.coherence_race import AGENTS, TIMES, Race, run
from benchmarks.flow import table
from benchmarks.report import machine
from tests.stores.redis_server import RedisServer

PAGE = Path(__file__).parent.parent / "docs" / "memory.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
REFUSE, MERGE = {"conflict": "refuse"}, {"conflict": "merge"}
RACES = (
    Race("a number; not declared"),
    Race("a number; `conflict: refuse`", REFUSE),
    Race("a number; not declared; 2 gateways", replicas=2, shared=True),
    Race("a number; `conflict: refuse`; 2 gateways on Redis", REFUSE, replicas=2, shared=True),
    Race("a number; `condition: if-match`; 2 gateways that share nothing", REFUSE, tags=True, replicas=2),
    Race("a line each; not declared", lines=True),
    Race("a line each; `conflict: refuse`", REFUSE, lines=True),
    Race("a line each; `conflict: merge`", MERGE, lines=True),
    Race("a line each; `conflict: merge`; 2 gateways on Redis", MERGE, lines=True, replicas=2, shared=True),
)


def raced(races: Sequence[Race]) -> list[list[str]]:
    """A row for each race."""
    rows = []
    for number, race in enumerate(races):
        with TemporaryDirectory() as folder:
            end = run(race, Path(folder) / f"{number}")
        lost = end.acknowledged - end.counted
        rows.append(
            [race.name, str(end.acknowledged), str(end.counted), str(lost), str(end.refused), f"{end.seconds:.1f} s"]
        )
    return rows


def costs(turns: int) -> list[list[str]]:
    """A row for each way of keeping what is known."""
    server = RedisServer()
    variants = (
        Variant("not declared"),
        Variant("a memory", memory=True),
        Variant("a memory, and a rule on `run.drift`", memory=True, drift=True),
        Variant("a memory, known in Redis", memory=True, state=server.url),
    )
    try:
        with TemporaryDirectory() as folder:
            return coherence_cost.rows(uvloop.run(coherence_cost.measure(Path(folder), variants, turns)))
    finally:
        server.stop()


def report(turns: int) -> str:
    """Both tables, in Markdown."""
    return "\n\n".join(
        [
            f"{AGENTS} agents change one text at once, {TIMES} times each; who is refused reads again ({machine()}):",
            table(["", "told that it was written", "in the end", "lost", "refused", "took"], raced(RACES)),
            "CPU of a call in the gateway without sockets, in µs: the least of all turns (median of what is added):",
            table(["the tool is", "a read", "added", "a write", "added"], costs(turns)),
        ]
    )


def main() -> None:
    """Print the tables; with ``--write-docs`` put them into docs/memory.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=100, help="of the costs; 60 reads and 60 writes each")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/memory.md")
    options = parser.parse_args()
    said = report(options.turns)
    if options.write_docs:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{said}\n\n{END}{rest.partition(END)[2]}")
    print(said)


if __name__ == "__main__":
    main()
