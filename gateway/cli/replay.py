"""``toolgate replay``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.moments import moment
from gateway.cli.shared import config_option, show

if TYPE_CHECKING:
    from gateway.config.load import Loaded
    from gateway.rehearse.replay import Replay
    from gateway.rehearse.timeline import Timeline

_KINDS = ("deny", "allow", "approve", "unknown")
CHANGED = 3
"""Exit code where a change of a kind in --fail-on was found."""


def _kinds(_: click.Context, __: click.Parameter, value: str) -> frozenset[str]:
    kinds = frozenset(kind.strip() for kind in value.split(",") if kind.strip())
    for kind in kinds.difference(_KINDS):
        raise click.BadParameter(f"{kind!r} is none of {', '.join(_KINDS)}")
    return kinds


@click.command()
@config_option
@click.option("--policies", type=click.Path(path_type=Path), metavar="FOLDER", help="Decide by these policies.")
@click.option("--baseline", type=click.Path(path_type=Path), metavar="FOLDER", help="Compare with these policies.")
@click.option(
    "--since", metavar="TIME", callback=moment, help="Compare calls from then on; those before only fill counters."
)
@click.option("--until", metavar="TIME", callback=moment, help="Leave out calls after that.")
@click.option("--limit", type=click.IntRange(min=0), default=3, show_default=True, help="Examples of each change.")
@click.option(
    "--minutes-per-approval", type=click.FloatRange(min=0), default=2.0, show_default=True, help="A person's time."
)
@click.option(
    "--fail-on", metavar="KINDS", callback=_kinds, default="", help="Exit 3 on these: deny,allow,approve,unknown."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to tell the result.")
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LOG...")
def replay(
    path: Path,
    policies: Path | None,
    baseline: Path | None,
    since: float | None,
    until: float | None,
    limit: int,
    minutes_per_approval: float,
    fail_on: frozenset[str],
    form: str,
    logs: tuple[Path, ...],
) -> None:
    """Decide the calls of trace logs again, under other policies, and tell what changes.

    Limits, breakers, bounds on concurrency and costs of runs count as they would have. Compared is what was recorded,
    or with --baseline what those policies decide. LOG may be compressed with gzip, or - for standard input.

    Exits 0, 3 where --fail-on found something, 1 where a file cannot be used.
    """
    from gateway.cli.logs import opened
    from gateway.cli.replay_text import tell
    from gateway.rehearse.replay import Replay
    from gateway.rehearse.timeline import Timeline

    after = _loaded(path, policies)
    before = None if baseline is None else _loaded(path, baseline)
    with opened(logs) as files:
        timeline = Timeline(files)
        epoch = timeline.epoch
        run = Replay(
            after,
            epoch,
            before,
            since=float("-inf") if since is None else since - epoch,
            until=float("inf") if until is None else until - epoch,
            examples=limit,
        )
        _feed(run, timeline, shown=form == "text" and sys.stderr.isatty())
    report = run.report(minutes_per_approval)
    report["log"]["unusable_lines"] += timeline.unusable
    if form == "json":
        import orjson

        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
    else:
        tell(report)
    sys.exit(CHANGED if any(run.counts()[kind] for kind in fail_on) else 0)


def _loaded(path: Path, policies: Path | None) -> Loaded:
    from gateway.config.load import load
    from gateway.errors import ConfigError

    try:
        return load(path, policies)
    except ConfigError as error:
        show(error.problems, "error")
        sys.exit(1)


def _feed(run: Replay, timeline: Timeline, *, shown: bool) -> None:
    """Take the replay through the timeline, with a progress bar on standard error where that is a terminal."""
    step = 2_000
    bar = click.progressbar(length=len(timeline), label="replaying", file=sys.stderr) if shown else None
    for number, (at, line) in enumerate(timeline, 1):
        run.feed(at, line)
        if bar is not None and number % step == 0:
            bar.update(step)
    run.finish()
    if bar is not None:
        bar.update(len(timeline) % step)
        bar.render_finish()
