"""Who is asking, as it stands in the configuration file: the ways to recognise an agent, and TLS for agents."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema, model_validator

from gateway.config.fields import HeaderName, Listed, Model, Sha256, Url
from gateway.config.schema_admin import ApiServer, IssuerConfig
from gateway.model.certificate_names import pattern_of

Name = Annotated[str, Field(min_length=1, max_length=128)]
_PARTS = re.compile(r"\{([a-z_]+)\}")
_OF_PODS = ("namespace", "serviceaccount", "pod", "pod_uid", "node", "node_uid")


def _check_template(template: str, known: tuple[str, ...]) -> str:
    """The template unchanged. Raises ValueError where it cannot be filled."""
    for name in _PARTS.findall(template):
        if name not in known:
            raise ValueError(f"an agent's name cannot be made of {{{name}}}; known here: {', '.join(known)}")
    if re.search(r"[{}]", _PARTS.sub("", template)):
        raise ValueError("{ and } stand around names only; write {" + known[0] + "}")
    return template


def _pod_name(template: str) -> str:
    if not {"namespace", "serviceaccount"} <= set(_PARTS.findall(template)):
        raise ValueError("two service accounts would have one name; write {namespace} and {serviceaccount} in it")
    return _check_template(template, _OF_PODS)


class ApiKey(Model):
    """One key, known only by its SHA-256."""

    sha256: Sha256 = Field(description="SHA-256 of the key, in hex; toolgate hash-key makes one.")
    agent: Name = Field(description="Id of the agent whose key it is.")
    roles: Listed[str] = Field(default=(), description="Roles of that agent.")


class ApiKeys(Model):
    """Agents that show a key."""

    header: HeaderName = Field(default="authorization", description='Where the key is: "Bearer KEY" or the bare key.')
    keys: Listed[ApiKey] = Field(min_length=1, description="The keys that are known.")


def _required(value: object) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not values or not all(type(one) in (str, int, bool) for one in values):
        raise ValueError("must be text, a whole number, true or false, or a list of them")
    return values


_ONE = {"type": ["string", "integer", "boolean"]}
Required = Annotated[
    tuple[Any, ...],
    PlainValidator(_required),
    WithJsonSchema({"anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1}]}),
]
Path = Annotated[str, Field(min_length=1, max_length=256)]


class AgentJwt(IssuerConfig):
    """Agents that show a token which an issuer has signed."""

    header: HeaderName = Field(
        default="authorization", description='Where the token is: "Bearer TOKEN"; in another header also bare.'
    )
    agent: Path = Field(default="sub", description="The claim with the agent's id; a.b is b within a.")
    roles: Path | None = Field(
        default=None, description="The claim with its roles: a list, or text with spaces between them."
    )
    require: dict[Path, Required] = Field(
        default={}, description="Claims, and the value that each must have, or the values of which it must have one."
    )
    prefix: str = Field(
        default="", max_length=64, description="Stands before each id, so that no other way can give the same."
    )


class ServiceAccounts(ApiServer):
    """Agents that show the token of their Kubernetes service account."""

    header: HeaderName = Field(default="authorization", description="As of jwt.")
    issuer: Url | None = Field(
        default=None,
        description="The cluster's issuer: tokens are verified by the cluster's keys, instead of being shown to the API"
        " server.",
    )
    agent: Annotated[str, Field(max_length=200), AfterValidator(_pod_name)] = Field(
        default="system:serviceaccount:{namespace}:{serviceaccount}",
        description="The agent's id, of {namespace}, {serviceaccount}, {pod}, {pod_uid}, {node} and {node_uid}.",
    )
    roles: Listed[str] = Field(default=(), description="Roles of all of them.")


def _spiffe(value: str) -> str:
    if not re.fullmatch(r"spiffe://[a-z0-9._-]+/[A-Za-z0-9._{}/*-]+", value):
        raise ValueError(f"not a pattern of SPIFFE ids: {value!r}; write spiffe://TRUST-DOMAIN/PATH or .../*")
    pattern_of(value)
    return value


def _dns(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9._{}*-]+", value):
        raise ValueError(f"not a pattern of DNS names: {value!r}; write agent.example.org or {{name}}.example.org")
    pattern_of(value)
    return value


class Certificate(Model):
    """Agents whose certificate is for this: exactly one of spiffe and dns."""

    spiffe: Annotated[str, AfterValidator(_spiffe)] | None = Field(
        default=None,
        description='The SPIFFE id: "spiffe://example.org/ns/{ns}/sa/{sa}"; {name} is one segment, * at the end all.',
    )
    dns: Annotated[str, AfterValidator(_dns)] | None = Field(
        default=None, description='The DNS name: "{name}.agents.example.org"; {name} and * are one label.'
    )
    agent: Name = Field(default="{id}", description="The agent's id, of the pattern's names, and {id}: all of it.")
    roles: Listed[str] = Field(default=(), description="Roles of all of them.")

    @model_validator(mode="after")
    def _one(self) -> Certificate:
        if (self.spiffe is None) == (self.dns is None):
            raise ValueError("give exactly one of spiffe and dns")
        _check_template(self.agent, ("id", *pattern_of(self.pattern).groupindex))
        return self

    @property
    def pattern(self) -> str:
        """Of the name."""
        return self.spiffe or self.dns or ""


class Identify(Model):
    """One way to recognise an agent: exactly one of the keys."""

    header: HeaderName | None = Field(
        default=None, description="The agent's id is in this header; believed only from loopback peers."
    )
    api_key: ApiKeys | None = Field(default=None, description="The agent shows a key.")
    jwt: AgentJwt | None = Field(default=None, description="The agent shows a token that an issuer has signed.")
    kubernetes: ServiceAccounts | None = Field(
        default=None, description="The agent shows the token of its Kubernetes service account."
    )
    certificate: Certificate | None = Field(
        default=None, description="The agent's connection has a client certificate (listen_tls.client_ca_file)."
    )
    anonymous: Name | None = Field(
        default=None, description="Everybody else is the agent with this id; must be the last one."
    )

    @model_validator(mode="after")
    def _one(self) -> Identify:
        if len([name for name in type(self).model_fields if getattr(self, name) is not None]) != 1:
            names = list(type(self).model_fields)
            raise ValueError(f"give exactly one of {', '.join(names[:-1])} and {names[-1]}; begin each with its own -")
        return self

    @property
    def shown_in(self) -> str:
        """The lower-cased header in which a credential is shown, or nothing."""
        shows: Any = self.api_key or self.jwt or self.kubernetes
        return "" if shows is None else shows.header.lower()


class ListenTls(Model):
    """TLS for agents; new files are taken without a restart."""

    cert_file: str = Field(min_length=1, description="PEM file of the certificate and those between it and the root.")
    key_file: str = Field(min_length=1, description="PEM file of its key, without a passphrase.")
    client_ca_file: str | None = Field(
        default=None, min_length=1, description="PEM file of the authorities that agents' certificates are from."
    )
    require: bool = Field(
        default=True, description="With client_ca_file: whether agents without a certificate cannot even connect."
    )
