"""What ``toolgate inject`` is told: the gateway that pods get, and where it serves. The chart writes the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from gateway.config.documents import read_documents
from gateway.config.fields import Listed, ListenAddress, Model
from gateway.config.files import Files
from gateway.config.model_errors import mistakes
from gateway.errors import ConfigError, Problem

Port = Annotated[int, Field(ge=1, le=65535)]
_SYSTEM = ("kube-system", "kube-public", "kube-node-lease")


def _name(value: str) -> str:
    if len(value) > 253 or not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", value):
        raise ValueError(f"not a name in Kubernetes: {value!r}; write lower-case letters, digits, '-' and '.'")
    return value


def _variable_name(value: str) -> str:
    if not re.fullmatch(r"[-._a-zA-Z][-._a-zA-Z0-9]*", value):
        raise ValueError(f"not a variable: {value!r}; write letters, digits, '_', '-' and '.', no digit first")
    return value


Name = Annotated[str, AfterValidator(_name)]


class SelfIssued(Model):
    """A certificate of the injector's own, kept in a Secret of its namespace, which replicas share."""

    secret: Name = Field(description="Secret that keeps authority, certificate and key; made where it is missing.")
    service: Name = Field(description="Service by which the API server reaches the injector.")
    webhook: Name = Field(description="MutatingWebhookConfiguration that is told the authority (caBundle).")
    account: Path = Field(
        default=Path("/var/run/secrets/kubernetes.io/serviceaccount"),
        description="Folder with token, ca.crt and namespace, by which the API server is asked.",
        strict=False,
    )


class CertificateFiles(Model):
    """Somebody else's certificate, read again when it changes."""

    cert_file: Path = Field(description="PEM: the certificate, and what leads to its authority.", strict=False)
    key_file: Path = Field(description="PEM: its key.", strict=False)


class InjectTls(Model):
    """One of both; admission webhooks are asked over TLS only."""

    self_: SelfIssued | None = Field(default=None, alias="self", description="The injector issues its own.")
    files: CertificateFiles | None = Field(default=None, description="From files (cert-manager, or by hand).")

    @model_validator(mode="after")
    def _one(self) -> InjectTls:
        if (self.self_ is None) == (self.files is None):
            raise ValueError("say self: or files:, one of both")
        return self


class SidecarPorts(Model):
    """Ports of the gateway in a pod."""

    gateway: Port = Field(default=8080, description="Where agents call, on 127.0.0.1.")
    probes: Port = Field(default=9091, description="Where the kubelet asks, on all addresses.")
    transparent: Port = Field(default=15001, description="Where redirected connections arrive.")


class Token(Model):
    """A service-account token for who trusts the cluster."""

    path: Name = Field(description="File below /var/run/secrets/tokens.")
    audience: str = Field(min_length=1, description="Whom it is for.")
    expiration_seconds: int = Field(
        default=3600, ge=600, alias="expirationSeconds", description="Seconds for which it is good."
    )


class Variable(Model):
    """An environment variable, as of a container."""

    name: Annotated[str, AfterValidator(_variable_name)] = Field(description="Its name.")
    value: str | None = Field(default=None, description="Its value.")
    value_from: dict[str, Any] | None = Field(default=None, alias="valueFrom", description="Where its value is.")


class Profile(Model):
    """What the gateways of some pods read. Pods choose one by the annotation toolgate.dev/profile."""

    config: Name = Field(description="ConfigMap with config.yaml, in the pod's namespace.")
    policies: Name = Field(description="ConfigMap with policy files, in the pod's namespace.")
    redirect: bool = Field(default=False, description="Connections of the pod lead through the gateway by the network.")
    api: bool = Field(default=False, description="The gateway may ask the API server about tokens.")
    secrets: Listed[Name] = Field(default=(), description="Secrets, at /var/run/secrets/toolgate/NAME.")
    tokens: Listed[Token] = Field(default=(), description="Tokens of the pod's service account.")
    env: Listed[Variable] = Field(default=(), description="Variables of the gateway.")
    agent_env: Listed[Variable] = Field(default=(), description="Variables of all other containers, which may differ.")


class InjectSettings(Model):
    """The file of ``toolgate inject --config``."""

    listen: ListenAddress = Field(description="Where the API server asks, over TLS: 0.0.0.0:8443.")
    probes: ListenAddress = Field(description="Where the kubelet and Prometheus ask, in plain HTTP: 0.0.0.0:9091.")
    tls: InjectTls = Field(description="By which certificate.")
    image: str = Field(min_length=1, description="The image of gateways.")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="Of that image."
    )
    uid: int = Field(default=14357, ge=1, description="User and group of gateways; no other container may have it.")
    ports: SidecarPorts = Field(default=SidecarPorts(), description="Ports of gateways.")
    resources: dict[str, dict[str, str | int | float]] = Field(
        default={}, description="Requests and limits of gateways."
    )
    state_limit: str = Field(default="1Gi", description="Size of what a gateway keeps.")
    allow_opt_out: bool = Field(
        default=False, description='Pods with the annotation toolgate.dev/inject: "false" are left as they are.'
    )
    excluded_namespaces: Listed[Name] = Field(default=_SYSTEM, description="Namespaces that are never touched.")
    profiles: Mapping[str, Profile] = Field(min_length=1, description="By name; pods that name none get default.")


def read_settings(path: Path) -> InjectSettings:
    """The settings in a YAML file.

    Raises:
        ConfigError: every mistake in it, with its place and what to write.
    """
    documents, problems = read_documents(path, Files())
    if not problems and len(documents) != 1:
        problems = [Problem(str(path), 1, 1, "one document is expected", "write the injector's settings here")]
    if problems:
        raise ConfigError(problems)
    try:
        return InjectSettings.model_validate(documents[0].root.plain())
    except ValidationError as error:
        raise ConfigError([documents[0].mistake(one) for one in mistakes(error, InjectSettings)]) from None
