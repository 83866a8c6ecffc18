"""An answer on its way to the agent, of which the run's flow, and the memories that agents share, hear what the agent
gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.model import NOTHING_FOUND

MOST_HEARD = 1 << 20
"""Bytes of one answer that are heard; what comes after is as if it had been seen nowhere."""
MOST_TRIES = 16
"""Times that a stream of events is asked whether it holds the answer already."""
_BETWEEN = (b"\n\n", b"\r\r", b"\r\n\r\n")

Learns = Callable[[bytes | None, bool], bool]
"""Is told of a whole answer (None: it is too long), or, with false, of a stream of events as far as it has come; gives
whether it has heard what it is after."""


class Listening:
    """Wraps the answer that the protocol's reader has made, or None where it is passed on as it comes. Implements
    ``reader.Answer``."""

    __slots__ = ("_ended", "_events", "_hear", "_kept", "_learns", "_size", "_tries", "inner", "rewrites", "whole")

    def __init__(
        self,
        inner: Any,
        hear: Callable[[bytes], None] | None,
        learns: Learns | None = None,
        *,
        events: bool = False,
    ) -> None:
        """``hear`` is told once of all that the agent has got (up to MOST_HEARD): when the answer has ended, or has
        been broken off. ``learns`` is told of one that has ended, and of a stream of ``events`` also before that, since
        agents go on as soon as they have what they asked for."""
        self.inner, self._hear, self._learns, self._events = inner, hear, learns, events
        self._ended = False
        self._tries = MOST_TRIES if events else 0
        self.rewrites = inner is not None and inner.rewrites
        self.whole = inner is not None and inner.whole
        self._kept: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """A piece as it came; the bytes for the agent."""
        out: bytes = data if self.inner is None else self.inner.feed(data)
        self._keep(out if self.rewrites else data)
        if self._learns is not None and self._tries and not self.whole and data.endswith(_BETWEEN):
            self._tries -= 1
            self._learn(ended=False)
        return out

    def end(self) -> bytes:
        """What is left for the agent."""
        out: bytes = b"" if self.inner is None else self.inner.end()
        self._keep(out)
        self._ended = True
        if not self.whole:
            self.heard()
        return out

    def heard(self) -> None:
        """Tell what there is, once."""
        if self._learns is not None and (self._ended or self._events):
            self._learn(ended=self._ended)
        hear, self._hear, self._learns = self._hear, None, None
        kept, self._kept = self._kept, []
        if kept and hear is not None:
            hear(b"".join(kept))

    def _learn(self, *, ended: bool) -> None:
        if self._learns is not None and self._learns(self._whole(), ended):
            self._learns = None

    def _whole(self) -> bytes | None:
        return b"".join(self._kept) if self._size <= MOST_HEARD else None

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        if self._size < MOST_HEARD:
            self._kept.append(data[: MOST_HEARD - self._size])
        self._size += len(data)

    def found(self) -> Any:
        """What the reader has found."""
        return NOTHING_FOUND if self.inner is None else self.inner.found()

    def refusal(self) -> Any:
        """Why the agent gets something else instead."""
        return None if self.inner is None else self.inner.refusal()
