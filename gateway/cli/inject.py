"""``toolgate inject``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.shared import show

if TYPE_CHECKING:
    from gateway.inject.settings import InjectSettings


@click.command()
@click.option(
    "-c",
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The injector's settings (docs/injection.md).",
)
@click.option("--dry-run", is_flag=True, help="Print what would become of the pod on standard input (YAML), and end.")
@click.option("-n", "--namespace", default="default", show_default=True, help="Its namespace, with --dry-run.")
def inject(path: Path, dry_run: bool, namespace: str) -> None:
    """Serve the Kubernetes webhook that puts a gateway into pods, until SIGTERM or SIGINT.

    Exits 0 then, 1 where it cannot start. With --dry-run it exits 1 where the pod would be denied.
    """
    from gateway.errors import ConfigError
    from gateway.inject.settings import read_settings

    try:
        if dry_run:
            _print(_pod(sys.stdin.read()), namespace, read_settings(path))
            return
        from gateway.inject import server

        server.run(path)
    except ConfigError as error:
        show(error.problems, "error")
        sys.exit(1)


def _pod(text: str) -> dict[str, Any]:
    """The pod in a manifest: itself, or what a Deployment, a Job or the like makes pods of.

    Raises:
        click.ClickException: there is none.
    """
    import yaml

    try:
        thing = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise click.ClickException(f"standard input is no YAML of one object: {error}") from None
    if isinstance(thing, dict) and thing.get("kind") == "Pod":
        return thing
    for step in ("jobTemplate", "template"):
        spec = thing.get("spec") if isinstance(thing, dict) else None
        thing = spec.get(step, thing) if isinstance(spec, dict) else None
    if not isinstance(thing, dict) or "kind" in thing:
        raise click.ClickException("standard input has no pod in it; give a Pod, or what has a spec.template")
    return {"apiVersion": "v1", "kind": "Pod", **thing}


def _print(pod: dict[str, Any], namespace: str, settings: InjectSettings) -> None:
    import jsonpatch
    import yaml

    from gateway.inject.patch import injection

    try:
        made = injection(pod, namespace, settings)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise click.ClickException(f"that is no pod: {error}") from None
    for warning in made.warnings:
        click.echo(f"warning: {warning}", err=True)
    if made.denied:
        raise click.ClickException(f"denied: {made.denied}")
    click.echo(yaml.safe_dump(jsonpatch.apply_patch(pod, list(made.patch)), sort_keys=False), nl=False)
