"""The results of cases, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.check import counted

if TYPE_CHECKING:
    from gateway.cli.cases import Ran
    from gateway.model import Spoke
    from gateway.rehearse.coverage import Coverage
    from gateway.rehearse.run import CaseResult, StepResult


def tell(ran: Ran, coverage: Coverage | None) -> None:
    """Write what failed, case by case, then what is not covered, then the sum."""
    passed = failed = 0
    for suite, results in ran:
        wrong = [result for result in results if result.failed]
        for result in wrong:
            click.echo("\n".join(_failure(suite.file, result)))
        failed += len(wrong)
        passed += len(results) - len(wrong)
        mark = click.style("failed", fg="red") if wrong else click.style("passed", fg="green")
        click.echo(f"{mark} {suite.file}: {counted(len(results), 'case')}, {len(wrong)} failed")
    if coverage is not None:
        _tell_coverage(coverage)
    click.echo(f"{counted(passed, 'case')} passed, {failed} failed, in {counted(len(ran), 'suite')}")


def _failure(file: str, result: CaseResult) -> Iterator[str]:
    case = result.case
    yield f"{file}:{case.line}:{case.column}: {click.style('failed', fg='red')}: {case.name}"
    shown: set[int] = set()
    for one in result.failed:
        if one.step.line in shown:
            continue  # another turn of the same step
        shown.add(one.step.line)
        yield from described(file, one, several=len(result.results) > 1)


def described(file: str, one: StepResult, *, several: bool) -> Iterator[str]:
    """The lines on one call of which something else came than was expected."""
    call = one.step.call
    asked = call.operation or f"{call.method} {call.path}"
    turn = f", time {one.turn} of {one.step.repeat}" if one.step.repeat > 1 else ""
    at = f"at {one.step.at + (one.turn - 1) * one.step.every:g} s{turn}: " if several else ""
    yield f"  {file}:{one.step.line}:{one.step.column}: {at}{asked} of {call.tool} by {call.agent}"
    width = max(len(difference.name) for difference in one.differences)
    for difference in one.differences:
        yield f"    {difference.name:<{width}}  expected {_shown(difference.expected)}"
        yield f"    {'':<{width}}  got      {_shown(difference.got)}"
    verdict = one.verdict
    if verdict.decision != "allow":
        yield f"    {verdict.decision} by {verdict.rule or 'the gateway'} ({verdict.reason}): {verdict.message}"
    for said in verdict.spoke:
        yield f"    rule {_said(said)}"
    if not verdict.spoke:
        yield "    no rule spoke"


def _said(said: Spoke) -> str:
    mode = "" if said.mode.value == "Enforce" else f", {said.mode.value}"
    why = f"failed: {said.error}" if said.error else said.message or "is true"
    return f"{said.policy}/{said.rule} ({said.verdict.value}{mode}): {why}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return str(value) if value != "" else "nothing"


def _tell_coverage(coverage: Coverage) -> None:
    file = ""
    for subject in coverage.gaps():
        if subject.file != file:
            file = subject.file
            click.echo(f"not covered in {file}:")
        click.echo(f"  {file}:{subject.line}:{subject.column}: {subject.name}: {', '.join(subject.missing)}")
    subjects = counted(len(coverage.subjects), "rule, limit or breaker", "rules, limits and breakers")
    click.echo(f"coverage: {coverage.percent:.0f} % of {subjects}")
