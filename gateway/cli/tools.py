"""``toolgate tools``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.shared import config_option, show

if TYPE_CHECKING:
    from gateway.cli.pinning import Asked

header_option = click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="Send this to the server, instead of the configured credential of that name.",
)
format_option = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to tell the result."
)
servers_argument = click.argument("servers", nargs=-1, metavar="[TOOL]...")


@click.group()
def tools() -> None:
    """The tools that MCP servers offer, and which of them are approved."""


@tools.command()
@config_option
@click.argument("server", metavar="TOOL")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@header_option
@click.option("--yes", is_flag=True, help="Approve without asking.")
def pin(path: Path, server: str, names: tuple[str, ...], headers: tuple[str, ...], yes: bool) -> None:
    """Approve what the MCP server TOOL offers now, in the file that its pins: names.

    Shows what is not as approved, asks, and writes the file; with NAMEs only for those of the server's tools. Exits 0
    where all of them are approved then, 1 where they are not, 2 where the server cannot be asked.
    """
    from gateway.cli.pin_diff import pinned
    from gateway.cli.pinning import write
    from gateway.cli.tools_text import counted, names_of, tell
    from gateway.policy.pins_text import VERSION

    (asked,) = _asked(path, (server,), headers)
    if asked.file is None:
        raise click.ClickException(f"{server} has no file of pins; write pins: {{file: {server}.pins.yaml}} below it")
    if asked.error:
        sys.exit(2)
    if missing := [name for name in names if name not in asked.offered and name not in asked.pins.tools]:
        raise click.ClickException(f"{server} offers no {names_of(missing)}; it offers {names_of(asked.offered)}")
    found = [one for one in asked.differences if not names or one.tool in names]
    if not found and asked.pins.exists and asked.pins.version == VERSION:
        click.echo(f"{server}: {counted(len(names or asked.offered))} as approved")
        return
    tell(found)
    if found and not yes and not click.confirm(f"Approve {counted(len(found))} of {server}?", err=True):
        sys.exit(1)
    try:
        day = datetime.now(UTC).date().isoformat()
        write(pinned(asked.pins, server, asked.offered, names, day, asked.url), asked.file)
    except OSError as error:
        raise click.ClickException(f"cannot write {asked.file}: {error.strerror or error}") from None
    click.echo(f"{server}: {counted(len(found))} approved, in {asked.file}")


@tools.command()
@config_option
@servers_argument
@header_option
@format_option
def diff(path: Path, servers: tuple[str, ...], headers: tuple[str, ...], form: str) -> None:
    """Show what MCP servers offer that is not as approved: those named, or all that have a file of pins.

    Exits 0 where nothing differs, 1 where something does, 2 where a server cannot be asked.
    """
    from gateway.cli.tools_text import counted, dump, report, tell

    all_asked = _asked(path, servers, headers, with_pins=True)
    if form == "json":
        dump({asked.name: report(asked) for asked in all_asked})
    for asked in all_asked if form == "text" else ():
        if not asked.error:
            found = asked.differences
            tell(found)
            click.echo(
                f"{asked.name}: "
                + (f"{counted(len(found))} not as approved" if found else f"{counted(len(asked.offered))} as approved")
            )
    sys.exit(max(2 if asked.error else 1 if asked.differences else 0 for asked in all_asked))


@tools.command(name="list")
@config_option
@servers_argument
@header_option
@format_option
def list_(path: Path, servers: tuple[str, ...], headers: tuple[str, ...], form: str) -> None:
    """List the tools of the MCP servers named, or of all: what they say of themselves, and whether they are approved.

    Exits 0, or 2 where a server cannot be asked.
    """
    from gateway.cli.tools_text import dump, listed, table

    all_asked = _asked(path, servers, headers)
    if form == "json":
        dump({asked.name: {"error": asked.error or None, "tools": listed(asked)} for asked in all_asked})
    else:
        for line in table(all_asked):
            click.echo(line)
    sys.exit(2 if any(asked.error for asked in all_asked) else 0)


def _asked(path: Path, names: tuple[str, ...], headers: tuple[str, ...], *, with_pins: bool = False) -> list[Asked]:
    """The servers' answers; those that could not be asked are told on standard error already."""
    from gateway.cli.pinning import ask, servers
    from gateway.config.load import attempt

    fields = [_field(text) for text in headers]
    made = attempt(path)
    if made.loaded is None:
        show(made.errors, "error")
        sys.exit(1)
    all_asked = ask(made.loaded, path.parent, servers(made.loaded, names, with_pins=with_pins), fields)
    for asked in all_asked:
        if asked.error:
            click.echo(f"{asked.name}: {click.style('error', fg='red')}: {asked.error}", err=True)
    return all_asked


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    printable = all(" " <= character <= "~" for character in text)
    if not colon or not name.strip() or not value.strip() or " " in name.strip() or not printable:
        raise click.BadParameter("write 'NAME: VALUE' in visible ASCII", param_hint="--header")
    return name.strip(), value.strip()
