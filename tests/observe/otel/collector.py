"""A collector: takes OTLP over HTTP, reads it with OpenTelemetry's own messages, and keeps what came."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind)
    return [plain(each) for each in found.values] if kind == "array_value" else found


def named(attributes: Sequence[KeyValue]) -> dict[str, Any]:
    found = {each.key: plain(each.value) for each in attributes}
    assert len(found) == len(attributes), "an attribute stands twice"
    return found


def spans_in(data: bytes) -> list[Span]:
    """The spans of one request, which must be all of it."""
    request = ExportTraceServiceRequest.FromString(data)
    assert request.SerializeToString(), "empty"
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


class Collector:
    """Answers with ``script``, one status (or status and Retry-After) for each request, then with 200."""

    def __init__(self, script: Sequence[int] = (), body: bytes = b"") -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self._script = list(script)
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["content-length"]))
                collector.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, data))
                status = collector._script.pop(0) if collector._script else 200
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def spans(self) -> list[Span]:
        return [span for _, _, data in self.requests for span in spans_in(data)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
