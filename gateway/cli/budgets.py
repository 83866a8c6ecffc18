"""``toolgate budgets``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gateway.cli.operate import gateway_at, gateway_options
from gateway.cli.quarantine import json_option


@click.command()
@json_option
@gateway_options
def budgets(as_json: bool, path: Path | None, admin: str | None) -> None:
    """How budgets stand in a running gateway, those first that have least left."""
    told = gateway_at(path, admin).ask("GET", "/api/budgets")
    found: list[dict[str, Any]] = told["budgets"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    from gateway.cli.columns import table

    head = ("BUDGET", "KEY", "WINDOW", "SPENT", "RESERVED", "LEFT", "USED", "ENDS")
    for line in table(head, [_row(one) for one in found]):
        click.echo(line)
    if told["known"] > len(found):
        click.echo(f"{told['known'] - len(found)} more have more left")


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    from gateway.stores.windows import moment

    unit = one["unit"]
    amounts = [
        f"{one[name]:.2f} USD" if unit == "usd" else f"{one[name]} {unit}" for name in ("spent", "reserved", "left")
    ]
    used = (one["spent"] + one["reserved"]) / one["limit"]
    ends = moment(one["ends"]) if one["ends"] else "-"
    return one["budget"], " ".join(one["key"]) or "*", one["window"], *amounts, f"{used:.0%}", ends
