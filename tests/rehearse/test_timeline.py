"""Logs as one line of time."""

from __future__ import annotations

import orjson
import pytest

from gateway.rehearse.timeline import Timeline, wall_of


def line(call: str, ts: str, clock: float | None = None, decide_ms: float = 0.0) -> bytes:
    record = {"call": call, "ts": f"2026-01-05T{ts}Z", "timings": {"decide_ms": decide_ms, "total_ms": 9.0}}
    return orjson.dumps(record if clock is None else {**record, "clock": clock}) + b"\n"


def calls(timeline: Timeline) -> list[str]:
    return [orjson.loads(line)["call"] for _, line in timeline]


def test_calls_come_in_the_order_in_which_they_asked_not_in_that_of_their_ends():
    log = line("p-2", "12:00:02", 102.0) + line("p-1", "12:00:01", 101.0) + line("p-3", "12:00:02", 102.0, 500.0)
    timeline = Timeline([log])
    assert calls(timeline) == ["p-1", "p-2", "p-3"]
    assert [at for at, _ in timeline] == [101.0, 102.0, 102.5]


def test_several_logs_are_put_side_by_side_by_the_wall_time():
    one = line("a-1", "12:00:00", 7.0) + line("a-2", "12:00:10", 17.0)
    two = line("b-1", "12:00:05", 90_000.0)
    timeline = Timeline([two, one])
    assert calls(timeline) == ["a-1", "b-1", "a-2"]
    assert timeline.epoch + dict(zip(calls(timeline), (at for at, _ in timeline), strict=True))["a-2"] == pytest.approx(
        wall_of("2026-01-05T12:00:10Z")
    )


def test_the_steady_clock_counts_within_a_process_whatever_the_wall_clock_does():
    log = line("p-1", "12:00:00", 1.0) + line("p-2", "11:00:00", 2.0)
    assert calls(Timeline([log])) == ["p-1", "p-2"]


def test_logs_without_the_steady_clock_go_by_the_wall_time():
    assert calls(Timeline([line("p-2", "12:00:02") + line("p-1", "12:00:01")])) == ["p-1", "p-2"]


def test_lines_that_are_no_records_are_counted_and_passed_over():
    torn = line("p-2", "12:00:02", 2.0)[:40]
    log = b"\n" + line("p-1", "12:00:01", 1.0) + torn + b"\n[1]\n" + line("q-1", "not a time", 3.0) + b"\xff\n"
    timeline = Timeline([log, b"", line("p-4", "12:00:04", 4.0).rstrip()])
    assert calls(timeline) == ["p-1", "p-4"]
    assert len(timeline) == 2
    assert timeline.unusable == 4
