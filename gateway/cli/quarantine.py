"""``toolgate quarantine``."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from gateway.cli.operate import alone, gateway_at, gateway_options, me, warn_unless_stored

_SCOPES = click.Choice(["agent", "run", "tool", "all"])
json_option = click.option("--json", "as_json", is_flag=True, help="Tell it as JSON.")
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why; agents are told, too.")
unsaid_reason_option = click.option("--reason", default="", metavar="TEXT", help="Why; for the log and the audit.")


def seconds(_: click.Context, option: click.Parameter, text: str | None) -> float:
    """A span of time, as ``--for`` takes it."""
    from gateway.policy.units import duration

    if text is None:
        return 0.0
    try:
        found = duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param=option) from None
    if not found:
        raise click.BadParameter("leave it out for no end", param=option)
    return found


for_option = click.option(
    "--for", "seconds", callback=seconds, metavar="TIME", help="How long, such as 30m or 2h; by default without end."
)


@click.group(invoke_without_command=True)
@json_option
@gateway_options
@click.pass_context
def quarantine(context: click.Context, as_json: bool, path: Path | None, admin: str | None) -> None:
    """The kill switch: what is stopped (the default); stop an agent, a run, a tool, or everything."""
    if alone(context, as_json, path, admin):
        _list(as_json, path, admin)


@quarantine.command()
@click.argument("scope", type=_SCOPES)
@click.argument("key", nargs=-1, metavar="[AGENT | AGENT RUN | TOOL]")
@for_option
@reason_option
@click.option("--cut", is_flag=True, help="End calls that are under way, too; by default they may finish.")
@gateway_options
def add(
    scope: str, key: tuple[str, ...], seconds: float, reason: str, cut: bool, path: Path | None, admin: str | None
) -> None:
    """Let an agent (AGENT), a run with all that it led to (AGENT RUN), a tool (TOOL), or all make no more calls.

    It holds at once, and for all replicas within a second.
    """
    wanted = {"scope": scope, "key": key, "seconds": seconds, "reason": reason, "by": me(), "cut": cut}
    shown = gateway_at(path, admin).ask("POST", "/api/quarantines", wanted)
    end = f"for {_left(shown)}" if shown["until"] else "until it is lifted"
    click.echo(f"{_name(scope, shown['key'])} is quarantined {end}")
    warn_unless_stored(shown)


@quarantine.command()
@click.argument("scope", type=_SCOPES)
@click.argument("key", nargs=-1, metavar="[AGENT | AGENT RUN | TOOL]")
@unsaid_reason_option
@gateway_options
def lift(scope: str, key: tuple[str, ...], reason: str, path: Path | None, admin: str | None) -> None:
    """Let it make calls again."""
    query = [("scope", scope), *[("key", part) for part in key], ("by", me()), ("reason", reason)]
    answer = gateway_at(path, admin).ask("DELETE", "/api/quarantines", query=query)
    click.echo(f"{_name(scope, list(key))} may make calls again")
    warn_unless_stored(answer)


@quarantine.command(name="list")
@json_option
@gateway_options
def list_(as_json: bool, path: Path | None, admin: str | None) -> None:
    """List what is quarantined."""
    _list(as_json, path, admin)


def _list(as_json: bool, path: Path | None, admin: str | None) -> None:
    from gateway.cli.columns import span, table

    found = gateway_at(path, admin).ask("GET", "/api/quarantines")["quarantines"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    now = time.time()
    rows = [
        (
            each["scope"],
            " ".join(each["key"]),
            _left(each),
            span(now - each["since"]),
            each["by"],
            "yes" if each["cut"] else "",
            each["reason"],
        )
        for each in found
    ]
    for line in table(("SCOPE", "KEY", "LEFT", "SINCE", "BY", "CUT", "REASON"), rows):
        click.echo(line)


def _left(shown: dict[str, float | None]) -> str:
    from gateway.cli.columns import span

    return span(shown["seconds_left"])


def _name(scope: str, key: list[str]) -> str:
    from gateway.policy.visible import visible

    return "everything" if scope == "all" else visible(" ".join((scope, *key)))
