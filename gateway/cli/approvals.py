"""``toolgate approvals``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from gateway.cli.approvals_list import list_now, watch_changes
from gateway.cli.approvals_verdicts import confirm_edit, decide, decide_many, edit_of, one_of, proposed, who
from gateway.cli.calibration import register
from gateway.cli.exemptions import exemptions
from gateway.cli.operate import alone, gateway_at, gateway_options
from gateway.cli.quarantine import json_option, seconds

_SCOPES = {"run": "run", "agent": "agent", "all": "everybody"}

by_option = click.option(
    "--by", metavar="NAME", help="Who decides, where the gateway asks for no token; by default this user."
)
message_option = click.option("-m", "--message", default="", metavar="TEXT", help="What the model is told.")


@click.group(invoke_without_command=True)
@json_option
@gateway_options
@click.pass_context
def approvals(context: click.Context, as_json: bool, path: Path | None, admin: str | None) -> None:
    """Calls that wait for a person: list them (the default), look at one, decide."""
    if alone(context, as_json, path, admin):
        list_now(gateway_at(path, admin), [], as_json)


@approvals.command()
@click.option("--state", metavar="STATE", help="waiting (the default), open, closed, all, or states with commas.")
@click.option("--tool", metavar="TOOL", help="Only calls of this tool.")
@click.option("--agent", metavar="AGENT", help="Only calls of this agent.")
@click.option("--rule", metavar="RULE", help="Only what this rule holds: POLICY/RULE, or all of POLICY.")
@click.option(
    "--order",
    type=click.Choice(["value", "age", "expires", "newest"]),
    help="By what a look is worth (the default), the oldest, what expires soonest, or the newest first.",
)
@click.option("--limit", type=click.IntRange(1, 1000), help="So many at most; by default 100.")
@click.option("--watch", is_flag=True, help="Go on with a line for each change, until it is interrupted.")
@json_option
@gateway_options
def ls(watch: bool, as_json: bool, path: Path | None, admin: str | None, **query: Any) -> None:
    """List what waits, what is worth a look most first."""
    gateway = gateway_at(path, admin)
    asked = [(name, str(value)) for name, value in query.items() if value is not None]
    if not watch:
        list_now(gateway, asked, as_json)
        return
    if query["state"] is not None or query["order"] is not None:
        raise click.UsageError("--watch tells of every change, whatever its state, as it comes")
    try:
        watch_changes(gateway, asked, as_json)
    except KeyboardInterrupt:
        return


@approvals.command()
@click.argument("ident", metavar="ID")
@json_option
@gateway_options
def show(ident: str, as_json: bool, path: Path | None, admin: str | None) -> None:
    """Show one: what is asked, by whom, why it is held, what it would do, what people said.

    The beginning of an ID will do.
    """
    one = one_of(gateway_at(path, admin), ident)
    if as_json:
        click.echo(json.dumps(one, indent=2))
        return
    from gateway.cli.approvals_text import whole

    for line in whole(one):
        click.echo(line)


@approvals.command()
@click.argument("idents", metavar="ID...", nargs=-1, required=True)
@message_option
@click.option("--like", metavar="CEL", help="Let calls pass from now on for which this is true, such as this one.")
@click.option("--like-this", type=click.IntRange(1, 3), help="The same, as proposed: 1 narrow, 2 wider, 3 widest.")
@click.option(
    "--for", "scope", type=click.Choice(list(_SCOPES)), help="With --like: whose calls; by default the run's."
)
@click.option("--uses", type=click.IntRange(1), help="With --like: so many calls; by default without bound.")
@click.option(
    "--until", "seconds", callback=seconds, metavar="TIME", help="With --like: so long, as 2h; by default 1d."
)
@click.option("--yes", is_flag=True, help="Do not ask where somebody has put in other arguments.")
@by_option
@gateway_options
def approve(
    idents: tuple[str, ...],
    message: str,
    like: str | None,
    like_this: int | None,
    scope: str | None,
    uses: int | None,
    seconds: float,
    yes: bool,
    by: str | None,
    path: Path | None,
    admin: str | None,
) -> None:
    """Let calls be made, as they were asked for.

    With --like or --like-this, calls like it are not asked about again.
    """
    if like is not None and like_this is not None:
        raise click.UsageError("give --like or --like-this, not both")
    wanted = like is not None or like_this is not None
    if not wanted and (scope or uses or seconds):
        raise click.UsageError("--for, --uses and --until say which calls are like it: add --like or --like-this")
    if wanted and len(idents) > 1:
        raise click.UsageError("calls like one call can be let pass, not like several")
    gateway = gateway_at(path, admin)
    decision: dict[str, Any] = {"verb": "approve", "message": message, **who(gateway, by)}
    if len(idents) > 1:
        decide_many(gateway, idents, decision)
        return
    one = one_of(gateway, idents[0])
    if one["edit"] is not None and not yes:
        confirm_edit(one)
    if wanted:
        when = like if like is not None else proposed(gateway, one["id"], like_this or 1)
        decision["like"] = {"when": when, "scope": _SCOPES[scope or "run"], "uses": uses or 0, "seconds": seconds}
        click.echo(f"calls like it pass from now on where {when}")
    decide(gateway, one, {**decision, "shown": edit_of(one)})


@approvals.command()
@click.argument("idents", metavar="ID...", nargs=-1, required=True)
@message_option
@by_option
@gateway_options
def deny(idents: tuple[str, ...], message: str, by: str | None, path: Path | None, admin: str | None) -> None:
    """Let calls not be made; the model reads the message, so say what it should do instead."""
    gateway = gateway_at(path, admin)
    decision = {"verb": "deny", "message": message, **who(gateway, by)}
    if len(idents) > 1:
        decide_many(gateway, idents, decision)
    else:
        decide(gateway, one_of(gateway, idents[0]), decision)


@approvals.command()
@click.argument("ident", metavar="ID")
@click.option(
    "--set", "sets", multiple=True, metavar="PATH=VALUE", help="Another value: args.amount=50. JSON, or text."
)
@click.option("--unset", "unsets", multiple=True, metavar="PATH", help="Without this one: args.cc.")
@click.option("--args", "file", metavar="FILE.json", help="All arguments; - is standard input.")
@click.option("--yes", is_flag=True, help="Do not ask after showing what differs.")
@by_option
@gateway_options
def edit(
    ident: str,
    sets: tuple[str, ...],
    unsets: tuple[str, ...],
    file: str | None,
    yes: bool,
    by: str | None,
    path: Path | None,
    admin: str | None,
) -> None:
    """Let a call be made with other arguments, which are judged anew. Shows what differs, and asks."""
    from gateway.cli.approvals_args import changed_args, read_json
    from gateway.cli.approvals_text import diff

    if (file is None) == (not sets and not unsets):
        raise click.UsageError("give --set and --unset, or --args")
    gateway = gateway_at(path, admin)
    one = one_of(gateway, ident)
    began = time.monotonic()
    before = one["edit"]["args"] if one["edit"] is not None else (one["payload"] or {}).get("args")
    if before is None:
        raise click.ClickException("no arguments of this call are known, so none can be changed")
    after = changed_args(before, sets, unsets) if file is None else read_json(file)
    if not isinstance(after, dict):
        raise click.ClickException(f"{file} must hold an object with all arguments")
    if after == before:
        raise click.ClickException("nothing differs; to let the call be made as it is, approve it")
    for line in diff(before, after):
        click.echo(line)
    if not yes:
        click.confirm("let it be made so?", abort=True)
    seen = time.monotonic() - began
    decide(gateway, one, {"verb": "edit", "args": after, "shown": edit_of(one), "seen": seen, **who(gateway, by)})


@approvals.command()
@click.argument("ident", metavar="ID")
@click.argument("text", required=False)
@click.option("--json", "file", metavar="FILE", help="The answer as JSON; - is standard input.")
@by_option
@gateway_options
def answer(
    ident: str, text: str | None, file: str | None, by: str | None, path: Path | None, admin: str | None
) -> None:
    """Give the agent the result yourself; the tool is not asked."""
    from gateway.cli.approvals_args import read_json

    if (text is None) == (file is None):
        raise click.UsageError("give the answer as TEXT, or as --json FILE")
    gateway = gateway_at(path, admin)
    said = text if file is None else read_json(file)
    decide(gateway, one_of(gateway, ident), {"verb": "answer", "answer": said, **who(gateway, by)})


@approvals.command()
@click.argument("ident", metavar="ID")
@click.argument("paths", metavar="[PATH...]", nargs=-1)
@by_option
@gateway_options
def endorse(ident: str, paths: tuple[str, ...], by: str | None, path: Path | None, admin: str | None) -> None:
    """Let a call be made, and its values (args.to) be used in this run from now on.

    Without a PATH, all that the rules read.
    """
    gateway = gateway_at(path, admin)
    one = one_of(gateway, ident)
    decide(gateway, one, {"verb": "endorse", "endorse": paths, "shown": edit_of(one), **who(gateway, by)})


@approvals.command()
@click.argument("ident", metavar="ID")
@click.argument("text")
@by_option
@gateway_options
def ask(ident: str, text: str, by: str | None, path: Path | None, admin: str | None) -> None:
    """Ask back: the model reads the question with its next try. It goes on waiting."""
    gateway = gateway_at(path, admin)
    decide(gateway, one_of(gateway, ident), {"verb": "ask", "message": text, **who(gateway, by)})


approvals.add_command(exemptions)
register(approvals)
