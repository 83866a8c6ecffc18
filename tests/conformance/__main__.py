"""``python -m tests.conformance``: run all that docs/conformance.md describes. Exit code 1 where something differs."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

from . import bad_proxy, places, typescript
from .checks import Results
from .explained import EXPLAINED
from .report import Report
from .suite import REVISIONS, Suite
from .toolbox import HOME, ROOT, Toolbox

PARTS = ("server", "client", "typescript")
PAGE = ROOT / "docs" / "conformance.md"


def server(suite: Suite, report: Report, revision: str) -> None:
    """All server scenarios. Each run has a server of its own, whose ids of events begin at the same number."""
    with places.everything() as url:
        direct = suite.server(url, revision, "direct")
    with places.everything() as url, places.through(url) as gateway:
        through = suite.server(gateway, revision, "through")
    report.add(f"server scenarios, {revision}", direct, through)


def controls(suite: Suite, report: Report, revision: str) -> None:
    """The same with proxies that break something, which must be seen."""
    with places.everything() as url:
        direct = suite.server(url, revision, "direct")
    for how in bad_proxy.WAYS:
        with places.everything() as url, places.spoiled(url, how) as proxy:
            spoiled = suite.server(proxy, revision, how)
        report.control(f"control: {how}, {revision}", direct, spoiled, harmless=how == "pass")


def client(suite: Suite, report: Report, revision: str) -> None:
    """All client scenarios, with the Python SDK's client. Those of OAuth reach the server by HTTP_PROXY."""
    ways = {"direct": "tests.conformance.client", "through": "tests.conformance.client_through"}

    def both(scenario: str) -> list[Results]:
        return [suite.client(module, scenario, revision, name) for name, module in ways.items()]

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(both, suite.client_scenarios(revision)))
    direct, through = ({name: made for pair in done for name, made in pair[way].items()} for way in (0, 1))
    report.add(f"client scenarios, {revision}", direct, through)


def scripts(toolbox: Toolbox, report: Report) -> None:
    """Programs with the TypeScript clients."""
    with places.everything() as url:
        direct = typescript.run(toolbox, url)
    with places.everything() as url, places.through(url) as gateway:
        through = typescript.run(toolbox, gateway)
    report.add("TypeScript clients", direct, through)


def write(table: str) -> None:
    """Replace the table in the page about the run."""
    begin, end = "<!-- results -->\n", "\n<!-- end -->"
    text = PAGE.read_text()
    before, after = text.partition(begin)[0], text.partition(end)[2]
    PAGE.write_text(before + begin + table + end + after)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="run this part alone; may be repeated")
    parser.add_argument("--revision", choices=REVISIONS, action="append", help="of the protocol; may be repeated")
    parser.add_argument("--controls", action="store_true", help="also run proxies that break something")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/conformance.md")
    options = parser.parse_args()
    parts, revisions = options.only or PARTS, options.revision or REVISIONS
    toolbox = Toolbox()
    toolbox.install()
    suite, report = Suite(toolbox, HOME / "out"), Report(EXPLAINED)
    for revision in revisions:
        if "server" in parts:
            server(suite, report, revision)
        if "client" in parts:
            client(suite, report, revision)
    if "typescript" in parts:
        scripts(toolbox, report)
    if options.controls:
        controls(suite, report, REVISIONS[-1])
    report.show()
    if options.write_docs:
        write(report.table())
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
