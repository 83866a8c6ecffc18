"""``toolgate run``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli.shared import config_option


@click.command()
@config_option
def run(path: Path) -> None:
    """Run the gateway until SIGTERM or SIGINT.

    Exits 0 after a drain, 1 where it cannot start. Changed files take effect by themselves; SIGHUP asks for it.
    """
    from gateway import app
    from gateway.cli.shared import show
    from gateway.errors import ConfigError

    try:
        app.run(str(path))
    except ConfigError as error:
        show(error.problems, "error")
        sys.exit(1)
