"""How approvals stand, for the agents that asked for them."""

from __future__ import annotations

import asyncio

from gateway.approvals.docket import Docket
from gateway.model import Approval


class Standings:
    """ports.Standings over a docket."""

    def __init__(self, docket: Docket) -> None:
        self._docket = docket
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._ending = False
        docket.watch(self._hear)

    def find(self, ident: str, agent: str) -> Approval | None:
        """The approval with this id, where this agent asked for it."""
        found = self._docket.find(ident)
        return found if found is not None and found.agent == agent and not found.canary else None

    async def moved(self, standing: Approval, seconds: float) -> Approval | None:
        """The approval as soon as it stands otherwise, or after so long."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(standing.id, set())
        waiters.add(changed)
        try:
            now = self.find(standing.id, standing.agent)
            if not self._ending and now is not None and _news(now) == _news(standing):
                await asyncio.wait({changed}, timeout=seconds)
        finally:
            waiters.discard(changed)
            if not waiters:
                self._waiters.pop(standing.id, None)
        return self.find(standing.id, standing.agent)

    def hurry(self) -> None:
        """The process ends: whoever waits is told at once how things stand."""
        self._ending = True
        for ident in list(self._waiters):
            self._wake(ident)

    def _hear(self, before: Approval | None, after: Approval | None) -> None:
        # That the same call was made again is no news to who waits for a decision.
        told = before if after is None else after
        if told is not None and (after is None or before is None or _news(before) != _news(after)):
            self._wake(told.id)

    def _wake(self, ident: str) -> None:
        for waiter in self._waiters.get(ident, ()):
            if not waiter.done():
                waiter.set_result(None)


def _news(approval: Approval) -> tuple[object, ...]:
    return approval.state, approval.message
