"""``toolgate shadow``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gateway.cli.moments import moment


@click.group()
def shadow() -> None:
    """Rules that are only recorded: what they would have done."""


@shadow.command()
@click.option("--since", metavar="TIME", callback=moment, help="Calls from then on: 2h, 1d, or a date and time.")
@click.option("--policy", default="", metavar="NAME", help="Rules of this policy only.")
@click.option("--limit", type=click.IntRange(min=0), default=3, show_default=True, help="Examples of each rule.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to tell the result.")
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LOG...")
def report(since: float | None, policy: str, limit: int, form: str, logs: tuple[Path, ...]) -> None:
    """Tell what rules in mode Audit or Warn, or outside of their rollout, said of the calls of trace logs.

    LOG may be compressed with gzip, or - for standard input. Exits 0, or 1 where a log cannot be read.
    """
    from gateway.cli.logs import opened
    from gateway.rehearse.shadow import ShadowReport
    from gateway.rehearse.timeline import Timeline

    gathered = ShadowReport(since=since or 0.0, policy=policy, examples=limit)
    with opened(logs) as files:
        gathered.read(Timeline(files))
    told = gathered.told()
    if form == "json":
        import orjson

        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    else:
        _tell(told)


_WOULD = {
    "deny": "would have refused",
    "approve": "would have asked about",
    "strip": "would have stripped texts of",
    "wrap": "would have wrapped texts of",
    "truncate": "would have truncated values of",
    "redact": "would have masked values of",
    "label": "would have marked the runs of",
    "warn": "would have warned of",
}


def _tell(told: dict[str, Any]) -> None:
    from gateway.cli.check import counted

    span = f" from {told['first']} to {told['last']}" if told["calls"] else ""
    click.echo(f"{counted(told['calls'], 'call')}{span}")
    if told["unusable_lines"]:
        click.echo(f"left out: {counted(told['unusable_lines'], 'line')} that is no record")
    if not told["rules"]:
        click.echo("no rule spoke without being enforced")
    for rule in told["rules"]:
        would = _WOULD.get(rule["verdict"], rule["verdict"])
        click.echo()
        click.secho(f"{rule['policy']}/{rule['rule']}", bold=True, nl=False)
        mode = "outside of its rollout" if rule["outside_rollout"] else rule["mode"]
        click.echo(f" ({mode}) {would} {counted(rule['calls'], 'call')}, {rule['share']:.2%} of all,", nl=False)
        runs = f" in {counted(rule['runs'], 'run')}" if rule["runs"] else ""
        click.echo(f" by {counted(rule['agents'], 'agent')}{runs}")
        through = f"; {rule['went_through']} of them went through" if rule["verdict"] in ("deny", "approve") else ""
        failed = f"; it failed on {counted(rule['errors'], 'call')}" if rule["errors"] else ""
        click.echo(f"  first {rule['first']}, last {rule['last']}{through}{failed}")
        for one in rule["examples"]:
            run = f" run {one['run']}" if one["run"] else ""
            click.echo(
                f"  {one['ts']} {one['call']} {one['agent'] or '-'}{run}: {one['tool']} {one['operation'] or '-'}"
            )
            if one["message"]:
                click.echo(f"    {one['message']}")
