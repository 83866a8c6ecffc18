"""Trace logs as one line of time: every record once, in the order in which the calls asked for their decision.

A log has calls in the order of their ends, and several logs overlap. Only places and times are kept here, 24 bytes a
call; the records are read when their turn comes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from gateway.rehearse.records import HEADS, Head


class Log(Protocol):
    """A log's bytes: ``bytes``, or a mapped file."""

    def find(self, sub: bytes, start: int = ...) -> int: ...

    def __getitem__(self, key: slice) -> bytes: ...

    def __len__(self) -> int: ...


class Timeline:
    """The records of these logs. ``epoch`` is the wall time (seconds since the epoch) that times count from.

    Times are those of the gateway's steady clock where the records have it: of one process exactly, of several put
    side by side by the wall time of each one's first record.
    """

    def __init__(self, logs: Sequence[Log]) -> None:
        self._logs = logs
        self._times, self._starts, self._lengths = array("d"), array("Q"), array("L")
        self._of: array[int] = array("H")
        self._offsets: dict[str, float] = {}
        self.epoch = 0.0
        self.unusable = 0
        """Lines that are no records: torn by a crash, or not ours."""
        for number, log in enumerate(logs):
            self._read(number, log)
        self._order = sorted(range(len(self._times)), key=self._times.__getitem__)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        """When each call asked for its decision, in seconds from ``epoch``, and its record's line."""
        for at in self._order:
            start = self._starts[at]
            yield self._times[at], self._logs[self._of[at]][start : start + self._lengths[at]]

    def _read(self, number: int, log: Log) -> None:
        start, size = 0, len(log)
        while start < size:
            end = log.find(b"\n", start)
            end = size if end < 0 else end
            line = log[start:end]
            if line.strip():
                self._add(number, start, line)
            start = end + 1

    def _add(self, number: int, start: int, line: bytes) -> None:
        try:
            time = self._time(HEADS.decode(line))
        except (msgspec.DecodeError, ValueError):
            self.unusable += 1
            return
        self._times.append(time)
        self._starts.append(start)
        self._lengths.append(len(line))
        self._of.append(number)

    def _time(self, head: Head) -> float:
        """When the call asked: it had arrived, and its body been read; what it waited in a queue comes after."""
        if head.clock is None:
            clock, process = wall_of(head.ts), ""
            offset = 0.0
        else:
            clock, process = head.clock, head.call.rpartition("-")[0]
            known = self._offsets.get(process)
            offset = wall_of(head.ts) - clock if known is None else known
        self._offsets[process] = offset
        if not self._times:
            self.epoch = offset
        return clock + (offset - self.epoch) + head.timings.decide_ms / 1e3


def wall_of(ts: str) -> float:
    """Seconds since the epoch of an RFC 3339 time in UTC. Raises ValueError where it is none."""
    return datetime.fromisoformat(ts).timestamp()
