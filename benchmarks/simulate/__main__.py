"""``python -m benchmarks.simulate``: play the scenarios, print their figures, draw their plots."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.simulate import descent, greedy, loops, money, outage, storm
from benchmarks.simulate.clock import play
from benchmarks.simulate.measures import Measured
from benchmarks.simulate.plot import draw
from benchmarks.simulate.report import table, write

SCENARIOS: Mapping[str, Any] = {
    "storm": storm,
    "outage": outage,
    "greedy": greedy,
    "loops": loops,
    "descent": descent,
    "money": money,
}
DOCS = Path(__file__).resolve().parents[2] / "docs"


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate", description=__doc__)
    parser.add_argument("--only", help="scenarios, separated by commas: " + ", ".join(SCENARIOS))
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same numbers (default: 1)")
    parser.add_argument("--write-docs", action="store_true", help="write docs/governance.md and docs/img")
    asked = parser.parse_args(argv)
    names = asked.only.split(",") if asked.only else list(SCENARIOS)
    for name in names:
        if name not in SCENARIOS:
            parser.error(f"no scenario is called {name!r}; there are {', '.join(SCENARIOS)}")
    if asked.write_docs and asked.only:
        parser.error("--write-docs writes all of them; leave --only out")
    sections = []
    for name in names:
        scenario = SCENARIOS[name]
        played = {variant: _play(make, asked.seed) for variant, make in scenario.VARIANTS.items()}
        figures = table(played)
        print(f"\n## {scenario.TITLE}: {scenario.ABOUT}\n\n{figures}", flush=True)
        sections.append(
            f"### {scenario.TITLE}\n\n{scenario.ABOUT[0].upper()}{scenario.ABOUT[1:]}.\n\n"
            f"![{scenario.TITLE}](img/{name}.svg)\n\n{figures}"
        )
        if asked.write_docs:
            plot = draw(f"{scenario.TITLE}: {scenario.ABOUT}", scenario.panels(played))
            (DOCS / "img").mkdir(exist_ok=True)
            (DOCS / "img" / f"{name}.svg").write_text(plot)
    if asked.write_docs:
        write(DOCS / "governance.md", sections)


def _play(make: Any, seed: int) -> Measured:
    measured: Measured = play(make(seed).run())
    return measured


if __name__ == "__main__":
    main(sys.argv[1:])
