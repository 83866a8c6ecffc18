"""``toolgate demo``."""

from __future__ import annotations

import sys

import click


@click.command()
@click.option("--once", is_flag=True, help="Exit after the scripted agent instead of staying up.")
def demo(once: bool) -> None:
    """Start demo tools with a gateway before them, run a scripted agent against it, and show what came of each call."""
    from gateway.demo.main import run

    sys.exit(run(once=once))
