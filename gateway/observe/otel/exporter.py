"""Spans to a collector, from a thread of its own: a slow or absent collector is this thread's trouble only.

Costs a call nothing but its share of handing over a batch of lines, which are written anyway. What waits is bounded in
bytes; beyond that, records are not exported, and counted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from time import monotonic, sleep, time

import orjson

from gateway.observe.otel.kinds import Kinds, Peer
from gateway.observe.otel.protobuf import request
from gateway.observe.otel.sampling import Sampling
from gateway.observe.otel.senders import Sender
from gateway.observe.otel.spans import spans_of

MOST_BYTES = 16 << 20
"""Of lines that wait, at most."""
MOST_AT_ONCE = 512
"""Records in one request."""
LINGER = 1.0
"""Seconds that a record waits for company."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two tries; doubled each time."""
_SLICE = 16
"""Records encoded before others may run: this thread shares the interpreter with the one that serves calls."""

log = logging.getLogger("toolgate.otel")


class Exporter:
    """``put`` on the loop, everything else in the thread; ``close`` once, at the end."""

    def __init__(
        self,
        sender: Sender,
        resource: bytes,
        scope: bytes,
        sampling: Sampling,
        *,
        linger: float = LINGER,
        pause: float = FIRST_PAUSE,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Start. ``resource`` and ``scope`` in their encoding (``protobuf.attributes`` and ``scope``)."""
        self._sender, self._resource, self._scope, self._sampling = sender, resource, scope, sampling
        self._linger, self._pause, self._most_bytes = linger, pause, most_bytes
        self.peers: Mapping[str, Peer] = {}
        """The tools by name; set anew with each version of the configuration."""
        self._kinds = Kinds()
        self.exported = 0
        """Records whose spans a collector has taken."""
        self._turned_away = self._refused = 0
        self.error = ""
        """What the last try failed with; empty while exporting works."""
        self._put_bytes = self._done_bytes = 0
        self._lines: SimpleQueue[list[bytes] | None] = SimpleQueue()
        self._closing = threading.Event()
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._work, name="toolgate-otel", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Records that were to be exported, and will not be."""
        return self._turned_away + self._refused

    def put(self, lines: list[bytes]) -> None:
        """Hand over records as their lines. Never waits."""
        size = sum(map(len, lines))
        if self._put_bytes - self._done_bytes + size > self._most_bytes:
            self._turned_away += len(lines)
            return
        self._put_bytes += size
        self._lines.put(lines)

    def status(self) -> dict[str, object]:
        """For the readiness page."""
        return {"exported": self.exported, "dropped": self.dropped, "error": self.error or None}

    def close(self, timeout: float = 5.0) -> None:
        """Export what waits, for at most ``timeout`` seconds."""
        self._deadline = monotonic() + timeout
        self._closing.set()
        self._lines.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        more = True
        while more:
            lines, more = self._gather()
            for at in range(0, len(lines), MOST_AT_ONCE):
                self._export(lines[at : at + MOST_AT_ONCE])
        self._sender.close()

    def _gather(self) -> tuple[list[bytes], bool]:
        """Lines for one request or a few more, and whether others may follow."""
        first = self._lines.get()
        if first is None:
            return [], False
        gathered, end = list(first), monotonic() + self._linger
        while len(gathered) < MOST_AT_ONCE:
            try:
                following = self._lines.get(timeout=max(0.0, end - monotonic()))
            except Empty:
                break
            if following is None:
                return gathered, False
            gathered += following
        return gathered, True

    def _export(self, lines: list[bytes]) -> None:
        spans, count = self._encoded(lines)
        if spans:
            taken = self._persist(request(self._resource, self._scope, spans))
            if taken:
                self.exported += count
            else:
                self._refused += count
        self._done_bytes += sum(map(len, lines))

    def _encoded(self, lines: list[bytes]) -> tuple[list[bytes], int]:
        """Their spans, but for those that are not in the sample, and of how many records."""
        offset = time() - monotonic()
        spans: list[bytes] = []
        for number, line in enumerate(lines):
            if number % _SLICE == _SLICE - 1:
                sleep(0)
            try:
                record = orjson.loads(line)
                if self._sampling.takes(record):
                    spans.append(spans_of(record, self.peers, offset, self._kinds))
            except (KeyError, TypeError, ValueError, OverflowError):
                log.exception("a record cannot be exported")
                self._refused += 1
        return spans, len(spans)

    def _persist(self, data: bytes) -> bool:
        """Send it, however often it takes. False: the collector will not have it, or there is no more time."""
        pause = self._pause
        while True:
            sent = self._sender.send(data)
            self._note(sent.error)
            if not sent.error:
                return True
            wait = max(pause, min(sent.wait, LONGEST_PAUSE))
            if not sent.again or (self._closing.is_set() and monotonic() + wait > self._deadline):
                return False
            if self._closing.is_set():
                sleep(wait)
            else:
                self._closing.wait(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _note(self, error: str) -> None:
        if error == self.error:
            return
        if error:
            log.error("spans cannot be exported: %s", error)
        else:
            log.warning("spans can be exported again")
        self.error = error
