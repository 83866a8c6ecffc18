"""One OTLP request to a collector, over HTTP or gRPC. Blocking: for the exporter's thread.

Sources: OTLP specification 1.x (paths, and which answers may be tried again).
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.errors import ConfigError, Problem
from gateway.observe.otel.protobuf import rejected

TIMEOUT = 10.0
"""Seconds for one request."""
_PATH = "/v1/traces"
_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_AGAIN = frozenset({429, 502, 503, 504})
_AGAIN_GRPC = frozenset(
    ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS", "RESOURCE_EXHAUSTED")
)
_MOST_READ = 64 << 10
"""Bytes read of an answer."""


class Sent(Struct, frozen=True):
    """What came of a request. All went well where ``error`` is empty."""

    error: str = ""
    again: bool = False
    """It may be tried again, in ``wait`` seconds at the soonest."""
    wait: float = 0.0


class Sender(Protocol):
    """A way to a collector."""

    def send(self, data: bytes) -> Sent:
        """Send one ``ExportTraceServiceRequest``. Raises nothing."""

    def close(self) -> None: ...


class HttpSender:
    """OTLP/HTTP with binary protobuf, on one connection that is kept."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], timeout: float = TIMEOUT) -> None:
        """``endpoint``: ``http(s)://host[:port][/path]``; without a path it is ``/v1/traces``."""
        parts = urlsplit(endpoint)
        self._path = parts.path if parts.path not in ("", "/") else _PATH
        self._headers = {"Content-Type": "application/x-protobuf", "User-Agent": "toolgate-otlp", **headers}
        self._connection = _connection(parts.scheme, parts.hostname or "", parts.port, timeout)

    def send(self, data: bytes) -> Sent:
        """As ``Sender.send``."""
        try:
            try:
                return self._send(data)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self._connection.close()  # it was kept for too long
                return self._send(data)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Sent(f"{type(error).__name__}: {error}".rstrip(": "), again=True)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _send(self, data: bytes) -> Sent:
        self._connection.request("POST", self._path, data, self._headers)
        response = self._connection.getresponse()
        body = response.read(_MOST_READ)
        if response.read(1):
            self._connection.close()
        if response.status in _AGAIN:
            wait = response.headers.get("Retry-After", "")
            return Sent(f"HTTP {response.status}", again=True, wait=float(wait) if wait.isdecimal() else 0.0)
        if not 200 <= response.status < 300:
            return Sent(f"HTTP {response.status}: {body[:200].decode('utf-8', 'replace')}")
        return _taken(body)


class GrpcSender:
    """OTLP/gRPC. Needs the package grpcio (extra ``otel``)."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], timeout: float = TIMEOUT) -> None:
        """``endpoint``: ``http(s)://host[:port]``; https is TLS, and without a port it is 4317, or 443 with TLS.

        Raises:
            ConfigError: grpcio is not installed.
        """
        try:
            self._grpc: Any = import_module("grpc")
        except ImportError:
            hint = "install toolgate[otel], or write protocol: http"
            raise ConfigError(
                [Problem("trace.otlp.protocol", 0, 0, "grpc needs the package grpcio, which is not installed", hint)]
            ) from None
        parts = urlsplit(endpoint)
        secure = parts.scheme == "https"
        target = f"{parts.hostname}:{parts.port or (443 if secure else 4317)}"
        grpc = self._grpc
        self._channel = (
            grpc.secure_channel(target, grpc.ssl_channel_credentials()) if secure else grpc.insecure_channel(target)
        )
        self._call = self._channel.unary_unary(_METHOD)
        self._metadata = [(name.lower(), value) for name, value in headers.items()]
        self._timeout = timeout

    def send(self, data: bytes) -> Sent:
        """As ``Sender.send``."""
        try:
            return _taken(self._call(data, timeout=self._timeout, metadata=self._metadata))
        except self._grpc.RpcError as error:
            name = error.code().name
            return Sent(f"gRPC {name}: {(error.details() or '')[:200]}", again=name in _AGAIN_GRPC)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def sender(protocol: str, endpoint: str, headers: Mapping[str, str]) -> Sender:
    """The way to a collector by ``protocol``, http or grpc. Raises ConfigError as ``GrpcSender``."""
    return GrpcSender(endpoint, headers) if protocol == "grpc" else HttpSender(endpoint, headers)


def _taken(answer: bytes) -> Sent:
    """A request that was taken, but perhaps not all of it: the rest must not be sent again."""
    number, why = rejected(answer)
    return Sent(f"{number} spans were rejected: {why[:200]}") if number else Sent()


def _connection(scheme: str, host: str, port: int | None, timeout: float) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=timeout)
