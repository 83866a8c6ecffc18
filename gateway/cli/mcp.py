"""``toolgate mcp``."""

from __future__ import annotations

import sys

import click


@click.group()
def mcp() -> None:
    """MCP servers."""


@mcp.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--listen", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="0: any free port.")
@click.option("--path", default="/mcp", show_default=True, help="The endpoint's path.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="Set for the server, on top of our environment.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="Answer also to this name in Host and Origin.")
@click.option("--sessions", default=64, show_default=True, type=click.IntRange(1), help="At a time; each a process.")
@click.option("--idle", default=1800.0, show_default=True, type=click.FloatRange(1), help="Seconds a session may rest.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def stdio(
    listen: str,
    path: str,
    env: tuple[str, ...],
    allow_host: tuple[str, ...],
    sessions: int,
    idle: float,
    command: tuple[str, ...],
) -> None:
    """Serve a local MCP server that speaks stdio as Streamable HTTP, until SIGTERM or SIGINT.

    Prints the URL on a line of its own. Example: toolgate mcp stdio --listen 127.0.0.1:9101 -- npx some-server
    """
    host, port = _address(listen)
    if not path.startswith("/") or "{" in path:
        raise click.BadParameter("must start with / and have no braces", param_hint="--path")
    from gateway.bridge.app import Settings
    from gateway.bridge.main import run
    from gateway.cli.shared import show
    from gateway.errors import ConfigError

    settings = Settings(
        command=command,
        env=dict([_pair(text) for text in env]),
        host=host,
        port=port,
        path=path,
        allow_hosts=frozenset([name.lower() for name in allow_host]),
        sessions=sessions,
        idle=idle,
    )
    try:
        run(settings, click.echo)
    except ConfigError as error:
        show(error.problems, "error")
        sys.exit(1)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{text} is not HOST:PORT", param_hint="--listen")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text} is not NAME=VALUE", param_hint="--env")
    return name, value
