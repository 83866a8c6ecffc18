"""AgentDojo through a real gateway, and the tables of docs/agentdojo.md: ``python -m benchmarks.agentdojo --help``."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from .plays import DELEGATING, MODES, ORIGINS, Mode, Result, Stage, everything
from .report import Attacked, Page, total, write
from .suites import NAMES, WORDINGS

DOCS = Path(__file__).parent.parent.parent / "docs" / "agentdojo.md"
EARLY, OWN = "before anything was read", "of our own"
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


def _attacked(toolgate: str, mode: Mode, kind: str) -> Attacked:
    """The attacks worded otherwise, or before anything is read, or those of our own."""
    stage = Stage(toolgate, MAIN, mode)
    try:
        if kind == OWN:
            return Attacked(kind, total(stage.tricked(name) for name in NAMES))
        if kind == EARLY:
            return Attacked(kind, total(stage.attacked(name, early=True) for name in NAMES))
        return Attacked(f"worded `{kind}`", total(stage.attacked(name, kind) for name in NAMES))
    finally:
        stage.close()


def main() -> None:
    """Play, two gateways at a time, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toolgate", default="toolgate", help="the command that starts the gateway")
    parser.add_argument("--quick", action="store_true", help="the main table only, printed and not written")
    options = parser.parse_args()
    began, toolgate = time.monotonic(), options.toolgate
    page = Page(MAIN, datetime.now(UTC).strftime("%Y-%m-%d"))
    with ProcessPoolExecutor(2) as pool:
        modes = {mode.name: pool.submit(_mode, toolgate, mode) for mode in MODES}
        if not options.quick:
            others = [pool.submit(_attacked, toolgate, ORIGINS, kind) for kind in (*list(WORDINGS)[1:], EARLY, OWN)]
            bare = pool.submit(_attacked, toolgate, MODES[0], OWN)
            delegating = pool.submit(_attacked, toolgate, DELEGATING, OWN)
            versions = {version: pool.submit(_mode, toolgate, ORIGINS, version) for version in OTHERS}
        for name, played in modes.items():
            page.modes[name], page.cpu[name] = played.result()
            _say(f"{MAIN}: {name}")
        page.refusals = page.modes[ORIGINS.name]
        if options.quick:
            print(page.main_table())
            return
        page.attacked, page.bare = [played.result() for played in others], bare.result()
        page.delegating = delegating.result()
        _say("other attacks")
        page.versions = {version: played.result()[0] for version, played in versions.items()}
    page.minutes = (time.monotonic() - began) / 60
    write(DOCS, page)
    _say(f"{DOCS} written after {page.minutes:.1f} min")


if __name__ == "__main__":
    main()
