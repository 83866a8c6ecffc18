"""What the configuration says of the credentials that tools get from the gateway, so that agents need none."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.config.fields import FreeHeaderName, HeaderValue, Listed, Model, Url
from gateway.policy.schema_parts import Glob, listed

_KINDS = ("header", "query", "basic", "bearer", "oauth2", "aws_sigv4")
_TYPE = "urn:ietf:params:oauth:token-type:"


def _filled(value: str) -> str:
    # Never quote the value: it is a secret.
    if not value.strip():
        raise ValueError("the value is empty; check the variable or file that it comes from")
    if any(not (" " <= character <= "~") for character in value):
        raise ValueError("the value has a line break or a character beyond visible ASCII; check where it comes from")
    return value


def _member(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.$~-]+", value):
        raise ValueError(f"not the name of a query parameter: {value!r}; write letters, digits, _ and -, such as key")
    return value


def _user(value: str) -> str:
    if ":" in _filled(value):
        raise ValueError("a user of Basic has no colon (RFC 7617); check the variable or file that it comes from")
    return value


def _bearer(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", _filled(value)):
        raise ValueError("not a bearer token (RFC 6750); write the token alone, without Bearer before it")
    return value


Secret = Annotated[str, AfterValidator(_filled)]
File = Annotated[str, Field(min_length=1)]


class Basic(Model):
    """User and password, as HTTP Basic has them (RFC 7617)."""

    user: Annotated[str, AfterValidator(_user)] = Field(description="The user.")
    password: Secret = Field(description='The password, such as "${file:/run/secrets/jira}".')


class TokenExchange(Model):
    """Another token is had for a token (RFC 8693)."""

    subject: Literal["agent", "file"] = Field(
        default="agent",
        description="Whose token is exchanged: the one by which the agent is known here, or one from a file.",
    )
    subject_file: File | None = Field(default=None, description="That file, read at each exchange.")
    subject_token_type: Annotated[str, Field(min_length=1)] = Field(
        default=_TYPE + "access_token", description="The type of that token."
    )
    actor_file: File | None = Field(default=None, description="A token of who acts for the subject, from this file.")
    actor_token_type: Annotated[str, Field(min_length=1)] = Field(
        default=_TYPE + "jwt", description="The type of the actor's token."
    )
    requested_token_type: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="The type of token to ask for."
    )

    @model_validator(mode="after")
    def _one(self) -> TokenExchange:
        if (self.subject == "file") != (self.subject_file is not None):
            raise ValueError("subject: file and subject_file belong together; give both or none")
        return self


class OAuth2(Model):
    """A token of a token endpoint, fetched when needed, kept, and renewed before it ends."""

    token_url: Url = Field(description="The token endpoint.")
    client_id: Secret | None = Field(default=None, description="Who the gateway is there.")
    client_secret: Secret | None = Field(default=None, description='Its secret, such as "${file:/run/secrets/idp}".')
    client_assertion_file: File | None = Field(
        default=None,
        description="File with a JWT instead of the secret (RFC 7523), such as a projected service account token; read"
        " each time.",
    )
    auth_style: Literal["basic", "body"] = Field(
        default="basic", description="Where id and secret go: in Authorization (Basic), or in the body."
    )
    scopes: Listed[Secret] = Field(default=(), description="Scopes to ask for.")
    audience: Listed[Secret] = Field(default=(), description="Names of those that the token is for.")
    resource: Listed[Secret] = Field(default=(), description="URLs of those that the token is for (RFC 8707).")
    token_exchange: TokenExchange | None = Field(
        default=None,
        description="Exchange a token for one that the tool takes; without it, the gateway asks for itself (client"
        " credentials).",
    )
    ca_file: File | None = Field(
        default=None, description="PEM file of the authorities to trust for token_url instead of the system's."
    )

    @model_validator(mode="after")
    def _proof(self) -> OAuth2:
        if self.client_secret is not None and self.client_assertion_file is not None:
            raise ValueError("client_secret and client_assertion_file are both given; keep one of them")
        if self.client_secret is not None and self.client_id is None:
            raise ValueError("client_secret belongs to a client_id; add client_id")
        if self.token_exchange is None and self.client_secret is None and self.client_assertion_file is None:
            raise ValueError("nothing proves who asks; add client_id with client_secret, or client_assertion_file")
        return self


class AwsSigv4(Model):
    """Requests are signed for AWS (Signature Version 4)."""

    region: Secret = Field(description="Such as eu-central-1.")
    service: Secret = Field(description="Such as s3, bedrock, execute-api or es.")
    access_key_id: Secret | None = Field(default=None, description="Without it, keys are found as AWS' tools do.")
    secret_access_key: Secret | None = Field(default=None, description="Belongs to access_key_id.")
    session_token: Secret | None = Field(default=None, description="Of temporary keys.")
    profile: Secret | None = Field(default=None, description="A profile of AWS' own files.")

    @model_validator(mode="after")
    def _pair(self) -> AwsSigv4:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together; give both or none")
        if self.access_key_id is None and self.session_token is not None:
            raise ValueError("session_token belongs to an access_key_id; add it, or remove session_token")
        if self.access_key_id is not None and self.profile is not None:
            raise ValueError("access_key_id and profile are both given; keep one of them")
        return self


class Credential(Model):
    """A credential that the gateway adds, so that agents never hold the tool's secret: exactly one kind."""

    header: FreeHeaderName | None = Field(default=None, description="A header with value, such as Authorization.")
    query: Annotated[str, AfterValidator(_member)] | None = Field(
        default=None, description="A query parameter with value."
    )
    value: HeaderValue | None = Field(
        default=None, description='The value, such as "Bearer ${file:/run/secrets/github}".'
    )
    basic: Basic | None = Field(default=None, description="User and password.")
    bearer: Annotated[str, AfterValidator(_bearer)] | None = Field(
        default=None, description="A token, for Authorization: Bearer."
    )
    oauth2: OAuth2 | None = Field(default=None, description="A token that is fetched.")
    aws_sigv4: AwsSigv4 | None = Field(default=None, description="Requests are signed for AWS.")
    agents: Annotated[tuple[Glob, ...], BeforeValidator(listed)] = Field(
        default=(), description="Globs of agents that get it; of those for one place, an agent gets the first."
    )
    roles: Annotated[tuple[Glob, ...], BeforeValidator(listed)] = Field(
        default=(), description="Globs of roles; who has one of them gets it too. Without agents and roles: everybody."
    )

    @model_validator(mode="after")
    def _one(self) -> Credential:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"{found} given; give exactly one of {', '.join(_KINDS)}; begin each with its own -")
        if (given[0] in ("header", "query")) != (self.value is not None):
            raise ValueError("value belongs to header or query; write {header: NAME, value: ...}")
        return self

    @property
    def kind(self) -> str:
        """Which one it is."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)


def several(value: object) -> object:
    """One or several, as a tuple. Raises ValueError."""
    if isinstance(value, dict):
        return (value,)
    if isinstance(value, list | tuple):
        return tuple(value)
    raise ValueError("must be a mapping, or a list of them; write {header: ..., value: ...}")


Credentials = Annotated[tuple[Credential, ...], BeforeValidator(several)]
