"""Answers that are cut where they come to cost more than was reserved for them."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from gateway.errors import CutShort
from gateway.model import Findings, Refusal
from gateway.understand.reader import Answer

Beyond = Callable[[Findings], Refusal | None]
"""The refusal of an answer of which so much is known, or None while it may go on."""


class CutStream:
    """A stream that passes through ``inner``, and ends with an error in the provider's shape where it goes too far."""

    rewrites = True
    whole = False

    def __init__(self, inner: Answer, failed: Callable[[Refusal], bytes], beyond: Beyond) -> None:
        self._inner, self._failed, self._beyond = inner, failed, beyond
        self._refusal: Refusal | None = None

    def feed(self, data: bytes) -> bytes:
        """The bytes that ``inner`` lets pass.

        Raises:
            CutShort: the answer ends here.
        """
        passed = self._inner.feed(data)
        refusal = self._beyond(self._inner.found())
        if refusal is None:
            return passed
        self._refusal = refusal
        raise CutShort(refusal.reason, refusal.detail, passed + self._failed(refusal))

    def end(self) -> bytes:
        """What is left of ``inner``."""
        return self._inner.end()

    def found(self) -> Findings:
        """What was read so far, and why no more was."""
        found = self._inner.found()
        if self._refusal is None:
            return found
        return structs.replace(found, refusal=self._refusal, notes=(*found.notes, f"cut: {self._refusal.detail}"))

    def refusal(self) -> Refusal | None:
        """None: the head has gone out."""
        return None


def cut_where(answer: Answer, beyond: Beyond) -> Answer:
    """The answer, cut where it goes too far; as it is where it is no stream that can end with an error."""
    failed: Callable[[Refusal], bytes] | None = getattr(answer, "failed", None)
    return answer if answer.whole or failed is None else CutStream(answer, failed, beyond)
