"""``toolgate breakers``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gateway.cli.operate import alone, gateway_at, gateway_options, me, warn_unless_stored
from gateway.cli.quarantine import for_option, json_option, reason_option, unsaid_reason_option

key_argument = click.argument("key", nargs=-1, metavar="[TOOL [OPERATION]]")


@click.group(invoke_without_command=True)
@json_option
@gateway_options
@click.pass_context
def breakers(context: click.Context, as_json: bool, path: Path | None, admin: str | None) -> None:
    """Circuit breakers: how they stand (the default), and an operator's word on them."""
    if alone(context, as_json, path, admin):
        _list(as_json, path, admin)


@breakers.command(name="list")
@json_option
@gateway_options
def list_(as_json: bool, path: Path | None, admin: str | None) -> None:
    """List circuits, open ones first."""
    _list(as_json, path, admin)


@breakers.command(name="open")
@click.argument("name")
@key_argument
@for_option
@reason_option
@gateway_options
def open_(name: str, key: tuple[str, ...], seconds: float, reason: str, path: Path | None, admin: str | None) -> None:
    """Hold a breaker open: its calls are refused, for one tool or operation, or for all that it guards."""
    _say(name, key, "open", seconds, reason, path, admin)


@breakers.command()
@click.argument("name")
@key_argument
@for_option
@unsaid_reason_option
@gateway_options
def close(name: str, key: tuple[str, ...], seconds: float, reason: str, path: Path | None, admin: str | None) -> None:
    """Hold a breaker closed: its calls are made, however many of them fail."""
    _say(name, key, "closed", seconds, reason, path, admin)


@breakers.command()
@click.argument("name")
@key_argument
@unsaid_reason_option
@gateway_options
def auto(name: str, key: tuple[str, ...], reason: str, path: Path | None, admin: str | None) -> None:
    """Take an operator's word back: the breaker opens and closes by itself again."""
    _say(name, key, "auto", 0.0, reason, path, admin)


def _say(
    name: str, key: tuple[str, ...], state: str, seconds: float, reason: str, path: Path | None, admin: str | None
) -> None:
    wanted = {"name": name, "key": key, "state": state, "seconds": seconds, "reason": reason, "by": me()}
    answer = gateway_at(path, admin).ask("POST", "/api/breakers", wanted)
    _print(answer["breakers"])
    warn_unless_stored(answer)


def _list(as_json: bool, path: Path | None, admin: str | None) -> None:
    found = gateway_at(path, admin).ask("GET", "/api/breakers")["breakers"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print(found)


def _print(found: list[dict[str, Any]]) -> None:
    from gateway.cli.columns import span, table

    rows = [
        (
            one["name"],
            " ".join(one["key"]) or "*",
            one["state"],
            str(one["failures"]),
            span(one["probe_in"]) if one["state"] == "open" else "-",
            "" if one["word"] is None else f"{one['word']['by']}: {one['word']['reason']}",
        )
        for one in found
    ]
    for line in table(("BREAKER", "KEY", "STATE", "FAILURES", "PROBE IN", "HELD BY"), rows):
        click.echo(line)
