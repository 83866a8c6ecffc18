"""``toolgate memory``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import click

from gateway.cli.operate import gateway_at, gateway_options, me
from gateway.cli.quarantine import json_option, unsaid_reason_option

at_option = click.option("--at", default="", metavar="VERSION", help="As it stood at this version.")
limit_option = click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000), help="So many.")


@click.group()
def memory() -> None:
    """The shared memory of a running gateway: what it holds, who wrote it, its backup."""


@memory.command()
@json_option
@gateway_options
def namespaces(as_json: bool, path: Path | None, admin: str | None) -> None:
    """List the namespaces that hold something."""
    from gateway.cli.columns import table

    found = gateway_at(path, admin).ask("GET", "/api/memory")["namespaces"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [
        (
            one["namespace"],
            str(one["items"]),
            str(one["size"]),
            str(one["former"]),
            one["version"],
            "" if one["configured"] else "not configured any more",
        )
        for one in found
    ]
    for line in table(("NAMESPACE", "ITEMS", "BYTES", "HISTORY", "VERSION", ""), rows):
        click.echo(line)


@memory.command()
@click.argument("namespace")
@click.argument("prefix", default="")
@click.option("--after", default="", metavar="KEY", help="Go on after this key.")
@at_option
@limit_option
@json_option
@gateway_options
def ls(
    namespace: str,
    prefix: str,
    after: str,
    at: str,
    limit: int,
    as_json: bool,
    path: Path | None,
    admin: str | None,
) -> None:
    """List what stands under keys that begin with PREFIX."""
    query = [("prefix", prefix), ("after", after), ("at", at), ("limit", str(limit))]
    found = gateway_at(path, admin).ask("GET", _at(namespace), query=query)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    _table(found["items"])
    if found["next"] is not None:
        click.echo(f"there is more: --after {found['next']}", err=True)


@memory.command()
@click.argument("namespace")
@click.argument("key")
@at_option
@json_option
@gateway_options
def get(namespace: str, key: str, at: str, as_json: bool, path: Path | None, admin: str | None) -> None:
    """Show a value; with --json also who wrote it, when, in which run."""
    found = gateway_at(path, admin).ask("GET", f"{_at(namespace)}/value", query=[("key", key), ("at", at)])
    if as_json or found["kind"] == "json":
        click.echo(json.dumps(found if as_json else found["value"], indent=2))
    else:
        from gateway.policy.visible import visible

        click.echo(visible(found["value"]))


@memory.command()
@click.argument("namespace")
@click.argument("key")
@limit_option
@json_option
@gateway_options
def history(namespace: str, key: str, limit: int, as_json: bool, path: Path | None, admin: str | None) -> None:
    """List the versions of a value that are kept, the newest first."""
    query = [("key", key), ("limit", str(limit)), *([("values", "")] if as_json else [])]
    found = gateway_at(path, admin).ask("GET", f"{_at(namespace)}/history", query=query)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    _table(found["items"])


@memory.command()
@click.argument("namespace")
@click.option("-o", "--output", type=click.File("wb", atomic=True), default="-", metavar="FILE", help="Where to.")
@gateway_options
def export(namespace: str, output: IO[bytes], path: Path | None, admin: str | None) -> None:
    """Write a backup of a namespace, as lines of JSON, all as of one version."""
    last = b""
    for line in gateway_at(path, admin).lines("GET", f"{_at(namespace)}/export"):
        output.write(line)
        last = line
    if not last.startswith(b'{"items":'):
        raise click.ClickException("the export has broken off: its last line is missing")
    click.echo(f"{json.loads(last)['items']} items", err=True)


@memory.command(name="import")
@click.argument("namespace")
@click.argument("file", type=click.File("rb"), default="-")
@unsaid_reason_option
@gateway_options
def load(namespace: str, file: IO[bytes], reason: str, path: Path | None, admin: str | None) -> None:
    """Put an export in the place of all that NAMESPACE holds. Versions that agents have read before count no more."""
    gateway = gateway_at(path, admin)
    query = [("reason", reason), *([("by", me())] if gateway.open else [])]
    told = b"".join(gateway.lines("POST", f"{_at(namespace)}/import", _pieces(file), query))
    click.echo(f"{json.loads(told)['items']} items", err=True)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(64 * 1024):
        yield piece


def _at(namespace: str) -> str:
    return f"/api/memory/{quote(namespace, safe='')}"


def _table(items: list[dict[str, Any]]) -> None:
    from gateway.cli.columns import table

    rows = [
        (
            one["key"],
            "removed" if one.get("deleted") else f"{one['size']} {one['kind']}",
            one["version"],
            one["written"],
            one["by"]["agent"] or "(expired)",
            one["by"]["run"],
            ", ".join(one["labels"]),
        )
        for one in items
    ]
    for line in table(("KEY", "BYTES", "VERSION", "WRITTEN", "BY", "RUN", "LABELS"), rows):
        click.echo(line)
