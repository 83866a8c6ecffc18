"""Records as OpenTelemetry spans, by OTLP (OpenTelemetry Protocol 1.x), over HTTP or gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

from gateway import __version__
from gateway.observe import conventions as c
from gateway.observe.otel.exporter import Exporter
from gateway.observe.otel.kinds import Peer
from gateway.observe.otel.protobuf import attributes, scope
from gateway.observe.otel.sampling import Sampling
from gateway.observe.otel.senders import sender


def exporter_to(
    protocol: str, endpoint: str, headers: Mapping[str, str], sample: float, resource: Mapping[str, str]
) -> Exporter:
    """An exporter to a collector. ``resource``: attributes of this process, beside or instead of the usual ones.

    Raises:
        ConfigError: the protocol is grpc, and grpcio is not installed.
    """
    usual = {c.SERVICE_NAME: "toolgate", c.SERVICE_VERSION: __version__, c.SERVICE_INSTANCE: str(uuid4())}
    described = attributes(1, {**usual, **resource})
    return Exporter(sender(protocol, endpoint, headers), described, scope(c.SCOPE, __version__), Sampling(sample))


__all__ = ["Exporter", "Peer", "exporter_to"]
