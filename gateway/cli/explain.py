"""``toolgate explain``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.shared import show

if TYPE_CHECKING:
    from gateway.config.load import Loaded

REFUSED = 3
"""Exit code with --exit-code where the call is not allowed."""


@click.command()
@click.option("-c", "--config", type=click.Path(path_type=Path), metavar="FILE", help="The configuration file.")
@click.argument("call", required=False, type=click.Path(path_type=Path), metavar="[CALL.yaml|-]")
@click.option("--call-id", metavar="ID", help="Tell of a call that was made (X-Toolgate-Call) instead.")
@click.option("--trace", type=click.Path(path_type=Path), metavar="FILE", help="The trace log, for --call-id.")
@click.option("--json", "as_json", is_flag=True, help="Tell it as JSON.")
@click.option("--exit-code", is_flag=True, help="Exit 3 where the call is refused, or its verdict is not known.")
def explain(
    config: Path | None, call: Path | None, call_id: str | None, trace: Path | None, as_json: bool, exit_code: bool
) -> None:
    """Explain what the policies make of one call, why, and what would have to be otherwise.

    CALL.yaml (or JSON, or - for standard input) describes the call: agent, roles, run, tool, method, path, query,
    headers, and args or body. Nothing is sent, no counter moves. With --call-id and --trace, a recorded call is told;
    with -c too, it is explained by the policies as they are now, as far as its record knows what they read.

    Exits 0 where it is explained, allowed or refused; 1 where a file cannot be used, or there is no such call; 2 where
    the options do not go together; 3 with --exit-code.
    """
    if call_id is not None and trace is not None and call is None:
        decision = _recorded(call_id, trace, config, as_json)
    elif config is not None and call is not None and call_id is None and trace is None:
        decision = _described(config, call, as_json)
    else:
        raise click.UsageError("give -c FILE and CALL.yaml, or --call-id ID and --trace FILE, or all but CALL.yaml")
    sys.exit(REFUSED if exit_code and decision != "allow" else 0)


def _recorded(call_id: str, trace: Path, config: Path | None, as_json: bool) -> str:
    from gateway.cli import story

    loaded = None if config is None else _loaded(config)
    record = story.record_of(call_id, trace)
    if loaded is None:
        if as_json:
            _dump(record)
        else:
            story.tell(record)
        return str(record.get("decision") or "")
    from gateway.cli.explanation_recorded import explanation_of_record

    return _told(explanation_of_record(record, loaded), as_json)


def _described(config: Path, path: Path, as_json: bool) -> str:
    from time import time

    from gateway.cli.call import call_of, described
    from gateway.cli.explanation import explanation_of, refused_early
    from gateway.errors import ConfigError, Refused, refusal_of

    loaded = _loaded(config)
    try:
        call = described(path, loaded)
    except ConfigError as error:
        show(error.problems, "error")
        sys.exit(1)
    try:
        explanation = explanation_of(call_of(call, loaded).arrived(time()), loaded)
    except Refused as refused:
        explanation = refused_early(refusal_of(refused), loaded)
    return _told(explanation, as_json)


def _told(explanation: dict[str, Any], as_json: bool) -> str:
    """Write the explanation; give its verdict."""
    if as_json:
        _dump(explanation)
    else:
        from gateway.cli.explanation_text import tell

        tell(explanation)
    return str(explanation["verdict"]["decision"])


def _loaded(config: Path) -> Loaded:
    from gateway.config.load import load
    from gateway.errors import ConfigError

    try:
        return load(config)
    except ConfigError as error:
        show(error.problems, "error")
        sys.exit(1)


def _dump(value: dict[str, Any]) -> None:
    import orjson

    click.echo(orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())
