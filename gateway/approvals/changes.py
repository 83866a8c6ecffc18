"""The newest changes of approvals, for whoever watches."""

from __future__ import annotations

from collections import deque
from itertools import islice

from gateway.approvals.docket import Docket
from gateway.model import Approval
from gateway.stores.watched import Watched

KEPT = 2000
"""Changes that are kept for those who watch."""
MOST_WATCHING = 64
"""Who may watch at once."""


class Crowded(Exception):  # noqa: N818 - a state
    """As many watch already as may."""


class Changes(Watched):
    """A ring of approvals as they came to stand, numbered from 1. Used on one loop."""

    def __init__(self, docket: Docket, kept: int = KEPT) -> None:
        super().__init__(MOST_WATCHING, lambda most: Crowded(f"{most} watch the approvals already"))
        self._ring: deque[Approval] = deque(maxlen=kept)
        self.last = 0
        """The number of the newest change; 0 for none."""
        docket.watch(self._hear)

    def _hear(self, _: Approval | None, after: Approval | None) -> None:
        if after is None:  # long over; whoever watches was told of its end
            return
        self._ring.append(after)
        self.last += 1
        self.wake()

    def after(self, number: int) -> tuple[list[Approval], bool]:
        """What has changed since the change of this number: each approval once, as it stands after the newest; and
        whether some of it is not known any more."""
        first = self.last - len(self._ring) + 1
        newest = {approval.id: approval for approval in islice(self._ring, max(0, number + 1 - first), None)}
        return list(newest.values()), number + 1 < first
