"""Escalation: where nobody has decided for a while, others may decide too.

Who may is said by the time alone (``permission.why_not``). The step is noted in the approval, by whichever replica is
first, so that whoever watches the docket hears of it and tells people.
"""

from __future__ import annotations

import heapq
import logging
from functools import partial

from msgspec import structs

from gateway.approvals.docket import Docket
from gateway.approvals.states import Conflict
from gateway.errors import StoreUnavailable
from gateway.model import Approval, ApprovalState
from gateway.stores.ticking import Ticker

TICK = 0.5
"""Seconds between two looks at whose time has come."""

log = logging.getLogger("toolgate.approvals")


class Escalations:
    """Notes the steps of the approvals of a docket."""

    def __init__(self, docket: Docket) -> None:
        self._docket = docket
        self._due: list[tuple[float, str, int]] = []
        self._ticker = Ticker(TICK, self.tick)
        docket.watch(self._hear)

    async def start(self) -> None:
        """Look from now on. The docket must have been started."""
        self._ticker.start()

    async def close(self) -> None:
        """Look no more."""
        await self._ticker.stop()

    async def tick(self) -> None:
        """Take the steps whose time has come."""
        now = self._docket.now()
        while self._due and self._due[0][0] <= now:
            _, ident, number = heapq.heappop(self._due)
            try:
                await self._docket.step(ident, partial(escalated, number=number))
            except Conflict as conflict:
                log.debug("approval %s: %s", ident, conflict)
            except StoreUnavailable as error:
                heapq.heappush(self._due, (now + TICK, ident, number))
                log.debug("approval %s cannot be escalated: %s", ident, error)
                return

    def _hear(self, before: Approval | None, after: Approval | None) -> None:
        if after is None or after.state is not ApprovalState.WAITING:
            return
        if before is None or before.id != after.id or before.escalated != after.escalated:
            steps = after.terms.escalate
            if after.escalated < len(steps):
                due = after.opened + steps[after.escalated].after
                if due < after.expires:
                    heapq.heappush(self._due, (due, after.id, after.escalated))


def escalated(approval: Approval, number: int) -> Approval:
    """The approval after this step of its escalation.

    Raises:
        Conflict: it does not wait any more, or the step has been taken.
    """
    if approval.state is not ApprovalState.WAITING:
        raise Conflict("it does not wait any more")
    if approval.escalated != number:
        raise Conflict("this step has been taken")
    return structs.replace(approval, escalated=number + 1)
