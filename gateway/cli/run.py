"""``toolgate run``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from gateway.cli.runs import show as show_run
from gateway.cli.shared import CONFIG_VARIABLE

if TYPE_CHECKING:
    from gateway.config.load import Loaded


@click.group(invoke_without_command=True)
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar=CONFIG_VARIABLE,
    help="The configuration file; by default that in TOOLGATE_CONFIG.  [required]",
)
@click.pass_context
def run(context: click.Context, path: Path | None) -> None:
    """Run the gateway until SIGTERM or SIGINT.

    Exits 0 after a drain, 1 where it cannot start. Changed files take effect by themselves; SIGHUP asks for it.
    """
    if context.invoked_subcommand is not None:
        return
    if path is None:
        option = next(one for one in context.command.params if one.name == "path")
        raise click.MissingParameter(ctx=context, param=option)
    if not path.exists() and context.get_parameter_source("path") is ParameterSource.ENVIRONMENT:
        raise click.ClickException(
            f"there is no configuration at {path}, where {CONFIG_VARIABLE} says it is; in a container, mount the folder"
            f" that has it: -v ./toolgate:{path.parent}:ro"
        )
    from gateway import app
    from gateway.cli.shared import show
    from gateway.errors import ConfigError

    try:
        app.run(str(path), _changes_of)
    except ConfigError as error:
        show(error.problems, "error")
        sys.exit(1)


def _changes_of(record: dict[str, Any], loaded: Loaded) -> list[str]:
    """What would have changed a call, for its page; what tells it is loaded when somebody first asks."""
    from gateway.cli.explanation_lines import changes_of

    return changes_of(record, loaded)


run.add_command(show_run)
