"""Credentials that the gateway holds for a tool and lends to some agents, or makes for each call.

Those that are the same for all agents and never change are fields of the tool (``Tool.inject``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct


class Fixed(Struct, frozen=True):
    """A header field, or a member of the query, as the configuration has it."""

    field: tuple[bytes, bytes] | None = None
    member: tuple[str, str] | None = None


class Exchange(Struct, frozen=True):
    """Another token is had for a token (RFC 8693). Token types are URNs."""

    subject_file: str = ""
    """Empty: what the agent itself has shown."""
    subject_type: str = "urn:ietf:params:oauth:token-type:access_token"
    actor_file: str = ""
    """Empty: no actor is named."""
    actor_type: str = "urn:ietf:params:oauth:token-type:jwt"
    requested_type: str = ""


class OAuth2(Struct, frozen=True):
    """An access token that a token endpoint gives: for the client's own credentials (RFC 6749, 4.4), or by exchange."""

    token_url: str
    client_id: str = ""
    client_secret: str = ""
    assertion_file: str = ""
    """A JWT that stands for the secret (RFC 7523, 2.2), read anew each time."""
    scopes: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    resource: tuple[str, ...] = ()
    in_body: bool = False
    """Where the endpoint wants the secret: in the body, or in Authorization (Basic)."""
    exchange: Exchange | None = None
    ca_pem: str | None = None


class Aws(Struct, frozen=True):
    """Keys by which requests are signed (AWS Signature Version 4). Without an id: by ``profile``, or as botocore finds
    them (environment, files, web identity, container, machine)."""

    region: str
    service: str
    key_id: str = ""
    secret: str = ""
    session_token: str = ""
    profile: str = ""


class Loan(Struct, frozen=True):
    """A credential, and who gets it: agents by their ids or by one of their roles (globs)."""

    place: str
    """Where it goes: ``header:authorization``, ``query:key``. Of those for one place, an agent gets the first."""
    source: Fixed | OAuth2 | Aws
    agents: tuple[str, ...] = ("*",)
    roles: tuple[str, ...] = ()


def secrets_of_loans(loans: Iterable[Loan]) -> Iterator[str]:
    """What of them nobody may read."""
    for loan in loans:
        source = loan.source
        if isinstance(source, Fixed):
            if source.field is not None:
                yield source.field[1].decode("latin-1")
            if source.member is not None:
                yield source.member[1]
        else:
            held = (source.client_secret,) if isinstance(source, OAuth2) else (source.secret, source.session_token)
            yield from [secret for secret in held if secret]


__all__ = ["Aws", "Exchange", "Fixed", "Loan", "OAuth2", "secrets_of_loans"]
