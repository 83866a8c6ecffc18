"""What is known of memories that tools keep and agents share: how each key stands, and which run has seen what of it.

A key stands as its last *change* left it. A change has an identity of its own (the id of the call that made it or that
found it), never only a version: a version that comes back (the same text, a counter that begins again) is another
change all the same. What runs have seen, and what writes are based on, is compared by that identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class How(StrEnum):
    """How a change came to be known."""

    FOUND = "found"
    """Somebody read it, and it is not as it was known before: changed past the gateway, or seen for the first time."""
    WRITTEN = "written"
    DELETED = "deleted"
    UNKNOWN = "unknown"
    """A write was sent, and nobody knows whether it has been carried out."""


class Touch(Struct, frozen=True):
    """What a call does with one key."""

    memory: str
    """The memory that the key is of: a name of the operator's, by default that of the tool."""
    key: str
    writes: bool = False
    deletes: bool = False
    guarded: bool = False
    """The store itself refuses the write where something stands that its run has not read."""
    max_age: float = 0.0
    """Seconds after which what a run has seen of it counts as old; 0 is never."""

    @property
    def place(self) -> tuple[str, str]:
        """Memory and key."""
        return self.memory, self.key


class Change(Struct, frozen=True):
    """What made a key stand as it does."""

    id: str
    """Of the call that made it, or was the first to find it."""
    how: How
    agent: str = ""
    """Who made it; empty where nobody knows."""
    run: str = ""
    at: float = 0.0
    """Seconds since the epoch; of what was found, when."""
    versions: Mapping[str, str] = {}
    """What tells this state from others, by the kind of evidence (``etag``, an operation whose results have digests):
    only versions of the same kind can be compared."""
    text: str | None = None
    """What stands there, where it is known and short enough to be kept."""
    labels: tuple[str, ...] = ()
    """Of the run that wrote it: whoever reads it, has read what that run had read."""


class Standing(Struct, frozen=True):
    """How a key stands: its last changes, the newest last, and who is writing it right now."""

    changes: tuple[Change, ...]
    writer: str = ""
    """Id of the call that is writing; empty for nobody."""
    writing: str = ""
    """Its agent."""
    until: float = 0.0
    """When a writer of which nothing was heard counts as gone, in seconds since the epoch."""

    @property
    def newest(self) -> Change:
        """What made it stand as it does."""
        return self.changes[-1]

    def find(self, ident: str) -> Change | None:
        """The change with this id, where it is still known."""
        return next((change for change in self.changes if change.id == ident), None)


class Seen(Struct, frozen=True):
    """What a run has last seen of a key."""

    change: str
    """The id of the change that had made it so; of one that nobody can know to be the newest, empty."""
    at: float
    """When, in seconds since the epoch."""
    whole: bool = True
    """Whether it saw what stands there; else only that something does (a list of names)."""
    again: str = ""
    """The tool and the target of a GET that shows it again, with a space between; empty where there is none."""
    sent: str | None = None
    """What it has sent since, in a write that was merged with what it has not seen: what it takes to stand there."""


class Glance(Struct, frozen=True):
    """What a call finds at a key that it touches, before anything is decided."""

    touch: Touch
    standing: Standing | None = None
    seen: Seen | None = None
    merged: str = ""
    """Whose change the write has been merged with, so that it overwrites nothing; empty for nobody's."""
    ours: str | None = None
    """What it would have written, before it was merged."""
    clash: str = ""
    """Why it could not be merged, where it should be."""
    labels: tuple[str, ...] = ()
    """Of keys of its memory that have been forgotten, where nothing is known of it: it may be one of them."""
    edition: int = 0
    """In which it came to stand so, in a book that replicas share: whoever knows it need not look again. 0: look."""

    @property
    def stale(self) -> bool:
        """Whether the key does not stand any more as the run saw it; also where nothing is known of it any more, since
        then nobody can tell."""
        if self.seen is None or self.merged:
            return False
        return self.standing is None or self.seen.change != self.standing.newest.id

    @property
    def unread(self) -> bool:
        """Whether the run has not seen what stands there (or that nothing does)."""
        return self.seen is None or not self.seen.whole

    def old(self, now: float) -> bool:
        """Whether the run saw it longer ago than it may rely on; ``now`` in seconds since the epoch."""
        return self.seen is not None and 0 < self.touch.max_age < now - self.seen.at

    @property
    def stands(self) -> bool:
        """Whether something is known to stand there."""
        return self.standing is not None and self.standing.newest.how is not How.DELETED


class Learnt(Struct, frozen=True):
    """What an answer tells of one key."""

    place: tuple[str, str]
    versions: Mapping[str, str] = {}
    text: str | None = None
    whole: bool = True
    """Whether the agent sees with it what stands there."""
    gone: bool = False
    """Whether it tells that nothing stands there."""
    again: str = ""
    """As ``Seen.again``."""


class Recalled(Struct, frozen=True):
    """What came of one key that a call touched."""

    place: tuple[str, str]
    how: str
    """``read``, ``gone``, ``late`` (an older state than is known); of a write ``written``, ``deleted``, ``unknown``, or
    ``refused`` by its store; of what the gateway itself has asked for again ``verified``, ``changed``,
    ``unverified``."""
    version: str = ""
    """By what the state that was read or made is told from others, where the answer says it."""
