"""Events of streams: however the bytes are cut, the same events, and every byte once."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.understand.sse import Event, EventParser, event

LINES = st.sampled_from(
    [b"data: {}", b"data:x", b"data", b"event: message", b"event:done", b": ping", b"id: 7", b"retry: 10", b"", b"odd"]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=30).map(lambda lines: b"".join(line + end for line, end in lines))


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut at these places."""
    places = sorted({0, len(data), *[cut % (len(data) + 1) for cut in cuts]})
    return [data[one:two] for one, two in itertools.pairwise(places)]


def parse(pieces: list[bytes]) -> list[Event]:
    parser = EventParser()
    events = [found for piece in pieces for found in parser.feed(piece)]
    return events + parser.end()


def by_the_standard(data: bytes) -> list[tuple[str, bytes]]:
    """Name and data of each event that has data, read line by line as the standard says."""
    found, name, lines = [], "", []
    for line in [*re.split(rb"\r\n|\n|\r", data), b""]:
        if not line:
            if lines and b"\n".join(lines):
                found.append((name, b"\n".join(lines)))
            name, lines = "", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode()
        elif field == b"data":
            lines.append(value)
    return found


@given(STREAMS, st.lists(st.integers(0, 500)))
def test_any_chunking_gives_the_same_events_and_every_byte_once(data, cuts):
    events = parse(chunks(data, cuts))
    assert events == parse([data])
    assert b"".join(found.raw for found in events) == data


@given(STREAMS)
def test_events_are_those_of_the_standard(data):
    assert [(found.name, found.data) for found in parse([data]) if found.data] == by_the_standard(data)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
def test_no_bytes_at_all_are_lost_or_refused(data, cuts):
    assert b"".join(found.raw for found in parse(chunks(data, cuts))) == data


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_an_event_is_there_as_soon_as_its_empty_line_is(end):
    parser = EventParser()
    assert parser.feed(b"event: a" + end + b"data: 1" + end) == []
    [found] = parser.feed(end)
    assert (found.name, found.data) == ("a", b"1")


def test_a_byte_order_mark_is_no_part_of_the_first_line():
    assert parse([b"\xef\xbb\xbfdata: 1\n\n"])[0].data == b"1"


def test_an_event_without_its_empty_line_is_read_at_the_end():
    assert [found.data for found in parse([b"data: 1\n\ndata: [DONE]"])] == [b"1", b"[DONE]"]


def test_an_event_over_the_limit_comes_in_pieces_without_data_and_the_next_one_is_read():
    parser = EventParser(limit=10)
    events = parser.feed(b"data: 123456789")
    assert (events, parser.overflow) == ([Event(b"data: 123456789")], True)
    assert [found.data for found in parser.feed(b"\ndata: 2\n\ndata: 3\n\n")] == [b"", b"3"]


def test_an_event_is_written_as_it_is_read():
    [found] = parse([event(b"one\ntwo", "note")])
    assert (found.name, found.data) == ("note", b"one\ntwo")


@pytest.mark.parametrize("nothing", [b"\n\n", b":\n\n", b": keep-alive\r\n\r\n", b":x\n", b"\n"])
def test_a_flood_of_lines_that_say_nothing_is_few_events(nothing):
    stream = b"data: 1\n\n" + nothing * 5000 + b"data: 2\n\n"
    parser = EventParser()
    events = [
        event for at in range(0, len(stream), 4096) for event in parser.feed(stream[at : at + 4096])
    ] + parser.end()
    assert b"".join(event.raw for event in events) == stream
    assert [event.data for event in events if event.data] == [b"1", b"2"]
    assert len(events) < 200
