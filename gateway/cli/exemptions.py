"""``toolgate approvals exemptions``."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli.operate import alone, gateway_at, gateway_options, me
from gateway.cli.quarantine import json_option, unsaid_reason_option

_HEAD = ("ID", "LEFT", "USES", "USED", "FOR", "TOOL", "OPERATION", "RULES", "BY", "WHEN")


@click.group(invoke_without_command=True)
@json_option
@gateway_options
@click.pass_context
def exemptions(context: click.Context, as_json: bool, path: Path | None, admin: str | None) -> None:
    """Calls that pass without a person: list what lets them (the default); revoke it."""
    if alone(context, as_json, path, admin):
        _list(as_json, path, admin)


@exemptions.command()
@json_option
@gateway_options
def ls(as_json: bool, path: Path | None, admin: str | None) -> None:
    """List what lets calls pass, the newest first."""
    _list(as_json, path, admin)


@exemptions.command()
@click.argument("ident", metavar="ID")
@unsaid_reason_option
@gateway_options
def revoke(ident: str, reason: str, path: Path | None, admin: str | None) -> None:
    """Let it stand no more: from now on people are asked again, whichever replica sees the call."""
    gateway = gateway_at(path, admin)
    query = [("id", ident), ("reason", reason), *([("by", me())] if gateway.open else [])]
    gone = gateway.ask("DELETE", "/api/exemptions", query=query)["revoked"]
    click.echo(f"{gone['id']} is revoked; it was used {gone['used']} times")


def _list(as_json: bool, path: Path | None, admin: str | None) -> None:
    from gateway.cli.columns import table

    found = gateway_at(path, admin).ask("GET", "/api/exemptions")["exemptions"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for line in table(_HEAD, [_row(one) for one in found]):
        click.echo(line)


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    from gateway.cli.columns import span

    whose = {"run": " ".join(("run", *one["tree"])), "agent": f"agent {one['agent']}"}.get(one["scope"], "everybody")
    return (
        one["id"],
        span(one["until"] - time.time()),
        "-" if one["uses"] is None else str(one["uses"]),
        str(one["used"]),
        whose,
        one["tool"],
        one["operation"],
        ", ".join(one["rules"]),
        one["by"],
        one["when"],
    )
