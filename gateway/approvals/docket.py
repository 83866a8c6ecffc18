"""All approvals that stand: written to the cabinet before anybody is told, followed from there, and ended in time.

The key of an approval in the cabinet is what it is bound to: two calls that are the same, on whichever replicas, meet
at one approval. Each step is a compare and set of the whole: of two people, or two replicas, one is first, and the
other is shown what stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

import msgspec
from msgspec import structs

from gateway.approvals.states import Conflict, timed_out, told
from gateway.errors import StoreUnavailable
from gateway.model import OPEN, Approval, ApprovalState, Petition
from gateway.ports import Cabinet, Paper
from gateway.stores.ticking import Ticker

APPROVALS, PAYLOADS, EDITS = "approval", "payload", "edit"
"""Kinds of documents in the cabinet: by binding; by id of the approval."""
TICK = 0.25
"""Seconds between two looks at what others have changed."""
KEPT = 3600.0
"""Seconds for which an approval is kept after its end; so long it can be looked at, and its end be told."""
UNKNOWN = 7 * 86400.0
"""Seconds for which one is kept whose call was begun and never ended: somebody must see that."""
_STANDING = OPEN | {ApprovalState.DENIED, ApprovalState.ANSWERED}
TRIES = 8
"""Attempts at a step while others change the same approval."""

log = logging.getLogger("toolgate.approvals")

Told = Callable[[Approval | None, Approval | None], None]
"""Is told of each change: how it stood before, and how it stands; None for nothing."""
Step = Callable[[Approval], Approval]


class Docket:
    """Approvals by id and by binding, as this replica knows them."""

    def __init__(self, cabinet: Cabinet, wall: Callable[[], float], new_id: Callable[[], str]) -> None:
        """``wall`` gives seconds since the epoch; ``new_id`` an id that nobody can guess."""
        self._cabinet, self._wall, self._new_id = cabinet, wall, new_id
        self._known: dict[str, tuple[int, Approval]] = {}
        self._bindings: dict[str, str] = {}
        self._revision = 0
        self._told: list[Told] = []
        self._ticker = Ticker(TICK, self._tick)
        self._following = asyncio.Lock()

    async def start(self) -> None:
        """Learn what stands, and follow it from now on. The state must have been started."""
        await self.follow()
        self._ticker.start()

    async def close(self) -> None:
        """Follow it no more."""
        await self._ticker.stop()

    def watch(self, told: Told) -> None:
        """Be told of each change from now on, those of other replicas too."""
        self._told.append(told)

    def __iter__(self) -> Iterator[Approval]:
        return iter([approval for _, approval in self._known.values()])

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._wall()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, ident: str) -> Approval | None:
        """The approval with this id."""
        binding = self._bindings.get(ident)
        return None if binding is None else self._known[binding][1]

    def bound(self, binding: str) -> Approval | None:
        """The approval that is bound to this."""
        found = self._known.get(binding)
        return None if found is None else found[1]

    def waiting(self) -> list[Approval]:
        """Those that wait for people, in no order."""
        return [approval for _, approval in self._known.values() if approval.state is ApprovalState.WAITING]

    async def open(self, petition: Petition, *, canary: bool = False) -> Approval:
        """The approval at which this call waits: the one that stands for the same call, or a new one.

        Raises:
            StoreUnavailable: it cannot be stored, and so nobody may be asked.
        """
        for _ in range(TRIES):
            paper = await self._cabinet.read(APPROVALS, petition.binding)
            standing = _read(paper)
            if standing is not None and self.stands(standing):
                attached = structs.replace(standing, asked=standing.asked + 1)
                if standing.state is not ApprovalState.WAITING or await self._put(paper, attached):
                    return attached
                continue
            approval = self._new(petition, canary=canary)
            kept = approval.expires - self._wall() + KEPT
            await self._cabinet.swap(PAYLOADS, approval.id, 0, petition.payload, kept + approval.terms.valid)
            if await self._put(paper, approval):
                return approval
        raise StoreUnavailable("the approval is changed by others all the time")

    def stands(self, approval: Approval) -> bool:
        """Whether the same call meets this approval, and not a new one: it waits, was approved, is being made, or was
        denied or answered not long ago. A call that was begun long ago is one of which nothing will be heard."""
        return self._wall() < approval.expires and approval.state in _STANDING

    def _new(self, petition: Petition, *, canary: bool) -> Approval:
        now = self._wall()
        return Approval(
            self._new_id(),
            petition.binding,
            petition.agent,
            petition.roles,
            petition.run,
            petition.tree,
            petition.tool,
            petition.operation,
            petition.version,
            petition.held,
            petition.terms,
            now,
            now + petition.terms.expires,
            editable=petition.editable,
            answerable=petition.answerable,
            call=petition.call,
            canary=canary,
        )

    async def step(self, ident: str, step: Step) -> Approval:
        """Take an approval one step further, as it stands in the cabinet. It is stored when this returns.

        Raises:
            Conflict: the step does not fit how it stands, or there is none.
            StoreUnavailable: the cabinet cannot be reached.
        """
        binding = self._bindings.get(ident)
        if binding is None:
            raise Conflict("there is no such approval")
        for _ in range(TRIES):
            paper = await self._cabinet.read(APPROVALS, binding)
            standing = _read(paper)
            if standing is None or standing.id != ident:
                raise Conflict("there is no such approval any more")
            after = step(standing)
            if await self._put(paper, after):
                return after
        raise StoreUnavailable("the approval is changed by others all the time")

    async def payload(self, ident: str) -> bytes | None:
        """JSON of the call that waits (``understand/petitions.py``)."""
        paper = await self._cabinet.read(PAYLOADS, ident)
        return None if paper is None else paper.value

    async def put_edit(self, ident: str, by: str, args: bytes) -> None:
        """Keep the arguments that this person would put in (JSON); they count once the verdict has been given."""
        key = f"{ident}/{by}"
        paper = await self._cabinet.read(EDITS, key)
        await self._cabinet.swap(EDITS, key, 0 if paper is None else paper.version, args, KEPT + UNKNOWN)

    async def edit(self, ident: str, by: str) -> bytes | None:
        """Those arguments."""
        paper = await self._cabinet.read(EDITS, f"{ident}/{by}")
        return None if paper is None else paper.value

    async def _put(self, paper: Paper | None, approval: Approval) -> bool:
        seen = 0 if paper is None else paper.version
        left = max(0.0, approval.expires - self._wall())
        seconds = UNKNOWN if approval.state is ApprovalState.RUNNING else left + KEPT
        version = await self._cabinet.swap(APPROVALS, approval.binding, seen, msgspec.json.encode(approval), seconds)
        if version:
            self._take(approval.binding, version, approval)
        return bool(version)

    async def follow(self) -> None:
        """Learn what others have changed since.

        Raises:
            StoreUnavailable: the cabinet cannot be reached.
        """
        async with self._following:
            revision, papers = await self._cabinet.changes(APPROVALS, self._revision)
            if revision < self._revision:  # the store has lost what it had: what it does not know does not stand
                left = {paper.key for paper in papers}
                for binding in [binding for binding in self._known if binding not in left]:
                    self._take(binding, self._known[binding][0] + 1, None)
                self._known = {binding: (0, known[1]) for binding, known in self._known.items()}
            for paper in papers:
                self._take(paper.key, paper.version, _read(paper))
            self._revision = revision

    def _take(self, binding: str, version: int, approval: Approval | None) -> None:
        """Know it, unless something newer is known already."""
        known = self._known.get(binding)
        if known is not None and known[0] >= version:
            return
        before = None if known is None else known[1]
        if before is not None:
            self._bindings.pop(before.id, None)
        if approval is None:
            self._known.pop(binding, None)
        else:
            self._known[binding] = (version, approval)
            self._bindings[approval.id] = binding
        if before != approval:
            for told_ in self._told:
                told_(before, approval)

    async def _tick(self) -> None:
        try:
            await self.follow()
            await self._end_those_due()
        except StoreUnavailable as error:
            log.debug("approvals cannot be followed: %s", error)

    async def _end_those_due(self) -> None:
        now = self._wall()
        due = [
            approval.id
            for _, approval in self._known.values()
            if now >= approval.expires and approval.state in (ApprovalState.WAITING, ApprovalState.APPROVED)
        ]
        for ident in due:
            try:
                await self.step(ident, lambda approval: timed_out(approval, self._wall()))
            except Conflict as conflict:
                log.debug("approval %s: %s", ident, conflict)


def _read(paper: Paper | None) -> Approval | None:
    """What stands there; None where it cannot be read: then it approves nothing."""
    if paper is None or paper.value is None:
        return None
    try:
        return msgspec.json.decode(paper.value, type=Approval)
    except (msgspec.DecodeError, ValueError):
        log.warning("an approval in the state cannot be read: %.100r", paper.key)
        return None


__all__ = ["Docket", "told"]
