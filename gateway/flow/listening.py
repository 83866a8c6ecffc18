"""An answer on its way to the agent, of which the run's flow hears what the agent gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.model import NOTHING_FOUND

MOST_HEARD = 1 << 20
"""Bytes of one answer that are heard; what comes after is as if it had been seen nowhere."""


class Listening:
    """Wraps the answer that the protocol's reader has made, or None where it is passed on as it comes. Implements
    ``reader.Answer``."""

    __slots__ = ("_hear", "_kept", "_size", "inner", "rewrites", "whole")

    def __init__(self, inner: Any, hear: Callable[[bytes], None]) -> None:
        """``hear`` is told once of all that the agent has got (up to MOST_HEARD): when the answer has ended, or has
        been broken off."""
        self.inner, self._hear = inner, hear
        self.rewrites = inner is not None and inner.rewrites
        self.whole = inner is not None and inner.whole
        self._kept: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """A piece as it came; the bytes for the agent."""
        out: bytes = data if self.inner is None else self.inner.feed(data)
        self._keep(out if self.rewrites else data)
        return out

    def end(self) -> bytes:
        """What is left for the agent."""
        out: bytes = b"" if self.inner is None else self.inner.end()
        self._keep(out)
        if not self.whole:
            self.heard()
        return out

    def heard(self) -> None:
        """Tell what there is, once."""
        kept, self._kept = self._kept, []
        if kept:
            self._hear(b"".join(kept))

    def _keep(self, data: bytes) -> None:
        if data and self._size < MOST_HEARD:
            self._kept.append(data[: MOST_HEARD - self._size])
            self._size += len(data)

    def found(self) -> Any:
        """What the reader has found."""
        return NOTHING_FOUND if self.inner is None else self.inner.found()

    def refusal(self) -> Any:
        """Why the agent gets something else instead."""
        return None if self.inner is None else self.inner.refusal()
