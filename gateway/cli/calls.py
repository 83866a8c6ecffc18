"""``toolgate calls`` and ``toolgate tail``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.records import (
    call_options,
    json_option,
    reading,
    source_options,
    store_options,
    tell_unfit,
    time_options,
)

if TYPE_CHECKING:
    from gateway.observe.store.found import Filter, Row
    from gateway.observe.store.reader import TraceReader
    from gateway.observe.store.where import Where

_PAUSE = 0.25
"""Seconds between two looks for new calls."""


@click.command()
@source_options
@call_options
@time_options
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Calls, the newest ones.")
@json_option
def calls(
    config: Path | None,
    store: Path | None,
    logs: tuple[Path, ...],
    where: Where | None,
    agent: str,
    tool: str,
    text: str,
    run: str,
    since: float | None,
    until: float | None,
    limit: int,
    as_json: bool,
) -> None:
    """List calls, the newest last: toolgate calls -c FILE --where 'decision == "refuse" && tool == "github"'.

    The variables of --where are the keys of a record (docs/trace.md). What does not apply to a call is "", 0, false or
    empty there.
    """
    from gateway.cli.calls_text import printer
    from gateway.observe.store.found import Filter

    wanted = Filter(since, until, agent=agent, run=run, tool=tool, text=text, where=where)
    with reading(config, store, logs) as reader:
        rows = reader.calls(wanted, limit)[::-1]
    tell = _lines if as_json else printer(rows)
    for row in rows:
        tell(row)
    if not rows:
        click.echo("no such calls", err=True)
    elif len(rows) == limit:
        click.echo(f"the newest {limit}; more with --limit", err=True)
    tell_unfit(wanted)


@click.command()
@store_options
@call_options
@click.option("-n", "lines", type=click.IntRange(min=0), default=10, show_default=True, help="Calls to begin with.")
@json_option
def tail(
    config: Path | None,
    store: Path | None,
    where: Where | None,
    agent: str,
    tool: str,
    text: str,
    run: str,
    lines: int,
    as_json: bool,
) -> None:
    """Show calls as they end, until it is interrupted. The options are those of toolgate calls."""
    from time import sleep

    from gateway.cli.calls_text import printer
    from gateway.observe.store.found import Filter

    wanted = Filter(agent=agent, run=run, tool=tool, text=text, where=where)
    with reading(config, store) as reader:
        try:
            follow(reader, wanted, lines, _lines if as_json else printer(), lambda: sleep(_PAUSE))
        except KeyboardInterrupt:
            tell_unfit(wanted)


def follow(
    reader: TraceReader, wanted: Filter, lines: int, tell: Callable[[Row], None], rest: Callable[[], None]
) -> None:
    """Tell of the last calls that fit, and then of each that ends; ``rest`` is done where there is none. Never ends by
    itself."""
    at = reader.last()
    for row in reversed(reader.calls(wanted, lines) if lines else []):
        if row.id <= at:
            tell(row)
    while True:
        rows, after = reader.after(at, wanted)
        for row in rows:
            tell(row)
        if after == at:
            rest()
        at = after


def _lines(row: Row) -> None:
    click.echo(row.line.rstrip("\n"))
