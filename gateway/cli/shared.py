"""What several commands have in common."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.errors import Problem

CONFIG_VARIABLE = "TOOLGATE_CONFIG"
"""The environment's word on the configuration file, where no option says which: images and units have it."""

config_option = click.option(
    "-c",
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar=CONFIG_VARIABLE,
    help="The configuration file; by default that in TOOLGATE_CONFIG.",
)


def show(problems: Iterable[Problem], severity: str) -> None:
    """Write problems to standard error, each with its line and a caret where that is known."""
    color = "red" if severity == "error" else "yellow"
    for problem in problems:
        place, separator, rest = _split(problem)
        click.echo(f"{place}{separator}{click.style(severity, fg=color)}: {rest}", err=True)
        if shown := getattr(problem, "excerpt", ""):
            click.echo(shown, err=True)


def _split(problem: Problem) -> tuple[str, str, str]:
    """``file:line:column: `` first, as editors and terminals expect it."""
    place = f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file
    return place, ": ", str(problem).removeprefix(f"{place}: ")
