"""What the ``memory:`` section of a tool says, compiled."""

from __future__ import annotations

from msgspec import Struct

from gateway.coherence.operations import Operations
from gateway.coherence.selectors import Selector

VersionBy = str | Selector
"""``etag``, ``last-modified``, ``digest``, or what gives the version."""


class DeclaredRead(Struct, frozen=True):
    """Operations that read keys."""

    label: str
    """Names what its digests are of, so that digests of other things are never compared with them."""
    operations: Operations
    key: Selector
    entries: Selector | None = None
    value: Selector | None = None
    versions: tuple[VersionBy, ...] | None = None
    """None: ``etag``, where there is none ``digest``."""
    partial: bool | Selector = False
    gone: Selector | None = None

    @property
    def of_answer(self) -> bool:
        """Whether only the answer tells the keys."""
        return self.entries is not None or self.key.of_answer


class DeclaredWrite(Struct, frozen=True):
    """Operations that write keys."""

    operations: Operations
    key: Selector
    value: Selector | None = None
    versions: tuple[VersionBy, ...] = ("etag",)
    conditional: bool = False
    """The store heeds If-Match and If-None-Match."""
    deletes: bool | None = None
    """None: those with the method DELETE."""
    sure: bool = False
    """After an error that the tool tells, nothing has happened, for certain."""


class Declared(Struct, frozen=True):
    """One tool's memory. The first entry whose operations match counts; writes win over reads."""

    name: str
    reads: tuple[DeclaredRead, ...]
    writes: tuple[DeclaredWrite, ...]
    conflict: str = "refuse"
    unread: str = "refuse"
    max_age: float = 0.0
    stale_reads: str = "mark"
    revalidate: bool = False
    """What runs have read is asked for again before rules read what has changed."""

    @property
    def needs_args(self) -> bool:
        """Whether the arguments of calls must be read."""
        for read in self.reads:
            asked = [read.key, *[each for each in (read.value, read.partial, read.gone) if isinstance(each, Selector)]]
            if any(each.needs_args(read.operations.named) for each in asked):
                return True
        return any(
            each is not None and each.needs_args(write.operations.named)
            for write in self.writes
            for each in (write.key, write.value)
        )
