"""``toolgate pools``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gateway.cli.operate import gateway_at, gateway_options
from gateway.cli.quarantine import json_option


@click.command()
@json_option
@gateway_options
def pools(as_json: bool, path: Path | None, admin: str | None) -> None:
    """Who has places in the pools of a running gateway, and who waits for them."""
    found: list[dict[str, Any]] = gateway_at(path, admin).ask("GET", "/api/pools")["pools"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    from gateway.cli.columns import table

    head = ("POOL", "TOOL", "AGENT", "IN FLIGHT", "WAITING", "SINCE", "WEIGHT", "PRIORITY", "TURNED AWAY")
    for line in table(head, [row for pool in found for row in _rows(pool)]):
        click.echo(line)
    unlisted = sum(pool["agents_known"] - len(pool["agents"]) for pool in found)
    if unlisted:
        click.echo(f"{unlisted} more agents have fewer calls waiting")


def _rows(pool: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The pool as a whole, then its agents."""
    from gateway.cli.columns import span

    name, away = (pool["pool"], pool["tool"]), ", ".join(f"{n} {why}" for why, n in pool["turned_away"].items() if n)
    yield *name, "*", f"{pool['in_flight']}/{pool['limit']}", str(pool["waiting"]), "-", "", "", away or "-"
    for one in pool["agents"]:
        calls = (str(one["in_flight"]), str(one["waiting"]), span(one["waited"]) if one["waiting"] else "-")
        yield *name, one["agent"], *calls, f"{one['weight']:g}", str(one["priority"]), ""
