"""The trace log: costs a call one append; encoded in batches on the loop, written by a thread of its own.

Bounded in records and bytes. When it is full, ``drop`` loses new records (counted) and ``refuse`` makes the pipeline
refuse calls until there is room again: whatever was let through is on record, at the price of standing still.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from time import monotonic
from typing import Any, Literal

import orjson

from gateway.model import Permit, Trace
from gateway.observe.chain.writer import AuditLog, Written
from gateway.observe.constants import Constants
from gateway.observe.keeping import NOTHING, Keeping
from gateway.observe.links import Links
from gateway.observe.masked import masked_line
from gateway.observe.redact import Redactor
from gateway.observe.store.rows import Stored, stored, stored_record
from gateway.observe.store.thread import TraceStore
from gateway.observe.writer import STDOUT, Writer

BATCH = 128
"""Records encoded at once at most..."""
LINGER = 0.05
"""... and the longest that one waits for company, in seconds."""
MOST_BYTES = 64 << 20
"""Encoded and unwritten bytes, at most, whatever ``capacity`` says: long lines must not eat the memory."""

_NOTHING = b"", None, False

log = logging.getLogger("toolgate.trace")

Observer = Callable[[Trace], None]
Follower = Callable[[list[bytes]], None]


class TraceLog:
    """ports.Recorder for one process. Use it from one loop; ``close`` once, at the end."""

    def __init__(
        self,
        file: str = STDOUT,
        on_failure: Literal["drop", "refuse"] = "drop",
        capacity: int = 100_000,
        observers: tuple[Observer, ...] = (),
        *,
        settings: Keeping = NOTHING,
        store: TraceStore | None = None,
        followers: tuple[Follower, ...] = (),
        redactor: Redactor | None = None,
        links: Links | None = None,
        constants: Constants | None = None,
        audit: AuditLog | None = None,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        """Open ``file`` (``-`` is stdout). ``capacity``: records unwritten at most. ``settings``: what records keep.

        ``observers`` are told of every trace, dropped or not, in batches and off the call's way (metrics). ``store``
        gets every record that the file gets, and is closed with the log; ``followers`` get each batch of these lines.
        ``redactor`` masks what must not be in a record; by default, what looks like a credential. ``links`` tells which
        proposal of a model a call follows, ``constants`` what changed within its run. ``audit`` is told of every call,
        dropped or not, and closed with the log.

        Raises:
            ConfigError: the file cannot be opened.
        """
        self._writer = Writer(file, write)
        self._settings = settings
        self._refuses = on_failure == "refuse"
        self._capacity = capacity
        self._observers = observers
        self._store = store
        self._followers = followers
        self._redactor = redactor or Redactor()
        self._links = links
        self._constants = constants
        self._audit = audit
        self._pending: list[Trace] = []
        self._timer: asyncio.TimerHandle | None = None
        self._accepted = 0
        self._held: list[tuple[int, int]] = []
        """Batches not known to be written: records accepted up to their end, and their bytes."""
        self._held_bytes = 0
        self.dropped = 0
        """Records lost so far."""

    @property
    def available(self) -> bool:
        """False where calls must be refused because they could not be recorded."""
        return not (self._refuses and self._full()) and (self._audit is None or self._audit.available)

    def record(self, trace: Trace) -> None:
        """Take a trace. Costs an append; the rest happens later."""
        pending = self._pending
        pending.append(trace)
        if len(pending) >= BATCH:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self.flush)

    def flush(self) -> None:
        """Encode what is pending and hand it to the writer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        traces, self._pending = self._pending, []
        for observe in self._observers:
            for trace in traces:
                observe(trace)
        self._forget_written()
        # A log that refuses when full still takes the calls that were let through before: these are few, at most the
        # calls in flight, and they are what it promised to keep. Refusals are not, and may be many.
        room = 0 if self._full() else self._capacity - (self._accepted - self._writer.written)
        lines: list[bytes] = []
        kept: list[Stored] = []
        audited: list[Written] = []
        for trace in traces:
            keep = len(lines) < room or (self._refuses and isinstance(trace.decision, Permit))
            masked, known, usual = self._masked(trace) if keep or self._audit is not None else _NOTHING
            audited.append((known, masked or b'{"call":"%b"}' % trace.id.encode()))
            if keep and masked:
                lines.append(masked)
                if self._store is not None:
                    kept.append(_stored(known, masked, usual))
            else:
                self.dropped += 1
        if self._audit is not None:
            self._audit.put(audited)
        if self._store is not None and kept:
            self._store.put(kept)
        if lines:
            for follow in self._followers:
                follow(lines)
            data = b"".join(lines)
            self._accepted += len(lines)
            self._held.append((self._accepted, len(data)))
            self._held_bytes += len(data)
            self._writer.put((data, len(lines)))

    def status(self) -> dict[str, Any]:
        """For the readiness page: where traces go, and whether they arrive."""
        kept = {} if self._store is None else {"store": self._store.status()}
        return {
            "file": self._writer.path,
            "available": self.available,
            "unwritten": self._accepted - self._writer.written,
            "dropped": self.dropped,
            "error": self._writer.error or None,
            **kept,
        }

    def close(self, timeout: float = 5.0) -> int:
        """Write what is left, for at most ``timeout`` seconds (blocking). Returns how many records were not."""
        self.flush()
        end = monotonic() + timeout
        self._writer.close(timeout)
        if self._audit is not None:
            self._audit.close(max(0.1, end - monotonic()))
        if self._store is not None and (unstored := self._store.close(max(0.1, end - monotonic()))):
            log.error("%d traces were not stored in %s before the end", unstored, self._store.path)
        lost = self._accepted - self._writer.written
        if lost:
            log.error("%d traces were not written to %s before the end", lost, self._writer.path)
        return lost

    def _masked(self, trace: Trace) -> tuple[bytes, Trace | None, bool]:
        """The line without secrets, nothing where it cannot be made; the trace, None where the line says less; and
        whether it is a usual one."""
        try:
            if self._constants is not None:
                trace = self._constants.noted(trace)
            link = self._links.linked(trace) if self._links is not None else None
            line, unmasked, usual = masked_line(trace, self._settings, link, self._redactor)
        except (TypeError, ValueError, OverflowError, RecursionError):
            log.exception("the trace of call %s cannot be encoded", trace.id)
            return _NOTHING
        return line, trace if unmasked else None, usual

    def _full(self) -> bool:
        if self._accepted + len(self._pending) - self._writer.written >= self._capacity:
            return True
        if self._held_bytes < MOST_BYTES:
            return False
        self._forget_written()
        return self._held_bytes >= MOST_BYTES

    def _forget_written(self) -> None:
        """Count down the bytes of batches that the writer has finished."""
        written, held = self._writer.written, self._held
        done = 0
        while done < len(held) and held[done][0] <= written:
            self._held_bytes -= held[done][1]
            done += 1
        del held[:done]


def _stored(trace: Trace | None, line: bytes, usual: bool) -> Stored:
    return stored_record(orjson.loads(line), line) if trace is None else stored(trace, line, usual=usual)
