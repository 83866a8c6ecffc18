"""What whoever decides is offered beside a yes to this one call: conditions, with what they would have let pass."""

from __future__ import annotations

import asyncio

from gateway.approvals.docket import Docket
from gateway.approvals.edits import payload_now
from gateway.approvals.preview import Offer, Preview, Recall, Recent, preview
from gateway.approvals.proposals import proposals
from gateway.model import RESULT, Approval
from gateway.policy.engine import CelEngine


async def nothing(approval: Approval) -> Recent:  # noqa: ARG001 - a Recall
    """Nothing is recorded."""
    return Recent()


class Offers:
    """``recall`` gives what is recorded."""

    def __init__(self, docket: Docket, engine: CelEngine, recall: Recall = nothing) -> None:
        self._docket, self._engine, self.recall = docket, engine, recall

    def adopt(self, engine: CelEngine) -> None:
        """Other policies, and their engine."""
        self._engine = engine

    async def of(self, approval: Approval) -> list[Offer]:
        """Up to three proposals, from narrow to wide, each with what it would have let pass.

        Raises:
            StoreUnavailable: the call cannot be read.
        """
        if approval.about == RESULT:
            return []
        payload = await payload_now(self._docket, approval)
        proposed = proposals(approval, payload) if payload is not None else ()
        recent = await self.recall(approval) if proposed else Recent()
        offers = []
        for one in proposed:
            offers.append(Offer(one, preview(self._engine, approval, one.when, recent)))
            await asyncio.sleep(0)  # each is some milliseconds, and calls wait
        return offers

    async def preview(self, approval: Approval, when: str) -> Preview:
        """What a condition of one's own would have let pass.

        Raises:
            CelError: it is none that an exemption may have.
        """
        return preview(self._engine, approval, when, await self.recall(approval))
