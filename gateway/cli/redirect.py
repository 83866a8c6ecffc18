"""``toolgate redirect``: what processes of this network namespace send out goes through the gateway, or nowhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.cli.redirect_rules import REMOVAL, Direct, nameservers, read_direct, ruleset

_F = TypeVar("_F", bound=Callable[..., Any])
_SECONDS = 30
"""For ``nft``, which takes some milliseconds."""
_ELSEWHERE = "/usr/sbin:/sbin:/usr/local/sbin"
"""Where it is too, when the path has been cut down to what users need."""


def _options(command: _F) -> _F:
    for option in reversed(
        (
            click.option(
                "--uid",
                type=click.IntRange(min=1, max=2**32 - 2),
                required=True,
                help="The user that the gateway runs as, and nobody else: it is let out.",
            ),
            click.option(
                "--port",
                type=click.IntRange(1, 65535),
                default=15001,
                show_default=True,
                help="The gateway's listen_transparent.",
            ),
            click.option(
                "--dns",
                "resolvers",
                multiple=True,
                metavar="ADDRESS",
                callback=_addresses,
                help="Who may be asked for names; none: the nameservers in /etc/resolv.conf.",
            ),
            click.option("--no-dns", is_flag=True, help="Nobody may be asked for names."),
            click.option(
                "--direct",
                multiple=True,
                metavar="ADDRESS[/BITS][:PORT]",
                callback=_places,
                help="Processes may connect there past the gateway: no policy sees it.",
            ),
        )
    ):
        command = option(command)
    return command


def _addresses(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if nameservers(f"nameserver {value}") != [value]:
            raise click.BadParameter(f"{value!r} is no address", context, option)
    return values


def _places(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[Direct]:
    try:
        return [read_direct(value) for value in values]
    except ValueError as error:
        hint = "write 10.0.0.0/8, 10.1.2.3:5432 or [fd00::/8]:5432"
        raise click.BadParameter(f"{error}; {hint}", context, option) from None


@click.group()
def redirect() -> None:
    """Lead what processes here send out to the gateway (Linux; the rules are nftables').

    TCP goes to the gateway's listen_transparent, names may be asked for, all else is refused: no process but the
    gateway's user gets out. It holds for the network namespace in which it is run, such as a pod's.
    """


@redirect.command("apply")
@_options
def apply(uid: int, port: int, resolvers: Sequence[str], no_dns: bool, direct: Sequence[Direct]) -> None:
    """Install the rules, instead of those of an earlier apply. Needs CAP_NET_ADMIN and the command nft.

    All of them take effect, or none. Exits 1 where they cannot.
    """
    _nft(_rules(uid, port, resolvers, no_dns, direct))
    click.echo(f"connections lead to port {port}, but those of uid {uid}")


@redirect.command("print")
@_options
def show(uid: int, port: int, resolvers: Sequence[str], no_dns: bool, direct: Sequence[Direct]) -> None:
    """Print the rules as a script for: nft -f -"""
    click.echo(_rules(uid, port, resolvers, no_dns, direct), nl=False)


@redirect.command("remove")
def remove() -> None:
    """Remove the rules: processes connect as if there were no gateway. Needs what apply needs."""
    _nft(REMOVAL)
    click.echo("connections are not redirected")


def _rules(uid: int, port: int, resolvers: Sequence[str], no_dns: bool, direct: Sequence[Direct]) -> str:
    if no_dns and resolvers:
        raise click.UsageError("--dns says who may be asked for names, and --no-dns that nobody may: give one of them")
    if not no_dns and not resolvers:
        file = Path("/etc/resolv.conf")
        try:
            resolvers = nameservers(file.read_text(errors="replace"))
        except OSError as error:
            raise click.ClickException(f"cannot read {file}: {error.strerror}; give --dns or --no-dns") from None
        if not resolvers:
            raise click.ClickException(f"{file} names no nameserver; give --dns or --no-dns")
    return ruleset(uid, port, resolvers, direct)


def _nft(script: str) -> None:
    """Have ``nft`` do it.

    Raises:
        click.ClickException: it is not there, or did not.
    """
    command = shutil.which("nft") or shutil.which("nft", path=_ELSEWHERE)
    if command is None:
        raise click.ClickException("there is no nft here; install nftables, or take toolgate redirect print elsewhere")
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command, and a script of addresses and numbers
            [command, "-f", "-"], input=script, text=True, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise click.ClickException(f"{command} did not do it: {error}") from None
    if done.returncode:
        said = done.stderr.strip() or f"exit status {done.returncode}"
        needs = "; it needs CAP_NET_ADMIN (in a pod: run as root with that capability)" if os.getuid() else ""
        raise click.ClickException(f"nft changed nothing: {said}{needs}")
