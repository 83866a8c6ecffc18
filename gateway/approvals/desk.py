"""The desk: calls come to it with what is held against them, and wait for a person's word."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from gateway.approvals import rulings, states
from gateway.approvals.docket import TICK, Docket
from gateway.approvals.states import Conflict
from gateway.errors import StoreUnavailable
from gateway.model import RESULT, Approval, ApprovalState, Call, Outcome, Petition, Quarantine, Reason, Ruling, Terms
from gateway.policy.guards import short

AGAIN = 0.5
"""Seconds after which a store that was away is tried again."""

MOST_HELD = 4096
"""Calls that are held on the line at once: each keeps a connection of its agent. An agent may have as many as are left
free beside it (see ``docket_shares.py``); calls beyond that wait as well, but are told so at once."""

_BACK = frozenset({ApprovalState.WAITING, ApprovalState.APPROVED})

log = logging.getLogger("toolgate.approvals")

T = TypeVar("T")
Before = Callable[[Call, Petition], Awaitable[Ruling | None]]
"""Rules on a call before anybody is asked (an exemption, what was endorsed, attention that is spent); None: ask."""


class Desk:
    """ports.Desk over a docket. ``before`` are asked in order; those that are in ``again`` too also about a call that
    waits already, when it is repeated."""

    def __init__(
        self,
        docket: Docket,
        clock: Callable[[], float],
        before: tuple[Before, ...] = (),
        again: tuple[Before, ...] = (),
    ) -> None:
        """``clock`` gives monotonic seconds."""
        self._docket, self._clock, self._before, self._again = docket, clock, before, again
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._held: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending = False
        self._version = ""
        docket.watch(self._hear)

    async def close(self) -> None:
        """Write down what is not written yet, if that can be done soon."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2 * AGAIN)

    def adopt(self, version: str) -> None:
        """This version of configuration and policies counts from now on. What was asked by the one before is void:
        calls that wait are told so, and nobody is asked about them any more."""
        before, self._version = self._version, version
        if before and before != version:
            for ident in list(self._waiters):
                self._wake(ident)
            self.withdraw(lambda approval: approval.version == before, rulings.OUTDATED)

    def _is_void(self, version: str) -> bool:
        return self._version not in ("", version)

    def hurry(self) -> None:
        """The process ends: calls that wait, or come now, are told at once that they must be made again later."""
        self._ending = True
        for ident in list(self._waiters):
            self._wake(ident)

    def _wake(self, ident: str) -> None:
        for waiter in self._waiters.get(ident, ()):
            if not waiter.done():
                waiter.set_result(None)

    @property
    def held(self) -> int:
        """Calls that wait here now."""
        return self._held.total()

    def holds(self, ident: str) -> bool:
        """Whether a call waits here for the approval with this id: its agent is on the line."""
        return ident in self._waiters

    async def ask(self, call: Call, petition: Petition) -> Ruling:
        """A ruling, at the latest when the agent has been held for long enough."""
        began = self._clock()
        try:
            ruling = await self._ask(call, petition, began)
            if self._is_void(petition.version):  # whatever was said, it was not about these policies
                ruling = rulings.outdated(ruling.approval)
        except StoreUnavailable as error:
            ruling = rulings.unavailable(str(error), petition.about)
        return structs.replace(ruling, waited=self._clock() - began)

    async def attach(self, call: Call, binding: str, version: str) -> Ruling | None:  # noqa: ARG002 - as in the port
        """The ruling on the result that stands for this binding; see ports.Desk."""
        began = self._clock()
        try:
            standing = await self._docket.standing(binding)
            if standing is None:
                return None
            self._docket.again(standing)
            ruling = rulings.ruling_of(standing) or await self._wait(standing, began + _held_for(standing.terms))
            ruling = rulings.outdated(ruling.approval) if self._is_void(version) else await self._with_result(ruling)
        except StoreUnavailable as error:
            ruling = rulings.unknown(str(error))
        return structs.replace(ruling, waited=self._clock() - began)

    async def _ask(self, call: Call, petition: Petition, began: float) -> Ruling:
        standing = self._docket.bound(petition.binding)
        if standing is None or not self._docket.stands(standing):
            if (early := await _first(self._before, call, petition)) is not None:
                return early
            standing = await self._docket.open(petition)
        elif standing.state is ApprovalState.WAITING:
            if (early := await _first(self._again, call, petition)) is not None:
                self._begin(self._withdraw_all([standing.id], "the call has been let pass without it"))
                return early
            self._docket.again(standing)
        ruling = rulings.ruling_of(standing) or await self._wait(standing, began + _held_for(petition.terms))
        return await (self._with_result(ruling) if petition.about == RESULT else self._edited(ruling))

    async def _wait(self, approval: Approval, until: float) -> Ruling:
        """What comes of it, or that it still waits."""
        agent = approval.agent
        if self._held[agent] >= MOST_HELD - self.held:
            return self._come_of(approval) or rulings.pending(approval)
        self._held[agent] += 1
        try:
            return await self._hold(approval, until)
        finally:
            self._held[agent] -= 1
            if not self._held[agent]:
                del self._held[agent]

    async def _hold(self, approval: Approval, until: float) -> Ruling:
        ident = approval.id
        while (left := until - self._clock()) > 0 and not self._ending and not self._is_void(approval.version):
            changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiters = self._waiters.setdefault(ident, set())
            waiters.add(changed)
            try:
                if (ruling := self._come_of(approval)) is not None:
                    return ruling
                await asyncio.wait({changed}, timeout=left)
            finally:
                waiters.discard(changed)
                if not waiters:
                    self._waiters.pop(ident, None)
        return self._come_of(approval) or rulings.pending(self._docket.find(ident) or approval)

    def _come_of(self, approval: Approval) -> Ruling | None:
        now = self._docket.find(approval.id)
        return rulings.lost(approval) if now is None else rulings.ruling_of(now)

    async def _edited(self, ruling: Ruling) -> Ruling:
        """The ruling with the arguments that were approved."""
        if not (ruling.granted and ruling.verb == "edit"):
            return ruling
        approval = self._docket.find(ruling.approval)
        votes = approval.votes if approval is not None else ()
        by = next((vote.edit or vote.by for vote in reversed(votes) if vote.verb == "edit"), "")
        args = await self._docket.edit(ruling.approval, by)
        if args is None:
            return rulings.unavailable("the arguments that were approved are not there any more")
        return structs.replace(ruling, edited=msgspec.json.decode(args, type=dict))

    async def _with_result(self, ruling: Ruling) -> Ruling:
        """The ruling with the result that was approved."""
        if not (ruling.granted and ruling.approval):
            return ruling
        kept = await self._docket.result(ruling.approval)
        if kept is None:
            return Ruling(False, ruling.approval, ruling.by, "lost", reason=Reason.STATE_UNAVAILABLE)
        return structs.replace(ruling, kept=kept)

    def _hear(self, before: Approval | None, after: Approval | None) -> None:
        self._wake(after.id if after is not None else before.id if before is not None else "")

    async def claim(self, ruling: Ruling, call: str) -> bool:
        """Take what was approved, for this call; see ports.Desk.

        Raises:
            StoreUnavailable: nobody knows whether it could be had.
        """
        claiming = self._begin(self._claim(ruling.approval, call))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:  # the agent has gone; what may have been taken is given back
            claiming.add_done_callback(lambda task: self._unclaim(task, ruling, call))
            raise

    async def _claim(self, ident: str, call: str) -> bool:
        try:
            await self._docket.step(ident, lambda approval: states.claimed(approval, call, self._docket.now()))
        except Conflict:
            return False
        except StoreUnavailable:  # it may have been taken all the same, or be taken yet; the call is not made
            self._later(ident, lambda approval: states.unclaimed(approval, call))
            raise
        return True

    def _unclaim(self, claiming: asyncio.Task[bool], ruling: Ruling, call: str) -> None:
        if not claiming.cancelled() and claiming.exception() is None and claiming.result():
            self.release(ruling, call)

    def withdraw(self, which: Callable[[Approval], bool], message: str) -> int:
        """Take back all of these that wait or were approved, for the reason in ``message``: how many there are."""
        idents = [approval.id for approval in self._docket if approval.state in _BACK and which(approval)]
        if idents:
            self._begin(self._withdraw_all(idents, message))
        return len(idents)

    async def _withdraw_all(self, idents: Sequence[str], message: str) -> None:
        """One after the other: there may be thousands, and calls need the store too."""
        for ident in idents:
            await self._step(ident, lambda approval: states.withdrawn(approval, message, self._docket.now()))

    def settle(self, ruling: Ruling, call: str, outcome: Outcome) -> None:
        """The call has ended."""
        what = f"{outcome.upstream or outcome.status}{' ' + outcome.fault if outcome.fault else ''}"
        self._later(ruling.approval, lambda approval: states.ended(approval, call, what))

    def release(self, ruling: Ruling, call: str) -> None:
        """The call has not been made."""
        self._later(ruling.approval, lambda approval: states.released(approval, call))

    def _later(self, ident: str, step: Callable[[Approval], Approval]) -> None:
        self._begin(self._step(ident, step))

    def _begin(self, what: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _step(self, ident: str, step: Callable[[Approval], Approval]) -> None:
        """Take the step, and try again while the store is away: what is never written stays ``unknown``."""
        while True:
            try:
                await self._docket.step(ident, step)
            except Conflict as conflict:
                log.info("approval %s: %s", ident, conflict)
            except StoreUnavailable:
                await asyncio.sleep(AGAIN)
                continue
            return


def _held_for(terms: Terms) -> float:
    """Seconds on the line. Who is held to the end of the time to decide hears what came of it, at a tick after that."""
    return terms.hold if terms.hold < terms.expires else terms.hold + 4 * TICK


async def _first(hooks: tuple[Before, ...], call: Call, petition: Petition) -> Ruling | None:
    for hook in hooks:
        if (ruling := await hook(call, petition)) is not None:
            return ruling
    return None


def concerns(quarantine: Quarantine, approval: Approval) -> bool:
    """Whether the quarantine keeps the call that this approval is for from being made."""
    agent, run = approval.tree
    keys = {"agent": (approval.agent,), "tool": (approval.tool,), "run": (agent, short(run))}
    return keys.get(quarantine.scope, ()) == quarantine.key
