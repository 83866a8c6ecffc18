"""``toolgate schema``."""

from __future__ import annotations

import click


@click.command()
@click.argument("name", type=click.Choice(["config", "policy"]))
def schema(name: str) -> None:
    """Print the JSON Schema of the configuration file or of policy documents, for editors and other tools."""
    from gateway.config.schemas import text_of

    click.echo(text_of(name), nl=False)
