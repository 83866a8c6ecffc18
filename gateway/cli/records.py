"""Where commands that look at calls read them: the trace store of a configuration, a store's file, or trace logs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli.moments import moment
from gateway.cli.shared import CONFIG_VARIABLE

if TYPE_CHECKING:
    import sqlite3

    from gateway.observe.store.found import Filter
    from gateway.observe.store.reader import TraceReader
    from gateway.observe.store.where import Where
    from gateway.rehearse.timeline import Log

F = TypeVar("F", bound=Callable[..., Any])
_BATCH = 1024


def _together(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _path(*names: str, help_text: str, **more: Any) -> Callable[[Any], Any]:
    return click.option(*names, type=click.Path(path_type=Path), metavar="FILE", help=help_text, **more)


_CONFIG = _path("-c", "--config", help_text="The configuration file, whose trace.store is read.")
_STORE = _path("--store", help_text="A trace store to read instead.")
_LOGS = _path("--log", "logs", multiple=True, help_text="A trace log to read instead; several times for several.")

store_options = _together(_CONFIG, _STORE)
"""Which store."""
source_options = _together(_CONFIG, _STORE, _LOGS)
"""Which store, or logs."""

time_options = _together(
    click.option("--since", metavar="TIME", callback=moment, help="Calls from then on: 1h, a date, an RFC 3339 time."),
    click.option("--until", metavar="TIME", callback=moment, help="Calls up to then."),
)
choice_options = _together(
    click.option("--agent", default="", metavar="NAME", help="Of this agent."),
    click.option("--tool", default="", metavar="NAME", help="To this tool."),
    click.option("--text", default="", metavar="WORDS", help="With all these words in the record; begin* is any end."),
)
call_options = _together(
    click.option("--where", callback=lambda *given: _condition(given[2]), help="A condition in CEL over the record."),
    choice_options,
    click.option("--run", default="", metavar="RUN", help="Of this run, and of those that it led to."),
)
json_option = click.option("--json", "as_json", is_flag=True, help="Tell it as JSON, one line each.")


def _condition(source: str | None) -> Where | None:
    """The condition of ``--where``, compiled."""
    if source is None:
        return None
    from gateway.observe.store.where import Where
    from gateway.policy.engine import CelError
    from gateway.policy.engines import load_engine

    try:
        return Where(source, load_engine())
    except CelError as error:
        hint = f" ({error.hint})" if error.hint else ""
        raise click.BadParameter(f"{source}: column {error.column}: {error.message}{hint}") from None


def tell_unfit(wanted: Filter) -> None:
    """Say of how many records the condition could not be told, and why: it may be a mistake in it."""
    where = wanted.where
    if where is not None and where.failed:
        click.echo(f"note: of {where.failed} records it is not known whether they fit: {where.reason}", err=True)


@contextmanager
def reading(config: Path | None, store: Path | None, logs: Sequence[Path] = ()) -> Iterator[TraceReader]:
    """A reader of the one source that is given; of none, that of the configuration in TOOLGATE_CONFIG.

    Raises:
        click.ClickException: none or several are given, or it cannot be read.
    """
    import sqlite3

    from gateway.observe.store.file import StoreError, open_for_reading, temporary
    from gateway.observe.store.reader import TraceReader

    if not (config or store or logs) and (named := os.environ.get(CONFIG_VARIABLE)):
        config = Path(named)
    given = [source for source in (config, store, logs) if source]
    if len(given) != 1:
        raise click.UsageError("give one of -c CONFIG, --store FILE and --log FILE" + ", not several" * bool(given))
    try:
        if logs:
            connection = temporary()
            _read_logs(connection, logs)
        else:
            connection = open_for_reading(_configured(config) if config is not None else store or Path())
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    reader = TraceReader(connection)
    try:
        yield reader
    except sqlite3.Error as error:
        raise click.ClickException(f"the store cannot be read: {error}") from None
    finally:
        reader.close()


def _configured(config: Path) -> Path:
    """The store that a configuration names; whatever else is wrong in it does not matter here."""
    from pydantic import ValidationError

    from gateway.config.documents import read_documents
    from gateway.config.files import Files
    from gateway.config.references import expand
    from gateway.config.schema_record import TraceStoreConfig

    documents, problems = read_documents(config, Files())
    if problems or len(documents) != 1:
        raise click.ClickException(str(problems[0]) if problems else f"{config} is no configuration")
    expand(documents[0].root, config.parent, Files())
    written = documents[0].root.plain()
    trace = written.get("trace") if isinstance(written, dict) else None
    store = trace.get("store") if isinstance(trace, dict) else None
    if store is None:
        hint = "write trace: {store: {}} there; all but tail can also read a log, with --log"
        raise click.ClickException(f"no trace store is configured in {config} ({hint})")
    try:
        return config.parent / TraceStoreConfig.model_validate(store).path
    except ValidationError:
        raise click.ClickException(f"trace.store in {config} is not usable; see: toolgate check -c {config}") from None


def _read_logs(connection: sqlite3.Connection, paths: Sequence[Path]) -> None:
    """Put the records of logs into a store, each call once."""
    import orjson

    from gateway.cli.logs import opened
    from gateway.observe.store.rows import stored_record
    from gateway.observe.store.writing import insert

    unusable, seen = 0, set[str]()
    with opened(paths) as files:
        batch = []
        for line in (line for file in files for line in _lines(file)):
            try:
                record = orjson.loads(line)
                one = stored_record(record, line)
            except ValueError:
                unusable += 1
                continue
            if record["call"] not in seen:
                seen.add(record["call"])
                batch.append(one)
            if len(batch) == _BATCH:
                insert(connection, batch)
                batch = []
        insert(connection, batch)
    if unusable:
        click.echo(f"note: {unusable} lines are no records of calls", err=True)


def _lines(log: Log) -> Iterator[bytes]:
    start, size = 0, len(log)
    while start < size:
        end = log.find(b"\n", start)
        end = size if end < 0 else end
        if line := log[start:end].strip():
            yield line
        start = end + 1
