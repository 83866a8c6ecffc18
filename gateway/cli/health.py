"""``toolgate health``: whether a gateway runs and takes calls, as an exit code. For containers and service managers: it
needs no shell and no other program."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from gateway.cli.operate import Gateway, admin_of, gateway_at, gateway_options, reached_at

PATIENCE = 3.0
"""Seconds for an answer: less than the time-outs that images and probes usually have."""
PAUSE = 0.1
"""Seconds from one question to the next, with ``--wait``."""


@click.command()
@gateway_options
@click.option("--live", is_flag=True, help="Whether it answers at all (/livez), also while it drains.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0, max=600),
    default=0.0,
    metavar="SECONDS",
    help="Ask again for so long until it is.",
)
def health(path: Path | None, admin: str | None, live: bool, wait: float) -> None:
    """Whether the gateway takes calls (/readyz).

    Exits 0 where it does, 1 where it does not or nothing answers, 2 where the options or the configuration are wrong.
    Asks admin.probes where the configuration has it, otherwise the admin address; neither asks for a token.
    """
    try:
        gateway = _at(path, admin)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    target = "/livez" if live else "/readyz"
    until = time.monotonic() + wait
    while (why := _against(gateway, target)) is not None:
        left = until - time.monotonic()
        if left <= 0:
            click.echo(why, err=True)
            sys.exit(1)
        time.sleep(min(PAUSE, left))
    click.echo("alive" if live else "ready")


def _at(path: Path | None, admin: str | None) -> Gateway:
    if admin is None and path is not None and (probes := admin_of(path).probes) is not None:
        return Gateway(f"http://{reached_at(path, probes)}", None)
    return gateway_at(path, admin)


def _against(gateway: Gateway, target: str) -> str | None:
    """What speaks against it being well; None where nothing does.

    Raises:
        click.ClickException: the certificate to believe cannot be read.
    """
    try:
        status, word = gateway.probe(target, PATIENCE)
    except OSError as error:
        return f"no gateway answers at {gateway.url}: {error}"
    return None if status == 200 else f"{gateway.url}{target} answers {status}: {word}"
