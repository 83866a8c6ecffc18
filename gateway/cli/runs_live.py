"""``toolgate runs live``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gateway.cli.operate import gateway_at, gateway_options
from gateway.cli.quarantine import json_option


@click.command()
@click.option("--agent", metavar="AGENT", help="Only runs of this agent.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="So many at most.")
@json_option
@gateway_options
def live(agent: str | None, limit: int, as_json: bool, path: Path | None, admin: str | None) -> None:
    """List the runs that a running gateway remembers, the one with the latest call first."""
    from gateway.cli.columns import span, table

    query = [("limit", str(limit)), *([("agent", agent)] if agent is not None else [])]
    answer = gateway_at(path, admin).ask("GET", "/api/runs", query=query)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    rows = [
        (
            run["agent"],
            run["run"],
            str(run["steps"]),
            str(run["errors_in_row"]),
            f"{run['cost_usd']:.4f}",
            span(run["age"]),
            span(run["idle"]),
            "quarantined" if run["quarantined"] else "",
            ", ".join(run["labels"]),
        )
        for run in answer["runs"]
    ]
    for line in table(("AGENT", "RUN", "STEPS", "ERRORS", "USD", "AGE", "IDLE", "", "LABELS"), rows):
        click.echo(line)
    if answer["known"] > len(rows):
        click.echo(f"{len(rows)} of {answer['known']}; --limit shows more", err=True)
