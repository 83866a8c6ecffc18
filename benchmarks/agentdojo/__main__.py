"""AgentDojo through a real gateway, and the tables of docs/agentdojo.md: ``python -m benchmarks.agentdojo --help``."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from .plays import MODES, ORIGINS, Mode, Result, Stage, everything
from .report import Attacked, Page, write
from .suites import NAMES, WORDINGS

DOCS = Path(__file__).parent.parent.parent / "docs" / "agentdojo.md"
MAIN, OTHERS = "v1.1.2", ("v1", "v1.2.2")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _mode(toolgate: str, mode: Mode, version: str = MAIN) -> tuple[dict[str, Result], float]:
    """What came of each suite, and microseconds of the gateway's CPU for each call."""
    stage = Stage(toolgate, version, mode)
    try:
        results = dict(everything(stage))
        cpu = stage.gate.cpu / sum(one.calls for one in results.values())
    finally:
        stage.close()
    return results, cpu * 1e6


def _attacked(toolgate: str, mode: Mode) -> list[Attacked]:
    """The attacks worded otherwise, before anything is read, and those of our own."""
    found = []
    stage = Stage(toolgate, MAIN, mode)
    try:
        for wording in WORDINGS:
            found.append(Attacked(f"worded `{wording}`", _sum(stage.attacked(name, wording) for name in NAMES)))
        found.append(Attacked("before anything was read", _sum(stage.attacked(name, early=True) for name in NAMES)))
        found.append(Attacked("of our own", _sum(stage.tricked(name) for name in NAMES)))
    finally:
        stage.close()
    return found


def _sum(results: object) -> Result:
    total = Result()
    for one in results:  # type: ignore[attr-defined]
        total.add(one)
    return total


def main() -> None:
    """Play, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toolgate", default="toolgate", help="the command that starts the gateway")
    parser.add_argument("--quick", action="store_true", help="the main table only, printed and not written")
    options = parser.parse_args()
    began = time.monotonic()
    page = Page(MAIN, datetime.now(UTC).strftime("%Y-%m-%d"))
    for mode in MODES:
        _say(f"{MAIN}: {mode.name}")
        page.modes[mode.name], page.cpu[mode.name] = _mode(options.toolgate, mode)
    page.refusals = page.modes[ORIGINS.name]
    if options.quick:
        print(page.main_table())
        return
    for version in OTHERS:
        _say(f"{version}: {ORIGINS.name}")
        page.versions[version], _ = _mode(options.toolgate, ORIGINS, version)
    _say("other attacks")
    page.attacked = _attacked(options.toolgate, ORIGINS)
    page.bare = _attacked(options.toolgate, MODES[0])[-1]
    page.minutes = (time.monotonic() - began) / 60
    write(DOCS, page)
    _say(f"{DOCS} written after {page.minutes:.1f} min")


if __name__ == "__main__":
    main()
