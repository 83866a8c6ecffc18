"""``toolgate check``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.shared import config_option, show

if TYPE_CHECKING:
    from gateway.config.load import Attempt, Loaded
    from gateway.errors import Problem


@click.command()
@config_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to tell the result.")
def check(path: Path, form: str) -> None:
    """Check the configuration, the policies, and the files of cases beside them (*_test.yaml).

    Tells every mistake at once, each with file, line and column. Exits 0 where all can be used, else 1.
    """
    from gateway.config.case_files import with_cases
    from gateway.config.load import attempt

    made = with_cases(path, attempt(path))
    if form == "json":
        click.echo(json.dumps(_report(made), indent=2))
    else:
        _tell(made)
    sys.exit(1 if made.errors else 0)


def _tell(made: Attempt) -> None:
    show(made.warnings, "warning")
    show(made.errors, "error")
    if made.loaded is not None and made.errors:
        click.echo(f"{counted(len(made.errors), 'mistake')} in tests; what they are about is ready to run", err=True)
    elif made.loaded is not None:
        warned = f", {counted(len(made.warnings), 'warning')}" if made.warnings else ""
        click.echo(f"{summary(made.loaded)}{warned}: ready to run, version {made.loaded.version}")
    else:
        click.echo(f"{counted(len(made.errors), 'mistake')}; nothing of it can be used", err=True)


def summary(loaded: Loaded) -> str:
    """``3 tools, 4 policies (12 rules), 2 grants, 1 limit, 1 breaker``."""
    kinds = Counter(document.kind for document in loaded.documents)
    rules = sum(len(document.spec.rules) for document in loaded.documents if document.kind == "Policy")
    policies = f"{counted(kinds['Policy'], 'policy', 'policies')} ({counted(rules, 'rule')})"
    rest = [counted(kinds[kind], kind.lower()) for kind in ("Grant", "Limit", "Breaker")]
    return ", ".join([counted(len(loaded.tools), "tool"), policies, *rest])


def counted(number: int, one: str, many: str = "") -> str:
    """``1 tool``, ``2 tools``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def _report(made: Attempt) -> dict[str, Any]:
    loaded = made.loaded
    return {
        "ok": not made.errors,
        "version": None if loaded is None else loaded.version,
        "summary": None if loaded is None else summary(loaded),
        "errors": [_problem(problem) for problem in made.errors],
        "warnings": [_problem(problem) for problem in made.warnings],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line or None,
        "column": problem.column or None,
        "message": problem.message,
        "hint": problem.hint or None,
    }
