"""What is written by hand reads back with OpenTelemetry's own messages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from gateway.observe.otel import protobuf
from tests.observe.otel.collector import named

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=300)
values = st.one_of(
    text, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.lists(text, max_size=3)
)
attributes = st.dictionaries(text, values, max_size=5)
nanoseconds = st.integers(0, 2**63)


@given(
    ids=st.tuples(
        st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8), st.sampled_from([b"", b"p" * 8])
    ),
    name=text, times=st.tuples(nanoseconds, nanoseconds), given=attributes, event=attributes,
    error=st.none() | text, flags=st.integers(0, 0x3FF),
)  # fmt: skip
def test_a_span_reads_back_as_it_was_written(ids, name, times, given, event, error, flags):
    events = [protobuf.event(times[0], name, protobuf.attributes(3, event))]
    span = protobuf.span(
        ids, name, protobuf.CLIENT, times, protobuf.attributes(9, given), events, error=error, flags=flags
    )
    data = protobuf.request(protobuf.attributes(1, given), protobuf.scope("s", "1"), [span, span])
    request = ExportTraceServiceRequest.FromString(data)
    resource = request.resource_spans[0]
    assert named(resource.resource.attributes) == given
    assert (resource.scope_spans[0].scope.name, resource.scope_spans[0].scope.version) == ("s", "1")
    read, again = resource.scope_spans[0].spans
    assert read == again
    assert (read.trace_id, read.span_id, read.parent_span_id) == ids
    assert (read.name, read.kind, read.flags) == (name, 3, flags)
    assert (read.start_time_unix_nano, read.end_time_unix_nano) == times
    assert named(read.attributes) == given
    assert (read.events[0].time_unix_nano, read.events[0].name, named(read.events[0].attributes)) == (
        times[0], name, event,
    )  # fmt: skip
    assert (read.status.code, read.status.message) == ((0, "") if error is None else (2, error))


@given(st.integers(0, 2**63 - 1), text)
def test_what_a_collector_rejects_is_read(number, why):
    partial = ExportTracePartialSuccess(rejected_spans=number, error_message=why)
    answer = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    assert protobuf.rejected(answer) == (number, why)


@given(st.binary(max_size=64))
def test_an_answer_that_is_none_of_otlp_says_nothing_and_breaks_nothing(answer):
    number, why = protobuf.rejected(answer)
    assert isinstance(number, int)
    assert isinstance(why, str)
