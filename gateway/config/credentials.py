"""From the credentials that the configuration names to what a tool gets of them, and the checks on them."""

from __future__ import annotations

import os
import ssl
from base64 import b64encode
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.config.authorities import believing
from gateway.config.files import Files
from gateway.config.model_errors import Mistake
from gateway.config.model_errors import Path as Place
from gateway.config.schema import ToolConfig
from gateway.config.schema_credentials import AwsSigv4, Credential, TokenExchange
from gateway.config.schema_credentials import OAuth2 as OAuth2Config
from gateway.model import Fields
from gateway.model.credentials import Aws, Exchange, Fixed, Loan, OAuth2

AGENT_CREDENTIALS = frozenset({b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})
"""Where agents usually put credentials. A tool that has one of the gateway's gets none of these from the agent."""

_OF_QUERIES = frozenset({"key", "api_key", "apikey", "access_token"})
"""The same in queries: for tools that take theirs there."""
_OF_AWS = frozenset({b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256"})
_PRESIGNED = frozenset(
    {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature"}
    | {"x-amz-security-token", "awsaccesskeyid", "signature"}
)
_FOLDER = "correct the path; it begins at the configuration's folder"


class Held(Struct, frozen=True):
    """What a tool gets of the gateway's credentials: fields of every call, loans; and what it gets none of."""

    inject: Fields
    loans: tuple[Loan, ...]
    strip: frozenset[bytes]
    strip_query: frozenset[str]


def held_for(tool: ToolConfig, base: Path, files: Files) -> Held:
    """The credentials of a tool. What cannot be read is told by ``credential_mistakes``."""
    loans = [_loan(one, base, files) for one in tool.credential]
    places = [loan.place for loan in loans]
    simple = [loan for loan in loans if _to_all(loan) and places.count(loan.place) == 1]
    inject = tuple([field for loan in simple if (field := _field(loan)) is not None])
    rest = tuple([loan for loan in loans if loan not in simple or _field(loan) is None])
    names = {place.removeprefix("header:").encode() for place in places if place.startswith("header:")}
    members = {place.removeprefix("query:") for place in places if place.startswith("query:")}
    if members:
        members |= _OF_QUERIES
    if loans and tool.protocol == "gemini":
        members.add("key")
    if any(isinstance(loan.source, Aws) for loan in loans):
        names |= _OF_AWS
        members |= _PRESIGNED
    strip = (AGENT_CREDENTIALS | names) if loans else frozenset[bytes]()
    return Held(inject, rest, strip, frozenset(members))


def _to_all(loan: Loan) -> bool:
    return loan.agents == ("*",) and not loan.roles


def _field(loan: Loan) -> tuple[bytes, bytes] | None:
    return loan.source.field if isinstance(loan.source, Fixed) else None


def _loan(one: Credential, base: Path, files: Files) -> Loan:
    agents, roles = (one.agents, one.roles) if one.agents or one.roles else (("*",), ())
    return Loan(place_of(one), _source(one, base, files), agents, roles)


def place_of(one: Credential) -> str:
    """Where a credential goes: ``header:NAME`` or ``query:NAME``, in lower case."""
    if one.header is not None:
        return f"header:{one.header.lower()}"
    return f"query:{one.query.lower()}" if one.query is not None else "header:authorization"


def _source(one: Credential, base: Path, files: Files) -> Fixed | OAuth2 | Aws:
    value = one.value or ""
    if one.oauth2 is not None:
        return _oauth2(one.oauth2, base, files)
    if one.aws_sigv4 is not None:
        return _aws(one.aws_sigv4)
    if one.query is not None:
        return Fixed(member=(one.query, value))
    if one.basic is not None:
        pair = f"{one.basic.user}:{one.basic.password}".encode()
        return Fixed((b"Authorization", b"Basic " + b64encode(pair)))
    if one.bearer is not None:
        return Fixed((b"Authorization", b"Bearer " + one.bearer.encode("ascii")))
    return Fixed(((one.header or "").encode("ascii"), value.encode("ascii")))


def _oauth2(config: OAuth2Config, base: Path, files: Files) -> OAuth2:
    exchange = config.token_exchange
    return OAuth2(
        config.token_url,
        config.client_id or "",
        config.client_secret or "",
        _path(base, config.client_assertion_file),
        config.scopes,
        config.audience,
        config.resource,
        config.auth_style == "body",
        None if exchange is None else _exchange(exchange, base),
        _pem(base / config.ca_file, files) if config.ca_file is not None else None,
    )


def _exchange(config: TokenExchange, base: Path) -> Exchange:
    return Exchange(
        _path(base, config.subject_file),
        config.subject_token_type,
        _path(base, config.actor_file),
        config.actor_token_type,
        config.requested_token_type or "",
    )


def _aws(config: AwsSigv4) -> Aws:
    return Aws(
        config.region,
        config.service,
        config.access_key_id or "",
        config.secret_access_key or "",
        config.session_token or "",
        config.profile or "",
    )


def _path(base: Path, name: str | None) -> str:
    return "" if name is None else os.path.abspath(base / name)


def _pem(file: Path, files: Files) -> str | None:
    try:
        return files.read(file).decode("ascii", "ignore")
    except OSError:
        return None


def credential_mistakes(name: str, tool: ToolConfig, base: Path, files: Files) -> Iterator[Mistake]:
    """What makes the credentials of a tool unusable."""
    everybody: set[str] = set()
    for number, one in enumerate(tool.credential):
        at: Place = ("tools", name, "credential", number)
        place = place_of(one)
        if place in everybody:
            what = (one.header or one.query) if one.kind in ("header", "query") else "Authorization"
            yield Mistake((*at, one.kind), f"the credential sets {what} twice", "remove one of the two")
        if not one.agents and not one.roles:
            everybody.add(place)
        if one.oauth2 is not None:
            yield from _unreadable((*at, "oauth2"), one.oauth2, base, files)
    if tool.credential_required and not tool.credential:
        place_at = ("tools", name, "credential_required")
        yield Mistake(place_at, "there is no credential that could be required", "add credential, or remove it")
    if "echo" in tool.model_fields_set and not tool.credential:
        message = "echo has no effect without a credential"
        yield Mistake(("tools", name, "echo"), message, "add credential, or remove echo")


def _unreadable(at: Place, config: OAuth2Config, base: Path, files: Files) -> Iterator[Mistake]:
    """Files that are read later must be there now: they are not watched, since they are written anew all the time."""
    exchange = config.token_exchange
    named: list[tuple[tuple[str, ...], str | None]] = [(("client_assertion_file",), config.client_assertion_file)]
    if exchange is not None:
        named.append((("token_exchange", "subject_file"), exchange.subject_file))
        named.append((("token_exchange", "actor_file"), exchange.actor_file))
    for keys, file in named:
        if file is not None and not (base / file).is_file():
            yield Mistake((*at, *keys), f"{base / file} is not there", _FOLDER)
    if config.ca_file is None:
        return
    try:
        believing(pem=files.read(base / config.ca_file).decode("ascii", "ignore"))
    except ssl.SSLError:
        yield Mistake((*at, "ca_file"), f"{base / config.ca_file} holds no certificate that can be read", "give PEM")
    except OSError as error:
        yield Mistake((*at, "ca_file"), f"cannot read {base / config.ca_file}: {error.strerror or error}", _FOLDER)


def credential_warnings(name: str, tool: ToolConfig) -> Iterator[Mistake]:
    """Secrets that go over the network in clear (RFC 6749, 3.2: the token endpoint MUST be asked over TLS)."""
    for number, one in enumerate(tool.credential):
        if one.oauth2 is not None and one.oauth2.token_url.lower().startswith("http:") and not _near(one.oauth2):
            at = ("tools", name, "credential", number, "oauth2", "token_url")
            yield Mistake(at, "the client's secret and all tokens go there in clear", "write https")


def _near(config: OAuth2Config) -> bool:
    host = urlsplit(config.token_url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


__all__ = ["AGENT_CREDENTIALS", "Held", "credential_mistakes", "credential_warnings", "held_for", "place_of"]
