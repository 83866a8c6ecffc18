"""``toolgate explain``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from gateway.cli.shared import show


@click.command()
@click.option("-c", "--config", type=click.Path(path_type=Path), metavar="FILE", help="The configuration file.")
@click.argument("call", required=False, type=click.Path(path_type=Path), metavar="[CALL.yaml|-]")
@click.option("--call-id", metavar="ID", help="Tell the story of a call that was made (X-Toolgate-Call) instead.")
@click.option("--trace", type=click.Path(path_type=Path), metavar="FILE", help="The trace log, for --call-id.")
@click.option("--json", "as_json", is_flag=True, help="Tell it as JSON.")
def explain(config: Path | None, call: Path | None, call_id: str | None, trace: Path | None, as_json: bool) -> None:
    """Explain what the policies make of one call, and why.

    CALL.yaml (or JSON, or - for standard input) describes the call: agent, roles, run, tool, method, path, query,
    headers, and args or body. Nothing is sent, no counter moves. With --call-id and --trace, a recorded call is told.
    """
    if call_id is not None and trace is not None and call is None:
        _recorded(call_id, trace, as_json)
    elif config is not None and call is not None and call_id is None and trace is None:
        _described(config, call, as_json)
    else:
        raise click.UsageError("give -c FILE and CALL.yaml, or --call-id ID and --trace FILE")


def _recorded(call_id: str, trace: Path, as_json: bool) -> None:
    from gateway.cli import story

    record = story.record_of(call_id, trace)
    if as_json:
        _dump(record)
    else:
        story.tell(record)


def _described(config: Path, path: Path, as_json: bool) -> None:
    from gateway.cli.call import call_of, described
    from gateway.cli.explanation import explanation_of, refused_early
    from gateway.cli.explanation_text import tell
    from gateway.config.load import load
    from gateway.errors import ConfigError, Refused

    try:
        loaded = load(config)
        call = described(path, loaded)
    except ConfigError as error:
        show(error.problems, "error")
        sys.exit(1)
    try:
        explanation = explanation_of(call_of(call, loaded), loaded)
    except Refused as refused:
        explanation = refused_early(refused, loaded)
    if as_json:
        _dump(explanation)
    else:
        tell(explanation)


def _dump(value: dict[str, Any]) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())
