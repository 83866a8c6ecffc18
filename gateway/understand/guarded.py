"""An answer that guardrails, or people, are asked about before any of it is passed on."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from gateway.model import Findings, Refusal
from gateway.understand.reader import Answer


class Guarded:
    """Holds back the whole answer that the protocol's reader has made, a stream of events too, and keeps it where it
    must be kept. Implements ``reader.Answer``."""

    rewrites = whole = True

    def __init__(self, inner: Answer, names: Mapping[str, bool]) -> None:
        self._inner = inner
        self.names = names
        """Guardrails that are asked before it is read, and whether each must answer."""
        self.withheld: Refusal | None = None
        """Why the agent gets none of it, whatever the rules would say."""

    def feed(self, data: bytes) -> bytes:
        """The bytes that the reader lets pass; none where it is withheld."""
        return b"" if self.withheld is not None else self._inner.feed(data)

    def end(self) -> bytes:
        """What is left for the agent."""
        return b"" if self.withheld is not None else self._inner.end()

    def found(self) -> Findings:
        """What the reader has found, and why it was withheld."""
        found = self._inner.found()
        return found if self.withheld is None else structs.replace(found, refusal=self.withheld)

    def refusal(self) -> Refusal | None:
        """Why the agent gets something else instead."""
        return self.withheld or self._inner.refusal()
