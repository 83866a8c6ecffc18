"""``toolgate schema``."""

from __future__ import annotations

import click


@click.command()
@click.argument("name", type=click.Choice(["config", "policy", "test"]))
def schema(name: str) -> None:
    """Print the JSON Schema of the configuration, of policies or of their tests, for editors and other tools."""
    from gateway.config.schemas import text_of

    click.echo(text_of(name), nl=False)
