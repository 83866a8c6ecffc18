"""``toolgate test``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.shared import show

if TYPE_CHECKING:
    from gateway.config.case_files import Suite
    from gateway.rehearse.coverage import Coverage
    from gateway.rehearse.run import CaseResult

    Ran = list[tuple[Suite, list[CaseResult]]]

FAILED, UNUSABLE = 1, 2


@click.command()
@click.option("-c", "--config", type=click.Path(path_type=Path), metavar="FILE", help="The configuration file.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("-k", "pattern", default="", metavar="TEXT", help="Only cases with this in file, suite or name.")
@click.option("--coverage", "covers", is_flag=True, help="Tell what the cases never try.")
@click.option("--min-coverage", type=click.FloatRange(0, 100), metavar="PERCENT", help="Fail below; has --coverage.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write the results as JUnit XML too.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to tell the results.")
def test(
    config: Path | None,
    paths: tuple[Path, ...],
    pattern: str,
    covers: bool,
    min_coverage: float | None,
    junit: Path | None,
    form: str,
) -> None:
    """Test the policies: make the calls of *_test.yaml files and compare what comes of them with what is expected.

    PATHs are such files, or folders of them; by default the configuration's policy folder, else ./policies. Nothing is
    sent to any tool. Exits 0 where all cases pass, 1 where one fails or too little is covered, 2 where files cannot be
    used or there is no case.
    """
    from gateway.cli import cases_reports, cases_text
    from gateway.config.case_files import Suites, files_of_cases
    from gateway.errors import ConfigError
    from gateway.rehearse.coverage import Coverage

    try:
        files = files_of_cases(paths, config)
    except ConfigError as error:
        show(error.problems, "error")
        sys.exit(UNUSABLE)
    suites = Suites(config)
    read = [suite for path in files for suite in suites.read(path)]
    show(suites.errors, "error")
    coverage = Coverage() if covers or min_coverage is not None else None
    ran = _run(read, pattern, coverage)
    if junit is not None:
        junit.write_bytes(cases_reports.junit_of(ran))
    if form == "json":
        click.echo(cases_reports.json_of(ran, suites.errors, coverage))
    else:
        cases_text.tell(ran, coverage)
    sys.exit(_code(ran, bool(suites.errors), coverage, min_coverage))


def _run(suites: list[Suite], pattern: str, coverage: Coverage | None) -> Ran:
    """Run the cases that are asked for, file by file."""
    from gateway.rehearse.run import run_case

    ran: Ran = []
    for suite in suites:
        loaded = suite.loaded if coverage is None else coverage.watch(suite)
        chosen = [case for case in suite.cases if pattern.lower() in f"{suite.file} {suite.name} {case.name}".lower()]
        results = [run_case(case, loaded, suite.offers) for case in chosen]
        if coverage is not None:
            coverage.note(one.trace for result in results for one in result.results)
        if results:
            ran.append((suite, results))
    return ran


def _code(ran: Ran, unusable: bool, coverage: Coverage | None, least: float | None) -> int:
    if unusable:
        return UNUSABLE
    if not ran:
        click.echo("there is no case to run", err=True)
        return UNUSABLE
    if any(result.failed for _, results in ran for result in results):
        return FAILED
    if coverage is not None and least is not None and coverage.percent < least:
        click.echo(f"coverage is {coverage.percent:.0f} %, below {least:g} %", err=True)
        return FAILED
    return 0
