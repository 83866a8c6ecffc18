"""``toolgate suggest grants``: least privilege from recorded traffic."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import click

from gateway.cli.moments import moment
from gateway.cli.shared import config_option, show

if TYPE_CHECKING:
    from gateway.cli.suggest_text import Document
    from gateway.config.load import Loaded
    from gateway.rehearse.records import Record
    from gateway.rehearse.timeline import Log, Timeline
    from gateway.rehearse.usage import Usage

_SQLITE = b"SQLite format 3\x00"
REFUSED = 3
"""Exit code where the suggestion would refuse what was recorded."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def _task_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _NAME.fullmatch(value):
        raise click.BadParameter("letters, digits, '.', '_' and '-', such as refund")
    return value


@click.group()
def suggest() -> None:
    """Work out policies from recorded traffic."""


@suggest.command()
@config_option
@click.option(
    "--from", "sources", multiple=True, required=True, type=click.Path(path_type=Path), metavar="LOG",
    help="A trace log (also gzip, or - for standard input) or the file of a trace store; several times for several.",
)  # fmt: skip
@click.option("--agent", default="*", metavar="GLOB", help="Only of these agents.")
@click.option("--run", default="", metavar="RUN", help="Only of this run.")
@click.option("--since", metavar="TIME", callback=moment, help="Calls from then on: 30d, a date, an RFC 3339 time.")
@click.option("--until", metavar="TIME", callback=moment, help="Calls up to then.")
@click.option("--task", metavar="NAME", callback=_task_name, help="A Task of this name, instead of grants.")
@click.option(
    "--variants", type=click.IntRange(min=2), default=4, show_default=True,
    help="From so many on, paths that differ only in ids become one pattern.",
)  # fmt: skip
@click.option("--unused-for", default=30, show_default=True, type=click.IntRange(min=0), metavar="DAYS",
              help="Tell what present grants allow and nobody has used for so long before the last call.")  # fmt: skip
@click.option("--check", is_flag=True, help="Hold all the calls against the suggestion; exit 3 where one is refused.")
def grants(
    path: Path,
    sources: tuple[Path, ...],
    agent: str,
    run: str,
    since: float | None,
    until: float | None,
    task: str | None,
    variants: int,
    unused_for: int,
    check: bool,
) -> None:
    """Grants that allow exactly what was used, on standard output; what is not used, on standard error.

    Counted are calls that were permitted. Operations are those that the configuration names now.
    """
    from gateway.cli.suggest_text import grants_text, header, task_text, unused_text
    from gateway.rehearse.least import unused, wanted
    from gateway.rehearse.timeline import Timeline
    from gateway.rehearse.usage import TooVariousError, Usage

    loaded = _loaded(path)
    with _opened(sources) as logs:
        timeline = Timeline(logs)
        usage = Usage(loaded, _wanted(agent, run, since, until))
        try:
            for _, line in timeline:
                usage.feed(line)
        except TooVariousError as error:
            raise click.ClickException(str(error)) from None
        uses = usage.uses()
        if not uses:
            raise click.ClickException("no permitted call of these agents to a configured tool is recorded there")
        found = wanted(uses, loaded.tools, variants)
        documents = grants_text(found) if task is None else [task_text(task, found, usage)]
        hint = "" if task is None else "Grants must allow the same; when: conditions and a duration make it narrower."
        click.echo(header(usage, hint) + "---\n".join(document.text for document in documents), nl=False)
        for text in unused_text(unused(loaded, uses, _before(usage.last, unused_for))) if agent == "*" else ():
            click.echo(text, err=True)
        for count, what in ((usage.elsewhere, "to tools that are not configured"), (usage.refused, "were refused")):
            if count:
                click.echo(f"left out: {count} calls {what}", err=True)
        if check:
            sys.exit(_checked(loaded, documents, timeline, usage, task))


def _checked(loaded: Loaded, documents: Sequence[Document], timeline: Timeline, usage: Usage, task: str | None) -> int:
    """Hold every call that was counted against what was suggested; the exit code."""
    from gateway.cli.suggest_check import Trial

    trial = Trial(loaded, documents, task)
    for _, line in timeline:
        trial.feed(line, usage)
    click.echo(f"check: {trial.calls} calls, {trial.refused} refused", err=True)
    for why in trial.examples:
        click.echo(f"  {why}", err=True)
    return REFUSED if trial.refused else 0


def _loaded(path: Path) -> Loaded:
    from gateway.config.load import load
    from gateway.errors import ConfigError

    try:
        return load(path)
    except ConfigError as error:
        show(error.problems, "error")
        sys.exit(1)


def _wanted(agent: str, run: str, since: float | None, until: float | None) -> Callable[[Record], bool]:
    from gateway.policy.globs import glob_regex
    from gateway.rehearse.timeline import wall_of

    named = glob_regex(agent)

    def wanted(record: Record) -> bool:
        if record.agent is None or not named.fullmatch(record.agent) or (run and record.run != run):
            return False
        if since is None and until is None:
            return True
        at = wall_of(record.ts)
        return (since is None or at >= since) and (until is None or at <= until)

    return wanted


def _before(last: str, days: int) -> str:
    """The time of records so many days before ``last``."""
    from datetime import UTC, datetime, timedelta

    then = datetime.fromisoformat(last).astimezone(UTC) - timedelta(days=days)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextmanager
def _opened(sources: Sequence[Path]) -> Iterator[list[Log]]:
    """The records of logs and stores, as logs."""
    from contextlib import ExitStack

    from gateway.cli.logs import opened

    with ExitStack() as stack:
        stores = [path for path in sources if _is_store(path)]
        logs = stack.enter_context(opened([path for path in sources if path not in stores]))
        yield [*logs, *[stack.enter_context(_of_store(path)) for path in stores]]


def _is_store(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return path.is_file() and file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False  # whoever reads it as a log says why not


@contextmanager
def _of_store(path: Path) -> Iterator[Log]:
    """The lines of a trace store, written out: what is read has its records in the order of time."""
    import mmap

    from gateway.cli.records import reading

    with TemporaryFile() as file:
        with reading(None, path) as reader:
            ident, last = 0, reader.last()
            while ident < last:
                rows, ident = reader.after(ident, limit=1000)
                file.writelines(row.line.encode() + b"\n" for row in rows)
        file.flush()
        if not file.tell():
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped
