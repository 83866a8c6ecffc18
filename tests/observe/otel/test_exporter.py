"""Spans on their way to a collector that is slow, gone, or picky."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from gateway.errors import ConfigError
from gateway.observe.otel import exporter, exporter_to, senders
from gateway.observe.otel.exporter import Exporter
from gateway.observe.otel.sampling import Sampling
from gateway.observe.otel.senders import GrpcSender, HttpSender, Sent, sender
from gateway.observe.trace import line_of
from tests.observe.otel.collector import Collector, named, spans_in
from tests.observe.support import permit, refusal, trace, until

LINE = line_of(trace(permit()))


class Script:
    """A way to a collector that answers as it is told, and keeps what was sent."""

    def __init__(self, *answers: Sent, hold: bool = False) -> None:
        self.answers, self.sent, self.closed = list(answers), [], False
        self.gate = threading.Event()
        if not hold:
            self.gate.set()

    def send(self, data: bytes) -> Sent:
        self.sent.append(data)
        assert self.gate.wait(5)
        return self.answers.pop(0) if self.answers else Sent()

    def close(self) -> None:
        self.closed = True


def exporting(script: Script, **settings: float) -> Exporter:
    return Exporter(script, b"", b"", Sampling(1.0), **{"linger": 0.0, "pause": 0.001, **settings})


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


def test_records_are_exported_and_the_rest_at_the_end():
    script = Script()
    made = exporting(script, linger=5.0)
    made.put([LINE, LINE])
    made.put([LINE])
    made.close()
    assert [len(spans_in(data)) for data in script.sent] == [6]
    assert (made.exported, made.dropped, script.closed) == (3, 0, True)


def test_many_records_go_in_several_requests(monkeypatch):
    monkeypatch.setattr(exporter, "MOST_AT_ONCE", 2)
    script = Script()
    made = exporting(script)
    made.put([LINE] * 5)
    made.close()
    assert [len(spans_in(data)) for data in script.sent] == [4, 4, 2]
    assert made.exported == 5


def test_what_may_be_tried_again_is_until_it_is_taken():
    script = Script(Sent("HTTP 503", again=True), Sent("ConnectionRefusedError", again=True), Sent())
    made = exporting(script)
    made.put([LINE])
    until(lambda: made.exported == 1)
    assert len(set(script.sent)) == 1
    assert len(script.sent) == 3
    assert made.status() == {"exported": 1, "dropped": 0, "error": None}
    made.close()


def test_what_a_collector_will_not_have_is_dropped_and_counted():
    made = exporting(Script(Sent("HTTP 400: bad")))
    made.put([LINE, LINE])
    until(lambda: made.dropped == 2)
    assert made.status()["error"] == "HTTP 400: bad"
    made.put([LINE])
    until(lambda: made.exported == 1)
    made.close()


def test_what_waits_is_bounded_and_putting_never_waits():
    script = Script(hold=True)
    made = exporting(script, most_bytes=3 * len(LINE))
    made.put([LINE])
    until(lambda: bool(script.sent))
    made.put([LINE, LINE])
    made.put([LINE])
    assert made.dropped == 1
    script.gate.set()
    until(lambda: made.exported == 3)
    made.put([LINE])  # there is room again
    made.close()
    assert (made.exported, made.dropped) == (4, 1)


def test_at_the_end_a_collector_that_is_gone_is_not_waited_for_beyond_the_deadline():
    made = exporting(Script(*[Sent("gone", again=True)] * 50), pause=60.0)
    made.put([LINE])
    until(lambda: made.error == "gone")
    made.close(0.2)
    assert (made.exported, made.dropped) == (0, 1)


def test_a_record_that_cannot_be_read_does_not_keep_others(caplog):
    script = Script()
    made = exporting(script)
    made.put([b"{}\n", b"no json\n", LINE])
    made.close()
    assert (made.exported, made.dropped) == (1, 2)
    assert "cannot be exported" in caplog.text


def test_over_http_a_collector_gets_protobuf_with_what_this_process_is(collector):
    made = exporter_to(
        "http", collector.url, {"Authorization": "Bearer t"}, 1.0, {"deployment.environment.name": "test"}
    )
    made.put([LINE])
    made.close()
    path, headers, data = collector.requests[0]
    assert path == "/v1/traces"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["authorization"] == "Bearer t"
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    resource = named(ExportTraceServiceRequest.FromString(data).resource_spans[0].resource.attributes)
    assert resource["service.name"] == "toolgate"
    assert resource["deployment.environment.name"] == "test"
    assert resource["service.instance.id"]


def test_a_share_is_exported(collector):
    made = exporter_to("http", collector.url, {}, 0.0, {})
    made.put([LINE, line_of(trace(refusal()))])
    made.close()
    assert [span.name for span in collector.spans] == ["execute_tool bank"]
    assert (made.exported, made.dropped) == (1, 0)


@pytest.mark.parametrize(
    ("status", "again"), [(429, True), (503, True), (504, True), (400, False), (401, False), (500, False)]
)
def test_statuses_say_whether_to_try_again(status, again):
    found = Collector([status])
    way = HttpSender(found.url, {})
    sent = way.send(b"")
    assert (bool(sent.error), sent.again) == (True, again)
    assert way.send(b"") == Sent()
    way.close()
    found.close()


def test_a_path_of_the_endpoint_is_used_as_it_is(collector):
    way = HttpSender(f"{collector.url}/otlp/x", {})
    way.send(b"")
    way.close()
    assert collector.requests[0][0] == "/otlp/x"


def test_spans_that_were_rejected_are_said_and_not_sent_again():
    partial = ExportTracePartialSuccess(rejected_spans=2, error_message="too old")
    found = Collector(body=ExportTraceServiceResponse(partial_success=partial).SerializeToString())
    way = HttpSender(found.url, {})
    assert way.send(b"") == Sent("2 spans were rejected: too old")
    way.close()
    found.close()


def test_nobody_listens():
    way = HttpSender("http://127.0.0.1:9", {}, timeout=1.0)
    sent = way.send(b"")
    assert sent.again
    assert "refused" in sent.error


def test_over_grpc_a_collector_gets_the_same():
    got: list[tuple[bytes, dict[str, str]]] = []
    codes = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INVALID_ARGUMENT, None]

    def export(data: bytes, context: grpc.ServicerContext) -> bytes:
        got.append((data, dict(context.invocation_metadata())))
        if (code := codes.pop(0)) is not None:
            context.abort(code, "no")
        return b""

    handlers = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("opentelemetry.proto.collector.trace.v1.TraceService", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    way = sender("grpc", f"http://127.0.0.1:{port}", {"Authorization": "Bearer t"})
    assert isinstance(way, GrpcSender)
    assert way.send(b"1") == Sent("gRPC UNAVAILABLE: no", again=True)
    assert way.send(b"2") == Sent("gRPC INVALID_ARGUMENT: no")
    assert way.send(b"3") == Sent()
    assert [data for data, _ in got] == [b"1", b"2", b"3"]
    assert got[0][1]["authorization"] == "Bearer t"
    way.close()
    server.stop(None)


def test_without_grpcio_it_is_said_what_to_install(monkeypatch):
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(senders, "import_module", missing)
    with pytest.raises(ConfigError, match=r"trace\.otlp\.protocol.*grpcio"):
        sender("grpc", "http://127.0.0.1:4317", {})
