"""The record, as it stands in the configuration file: trace log, trace store, spans, redaction, audit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.config.fields import Bytes, FreeHeaderName, HeaderName, HeaderValue, Listed, Model, SigningKey, Url
from gateway.policy.schema_parts import Duration, Glob

SECRETS = (
    *("*password*", "*passwd*", "*passphrase*", "*secret*", "*credential*", "*authorization*", "*cookie*"),
    *("*api_key*", "*apikey*", "*api-key*", "*private_key*", "*privatekey*", "*access_key*"),
    *("token", "*.token", "*access_token*", "*refresh_token*", "*id_token*", "*auth_token*", "*auth-token*"),
    *("*accesstoken*", "*refreshtoken*", "*bearer*", "*signature*", "pin", "*.pin", "*cvv*", "*cvc*", "*card_number*"),
)
"""Globs of names that are usually those of secrets, in lower case."""


class TraceStoreConfig(Model):
    """Records in a database too, for the command line and the console."""

    path: str = Field(default="traces.db", min_length=1, description="The file, from the configuration's folder.")
    keep: Duration = Field(default=7 * 86400.0, gt=0, description="A record is kept for so long.")
    max_size: Bytes = Field(
        default=1 << 30, ge=1 << 20, description="Bytes of all records, roughly; beyond that the oldest go."
    )


class OtlpConfig(Model):
    """Calls as spans of OpenTelemetry, to a collector."""

    endpoint: Url = Field(
        description="Where the collector is, such as http://127.0.0.1:4318; over http without a path, /v1/traces."
    )
    protocol: Literal["http", "grpc"] = Field(
        default="http", description="OTLP over HTTP (protobuf), or over gRPC, which needs the package grpcio."
    )
    headers: dict[FreeHeaderName, HeaderValue] = Field(
        default={}, description='Sent with each request, such as {authorization: "Bearer ${file:/run/secrets/otlp}"}.'
    )
    sample: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of the traces to export; refused and failed calls always are.",
    )
    resource: dict[str, str] = Field(
        default={}, description="Attributes of this gateway beside service.name, such as deployment.environment.name."
    )


class Detect(Model):
    """What is masked wherever it stands in a text."""

    secrets: bool = Field(default=True, description="What looks like a credential: tokens, keys, passwords in URLs.")
    pii: bool = Field(default=False, description="E-mail addresses, IBANs and card numbers.")


class TraceConfig(Model):
    """The record: one JSON line a call."""

    file: str = Field(default="-", min_length=1, description='Where to; "-" is the standard output.')
    on_failure: Literal["drop", "refuse"] = Field(
        default="drop", description="Where lines cannot be written: drop them and count, or refuse calls."
    )
    capacity: int = Field(default=100_000, ge=1, description="Lines kept in memory while they cannot be written.")
    args: bool = Field(
        default=False,
        description="Whether arguments and queries are recorded too, so that calls can be replayed under other rules.",
    )
    redact: Listed[Glob] = Field(
        default=SECRETS,
        description="Globs of dotted names of arguments, query parameters and headers whose values are masked.",
    )
    detect: Detect = Detect()
    args_limit: Bytes = Field(
        default=16 * 1024, ge=1, description="Bytes of a call's arguments; more are left out of the record."
    )
    headers: Listed[HeaderName] = Field(default=(), description="Names of request headers whose values are recorded.")
    store: TraceStoreConfig | None = Field(
        default=None, description="Keep records in a database too; {} for all defaults."
    )
    otlp: OtlpConfig | None = Field(default=None, description="Send calls as spans to an OpenTelemetry collector too.")


class AuditConfig(Model):
    """What was decided and what operators changed, in a chain of hashes that shows every later change."""

    dir: str = Field(default="audit", min_length=1, description="The folder, from the configuration's.")
    key: SigningKey | None = Field(
        default=None, description='Signs checkpoints, such as "${file:/run/secrets/audit}"; who has it can verify.'
    )
    segment: Bytes = Field(default=64 << 20, ge=1 << 10, description="Bytes of a file, about; then a new one begins.")
    sync: Duration = Field(
        default=1.0, gt=0, description="Every so often what was written is synced to the disk and a checkpoint made."
    )
    on_failure: Literal["refuse", "drop"] = Field(
        default="refuse", description="Where it cannot be written: refuse calls, or drop records and count them."
    )
