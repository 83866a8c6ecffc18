"""What waits for a person, as a table; and each change of it, as it comes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import click

from gateway.cli.operate import Gateway

AGAIN = 1.0
"""Seconds after which a stream that has ended is asked for again."""


def list_now(gateway: Gateway, query: list[tuple[str, str]], as_json: bool) -> None:
    """Tell of what fits now. ``query`` is that of the admin API."""
    from gateway.cli.approvals_text import HEAD, row
    from gateway.cli.columns import table

    told = gateway.ask("GET", "/api/approvals", query=query)
    if as_json:
        click.echo(json.dumps(told["approvals"], indent=2))
        return
    for line in table(HEAD, [row(one) for one in told["approvals"]]):
        click.echo(line)
    if told["total"] > len(told["approvals"]):
        click.echo(f"{len(told['approvals'])} of {told['total']}; --limit shows more", err=True)


def watch_changes(gateway: Gateway, query: list[tuple[str, str]], as_json: bool) -> None:
    """A line for each that waits, then for each change. Never ends by itself."""
    fits = {name: value for name, value in query if name in ("tool", "agent", "rule")}
    at = ""
    while True:
        try:
            for ident, name, one in gateway.events("/api/approvals/stream", at):
                at = ident
                found = [one] if name == "approval" and _fits(one, fits) else []
                if name == "reset":
                    found = gateway.ask("GET", "/api/approvals", query=[*query, ("order", "age")])["approvals"]
                for each in found:
                    _tell(each, as_json)
        except click.ClickException as error:
            if not at:
                raise
            click.echo(f"{error.message}; trying again", err=True)
        time.sleep(AGAIN)


def _tell(one: Mapping[str, Any], as_json: bool) -> None:
    from gateway.cli.approvals_text import change

    click.echo(json.dumps(one) if as_json else f"{time.strftime('%H:%M:%S')}  {change(one)}")


def _fits(one: Mapping[str, Any], fits: Mapping[str, str]) -> bool:
    wanted = fits.get("rule")
    rules = [name for rule in one["rules"] for name in (rule, rule.partition("/")[0])]
    same = all(one[name] == fits[name] for name in ("tool", "agent") if name in fits)
    return same and (wanted is None or wanted in rules)
