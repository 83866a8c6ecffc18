"""``toolgate runs``, and ``show`` of it and of ``toolgate run``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.records import choice_options, json_option, reading, source_options, time_options

if TYPE_CHECKING:
    from gateway.observe.store.runs import Step, Story


@click.group(invoke_without_command=True)
@source_options
@choice_options
@time_options
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Runs, those active last.")
@json_option
@click.pass_context
def runs(
    context: click.Context,
    config: Path | None,
    store: Path | None,
    logs: tuple[Path, ...],
    agent: str,
    tool: str,
    text: str,
    since: float | None,
    until: float | None,
    limit: int,
    as_json: bool,
) -> None:
    """List runs that have such calls, the one active last at the end: what they did, and what they cost.

    A run that others led to counts with the run at the root. Calls without a run are in none.
    """
    if context.invoked_subcommand is not None:
        return
    from gateway.cli.runs_text import table
    from gateway.observe.store.found import Filter

    wanted = Filter(since, until, agent=agent, tool=tool, text=text)
    with reading(config, store, logs) as reader:
        found = reader.runs(time.time(), wanted, limit)[::-1]
    if as_json:
        for one in found:
            _dump(one)
    elif found:
        table(found)
    else:
        click.echo("no such runs", err=True)


@click.command()
@click.argument("run")
@source_options
@click.option("--agent", default="", metavar="NAME", help="Of this agent, where several have a run of that name.")
@json_option
@click.pass_context
def show(
    context: click.Context,
    run: str,
    config: Path | None,
    store: Path | None,
    logs: tuple[Path, ...],
    agent: str,
    as_json: bool,
) -> None:
    """Tell the story of one run: each call, what was decided and why, what came of it and what it cost.

    Exits 1 where there is no such run.
    """
    above = context.parent.params if context.parent is not None else {}
    if config is None and store is None and not logs:  # given before the subcommand
        config, store, logs = above.get("config") or above.get("path"), above.get("store"), above.get("logs") or ()
    with reading(config, store, logs) as reader:
        stories = reader.run(run, time.time(), agent)
    if not stories:
        raise click.ClickException(f"there is no run {run!r}" + (f" of {agent}" if agent else ""))
    if as_json:
        for story in stories:
            _dump(_plain(story))
        return
    from gateway.cli.runs_text import tell

    for story in stories:
        tell(story)


runs.add_command(show)


def _plain(story: Story) -> dict[str, Any]:
    from msgspec import structs

    return {
        **structs.asdict(story.summary),
        "labels": story.labels,
        "transitions": [structs.asdict(one) for one in story.transitions],
        "steps": [_plain_step(step) for step in story.steps],
    }


def _plain_step(step: Step) -> dict[str, Any]:
    from msgspec import structs

    return {
        "record": step.record,
        "proposals": [structs.asdict(one) for one in step.proposals],
        "proposed_by": step.proposed_by or None,
        "loosely": step.loosely,
        "children": [_plain_step(child) for child in step.children],
    }


def _dump(value: Any) -> None:
    from msgspec import json

    click.echo(json.encode(value).decode())
