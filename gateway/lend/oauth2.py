"""What is sent to a token endpoint, and what its answer says (RFC 6749, 4.4 and 5; RFC 7523; RFC 8693). No I/O."""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import quote_plus, urlencode

import orjson

from gateway.lend.sources import Unavailable
from gateway.lend.tokens import Granted
from gateway.model.credentials import OAuth2

_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_LONGEST = 16 * 1024
_ERRORS = frozenset(
    {
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"),
        *("invalid_scope", "invalid_target", "server_error", "temporarily_unavailable", "access_denied"),
        "invalid_token",
    }
)
"""Codes of errors that are passed on (RFC 6749, 5.2; RFC 8693, 2.2.2): what else stands there may be anything."""


def request_of(settings: OAuth2, *, subject: str = "", actor: str = "", assertion: str = "") -> tuple[bytes, str]:
    """The form, and the Authorization field (empty for none)."""
    members: list[tuple[str, str]] = [("grant_type", "client_credentials")]
    exchange = settings.exchange
    if exchange is not None:
        members = [("grant_type", _EXCHANGE), ("subject_token", subject), ("subject_token_type", exchange.subject_type)]
        if actor:
            members += [("actor_token", actor), ("actor_token_type", exchange.actor_type)]
        if exchange.requested_type:
            members.append(("requested_token_type", exchange.requested_type))
    if settings.scopes:
        members.append(("scope", " ".join(settings.scopes)))
    members += [("audience", each) for each in settings.audience]
    members += [("resource", each) for each in settings.resource]
    authorization = ""
    if assertion:
        members += [("client_assertion_type", _ASSERTION), ("client_assertion", assertion)]
    if settings.client_secret and not settings.in_body:
        # RFC 6749, 2.3.1: both are encoded as in a form before Basic encodes them.
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
        authorization = "Basic " + b64encode(pair.encode()).decode()
    elif settings.client_id:
        members.append(("client_id", settings.client_id))
        if settings.client_secret:
            members.append(("client_secret", settings.client_secret))
    return urlencode(members).encode(), authorization


def granted_of(status: int, body: bytes) -> Granted:
    """The token in an answer.

    Raises:
        Unavailable: there is none; nothing of the answer is repeated but a code that the RFCs name.
    """
    try:
        told = orjson.loads(body)
    except ValueError:
        told = None
    if status != 200:
        code = told.get("error") if isinstance(told, dict) else None
        known = f" ({code})" if isinstance(code, str) and code in _ERRORS else ""
        raise Unavailable(f"the token endpoint answers with status {status}{known}")
    if not isinstance(told, dict):
        raise Unavailable("the token endpoint answers with what is no JSON object")
    token, kind = told.get("access_token"), told.get("token_type")
    if not isinstance(token, str) or len(token) > _LONGEST or not _TOKEN.fullmatch(token):
        raise Unavailable("the token endpoint answers without a usable access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise Unavailable("the token endpoint answers with a token that is no bearer token")
    return Granted(token, _life(told.get("expires_in")))


def _life(told: object) -> float:
    """Seconds; some servers write them as text."""
    if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) < 12:
        told = int(told)
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 < told < 1e11:
        return 0.0
    return float(told)


__all__ = ["granted_of", "request_of"]
