"""The newest changes of approvals, for whoever watches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from gateway.approvals.docket import Docket
from gateway.model import Approval

KEPT = 2000
"""Changes that are kept for those who watch."""
MOST_WATCHING = 64
"""Who may watch at once."""


class Crowded(Exception):  # noqa: N818 - a state
    """As many watch already as may."""


class Changes:
    """A ring of approvals as they came to stand, numbered from 1. Used on one loop."""

    def __init__(self, docket: Docket, kept: int = KEPT) -> None:
        self._ring: deque[Approval] = deque(maxlen=kept)
        self._watching: set[asyncio.Event] = set()
        self.last = 0
        """The number of the newest change; 0 for none."""
        self.closed = False
        docket.watch(self._hear)

    @property
    def watched(self) -> int:
        """How many watch now."""
        return len(self._watching)

    def _hear(self, _: Approval | None, after: Approval | None) -> None:
        if after is None:  # long over; whoever watches was told of its end
            return
        self._ring.append(after)
        self.last += 1
        for event in self._watching:
            event.set()

    def after(self, number: int) -> tuple[list[Approval], bool]:
        """What has changed since the change of this number: each approval once, as it stands after the newest; and
        whether some of it is not known any more."""
        first = self.last - len(self._ring) + 1
        newest = {approval.id: approval for approval in islice(self._ring, max(0, number + 1 - first), None)}
        return list(newest.values()), number + 1 < first

    @contextmanager
    def watching(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something has changed, or no more will come (``closed``).

        Raises:
            Crowded: too many watch already.
        """
        if len(self._watching) >= MOST_WATCHING:
            raise Crowded(f"{MOST_WATCHING} watch the approvals already")
        event = asyncio.Event()
        self._watching.add(event)
        try:
            yield event
        finally:
            self._watching.discard(event)

    def close(self) -> None:
        """Let all who watch end."""
        self.closed = True
        for event in self._watching:
            event.set()
