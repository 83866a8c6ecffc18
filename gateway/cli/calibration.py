"""``toolgate approvals stats`` and ``suggest``: what verdicts tell of rules and of people, and changes that they
suggest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.operate import gateway_at, gateway_options
from gateway.cli.quarantine import json_option

if TYPE_CHECKING:
    from gateway.rehearse.timeline import Log

MOST_STORED = 100_000
"""Calls of a trace store that are replayed, the newest."""


def register(group: click.Group) -> None:
    """Add the commands to ``toolgate approvals``."""
    group.add_command(stats)
    group.add_command(suggest)


@click.command()
@json_option
@gateway_options
def stats(as_json: bool, path: Path | None, admin: str | None) -> None:
    """What people's verdicts tell: of each rule how often it is approved, of each person how they decide."""
    told = gateway_at(path, admin).ask("GET", "/api/calibration")
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    from gateway.cli.calibration_text import tell_stats

    tell_stats(told)


@click.command()
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A trace log to replay; several times for several. By default the trace store or log of -c.",
)
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write each as a patch and its report into this folder.",
)
@click.option(
    "--loosen",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.98,
    show_default=True,
    help="Stop asking where more than this share is approved, for certain.",
)
@click.option("--least", type=click.IntRange(1), default=200, show_default=True, help="Verdicts that this needs.")
@click.option(
    "--tighten",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="Refuse where less than this share is approved, for certain.",
)
@json_option
@gateway_options
def suggest(
    logs: tuple[Path, ...],
    folder: Path | None,
    loosen: float,
    least: int,
    tighten: float,
    as_json: bool,
    path: Path | None,
    admin: str | None,
) -> None:
    """Changes of rules that people's verdicts suggest, each as a patch of the policy file, with what a replay of the
    recorded calls says of it. Nothing is applied: look at them, and apply what you want with git apply or patch -p1.

    Needs -c FILE, the configuration that the gateway runs with.
    """
    if path is None:
        raise click.UsageError("give -c FILE: the policies that a suggestion changes are read there")
    limits = [("loosen", str(loosen)), ("loosen_n", str(least)), ("tighten", str(tighten))]
    told = gateway_at(path, admin).ask("GET", "/api/calibration", query=limits)
    from gateway.cli.calibration_text import tell_suggestions
    from gateway.cli.suggested import Workbench, written

    found: list[dict[str, Any]] = []
    if told["suggestions"]:
        with _recorded(path, logs) as recorded:
            bench = Workbench(path, recorded)
            found = [bench.worked_out(one) for one in told["suggestions"]]
    if folder is not None:
        for file in written(folder, found):
            click.echo(f"wrote {file}", err=True)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        tell_suggestions(found, told["samples"], written=folder is not None)


@contextmanager
def _recorded(path: Path, logs: Sequence[Path]) -> Iterator[list[Log]]:
    """The recorded calls: of the logs that are given, or of the configuration's trace store, or of its log."""
    from gateway.cli.logs import opened

    kept = list(logs) or _log_of(path)
    with opened(kept) as files:
        yield list(files) if kept else _stored(path)


def _log_of(path: Path) -> list[Path]:
    """The configuration's log, where it has no store."""
    from gateway.cli.replay import _loaded

    trace = _loaded(path, None).config.trace
    if trace.store is not None or trace.file == "-" or not Path(trace.file).exists():
        return []
    return [Path(trace.file)]


def _stored(path: Path) -> list[Log]:
    from gateway.cli.records import reading

    try:
        with reading(path, None) as reader:
            return ["\n".join([row.line for row in reader.calls(limit=MOST_STORED)]).encode()]
    except click.ClickException:
        return []  # nothing is stored: what was suggested is told all the same
