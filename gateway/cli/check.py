"""``toolgate check``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.check_reports import problem_json, sarif
from gateway.cli.shared import config_option, show

if TYPE_CHECKING:
    from gateway.config.load import Attempt, Loaded


@click.command()
@config_option
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", help="How to tell the result."
)
@click.option("--strict", is_flag=True, help="Warnings fail the check, too.")
def check(path: Path, form: str, strict: bool) -> None:
    """Check the configuration, the policies, and the files of cases beside them (*_test.yaml).

    Tells every mistake at once, each with file, line and column.

    Exits 0 where all can be used, 1 where something cannot (or, with --strict, is warned of), 2 where the command
    itself is used wrongly.
    """
    from gateway.config.case_files import with_cases
    from gateway.config.load import attempt

    made = with_cases(path, attempt(path))
    failed = bool(made.errors) or (strict and bool(made.warnings))
    if form == "json":
        click.echo(json.dumps(_report(made, failed=failed), indent=2))
    elif form == "sarif":
        click.echo(json.dumps(sarif(made.errors, made.warnings, Path.cwd()), indent=2))
    else:
        _tell(made, strict=strict)
    sys.exit(1 if failed else 0)


def _tell(made: Attempt, *, strict: bool) -> None:
    show(made.warnings, "warning")
    show(made.errors, "error")
    if made.loaded is not None and made.errors:
        click.echo(f"{counted(len(made.errors), 'mistake')} in tests; what they are about is ready to run", err=True)
    elif made.loaded is not None and strict and made.warnings:
        click.echo(f"{counted(len(made.warnings), 'warning')}, and the check is strict", err=True)
    elif made.loaded is not None:
        warned = f", {counted(len(made.warnings), 'warning')}" if made.warnings else ""
        click.echo(f"{summary(made.loaded)}{warned}: ready to run, version {made.loaded.version}")
    else:
        click.echo(f"{counted(len(made.errors), 'mistake')}; nothing of it can be used", err=True)


def summary(loaded: Loaded) -> str:
    """``3 tools, 4 policies (12 rules), 2 grants, 1 limit, 1 breaker``; and of the other kinds, where there are any."""
    kinds: Counter[str] = Counter(document.kind for document in loaded.documents)
    rules = sum(len(document.spec.rules) for document in loaded.documents if document.kind == "Policy")
    policies = f"{counted(kinds['Policy'], 'policy', 'policies')} ({counted(rules, 'rule')})"
    usual = ("Grant", "Limit", "Breaker")
    others = [kind for kind in ("Cap", "Budget", "Loop", "Pool", "Run") if kinds[kind]]
    rest = [counted(kinds[kind], kind.lower()) for kind in (*usual, *others)]
    if kinds["Retry"]:
        rest.append(counted(kinds["Retry"], "retry", "retries"))
    return ", ".join([counted(len(loaded.tools), "tool"), policies, *rest])


def counted(number: int, one: str, many: str = "") -> str:
    """``1 tool``, ``2 tools``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def _report(made: Attempt, *, failed: bool) -> dict[str, Any]:
    loaded = made.loaded
    return {
        "ok": not failed,
        "version": None if loaded is None else loaded.version,
        "summary": None if loaded is None else summary(loaded),
        "errors": [problem_json(problem) for problem in made.errors],
        "warnings": [problem_json(problem) for problem in made.warnings],
    }
