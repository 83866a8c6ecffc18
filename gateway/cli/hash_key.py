"""``toolgate hash-key``."""

from __future__ import annotations

import hashlib
import secrets
import sys

import click


@click.command("hash-key")
def hash_key() -> None:
    """Print the SHA-256 of an API key, for identify.api_key or admin.users.

    Reads the key from standard input; on a terminal, makes a random one. Agents and people get the key, the
    configuration the hash.
    """
    if sys.stdin.isatty():
        key = "tg_" + secrets.token_urlsafe(32)
        click.echo(f"key (give it to the agent, it is not kept): {key}", err=True)
    else:
        key = sys.stdin.readline().rstrip("\r\n")
        if not key.strip():
            raise click.ClickException("no key on standard input; write one line, or run this on a terminal")
        if key != key.strip() or not (key.isascii() and key.isprintable()):
            raise click.ClickException("a key must be visible ASCII without spaces around it: it travels in a header")
    click.echo(hashlib.sha256(key.encode("ascii")).hexdigest())
