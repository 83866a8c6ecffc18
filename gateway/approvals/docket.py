"""All approvals that stand: written to the cabinet before anybody is told, followed from there, and ended in time.

The key of an approval in the cabinet is what it is bound to: two calls that are the same, on whichever replicas, meet
at one approval. Each step is a compare and set of the whole: of two people, or two replicas, one is first, and the
other is shown what stands.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from weakref import WeakValueDictionary

import msgspec
from msgspec import structs

from gateway.approvals.due import Repeats, is_due
from gateway.approvals.known import Known
from gateway.approvals.states import Conflict, attached, timed_out, told
from gateway.errors import StoreUnavailable
from gateway.model import OPEN, RESULT, Approval, ApprovalState, Petition
from gateway.ports import Cabinet, Paper
from gateway.stores.ticking import Ticker

APPROVALS, PAYLOADS, EDITS, RESULTS = "approval", "payload", "edit", "result"
"""Kinds of documents in the cabinet: by binding; by id of the approval."""
TICK = 0.25
"""Seconds between two looks at what others have changed."""
KEPT = 3600.0
"""Seconds for which an approval is kept after its end; so long it can be looked at, and its end be told."""
UNKNOWN = 7 * 86400.0
"""Seconds for which one is kept whose call was begun and never ended: somebody must see that."""
_SET_ASIDE = frozenset({ApprovalState.RUNNING, ApprovalState.DONE})
"""Of whose calls somebody may want to know what became, also after the same call has been asked about anew."""
_STANDING = OPEN | {ApprovalState.DENIED, ApprovalState.ANSWERED, ApprovalState.EXPIRED}
TRIES = 8
"""Attempts at a step while others change the same approval."""
_AT_ONCE = 256
"""Approvals that are ended, and that are counted as asked for again, at one tick: others must not wait long."""

log = logging.getLogger("toolgate.approvals")

Step = Callable[[Approval], Approval]


class Docket(Known):
    """Approvals by id and by binding, as this replica knows them."""

    def __init__(self, cabinet: Cabinet, wall: Callable[[], float], new_id: Callable[[], str]) -> None:
        """``wall`` gives seconds since the epoch; ``new_id`` an id that nobody can guess."""
        super().__init__()
        self._cabinet, self._wall, self._new_id = cabinet, wall, new_id
        self._repeats = Repeats()
        self._revision = 0
        self._ticker = Ticker(TICK, self._tick)
        self._following = asyncio.Lock()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._opening: set[asyncio.Task[Approval]] = set()

    async def start(self) -> None:
        """Learn what stands, and follow it from now on. The state must have been started."""
        await self.follow()
        self._ticker.start()

    async def close(self) -> None:
        """Follow it no more."""
        await self._ticker.stop()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._wall()

    async def open(self, petition: Petition, *, canary: bool = False) -> Approval:
        """The approval at which this call waits: the one that stands for the same call, or a new one. Done to its end
        whether or not it is waited for: what is kept of a call must be counted.

        Raises:
            StoreUnavailable: it cannot be stored, and so nobody may be asked; or so much of this agent is kept that no
                room would be left for others.
        """
        opening = asyncio.get_running_loop().create_task(self._open(petition, canary=canary))
        self._opening.add(opening)
        opening.add_done_callback(self._opened)
        return await asyncio.shield(opening)

    def _opened(self, task: asyncio.Task[Approval]) -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("an approval could not be opened: %s", error)

    async def _open(self, petition: Petition, *, canary: bool) -> Approval:
        async with self._lock(petition.binding):
            for _ in range(TRIES):
                paper, standing = await self._look(petition.binding)
                if standing is not None and is_due(standing, self._wall()):
                    await self._put(paper, timed_out(standing, self._wall()))
                    continue
                if standing is not None and self.stands(standing):
                    self.again(standing)
                    return standing
                approval = self._new(petition, canary=canary)
                if await self._put_new(paper, approval, petition):
                    if standing is not None and standing.state in _SET_ASIDE:
                        await self._put(None, structs.replace(standing, binding=_aside(petition.binding, standing.id)))
                    return approval
        raise StoreUnavailable("the approval is changed by others all the time")

    async def _put_new(self, paper: Paper | None, approval: Approval, petition: Petition) -> bool:
        """The payload first: who sees the approval must see what it is about, and get what was approved."""
        if refusal := self.shares.refusal(approval.agent, approval.size):
            raise StoreUnavailable(refusal)
        kept = approval.expires - self._wall() + approval.terms.valid + KEPT
        if petition.kept:
            await self._cabinet.swap(RESULTS, approval.id, 0, petition.kept, kept)
        version = await self._cabinet.swap(PAYLOADS, approval.id, 0, petition.payload, kept)
        error: StoreUnavailable | None = None
        try:
            stored = await self._put(paper, approval)
        except StoreUnavailable as away:  # it may have been stored all the same
            error, (_, found) = away, await self._look(approval.binding)
            stored = found is not None and found.id == approval.id
        if not stored:
            with contextlib.suppress(StoreUnavailable):
                await self._cabinet.swap(PAYLOADS, approval.id, version, None)
                await self._forget_result(approval)
            if error is not None:
                raise error
        return stored

    async def standing(self, binding: str) -> Approval | None:
        """What the same call meets, as it stands in the cabinet now; None: nothing stands for it.

        Raises:
            StoreUnavailable: the cabinet cannot be reached.
        """
        _, found = await self._look(binding)
        if found is not None and is_due(found, self._wall()):
            await self._try(found.id, lambda standing: timed_out(standing, self._wall()))
            _, found = await self._look(binding)
        return found if found is not None and self.stands(found) else None

    def again(self, approval: Approval) -> None:
        """The same call has been made once more while it waits. Counted here, and written down at the next tick: an
        agent that hammers must not get in the way of who decides."""
        if approval.state is ApprovalState.WAITING:
            self._repeats.add(approval.id)

    def stands(self, approval: Approval) -> bool:
        """Whether the same call meets this approval, and not a new one: it waits, was approved, is being made, or was
        denied or answered, or not decided in time, not long ago. A call that was begun long ago is one of which
        nothing will be heard."""
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
            size=len(petition.payload) + len(petition.kept),
            about=petition.about,
        )

    async def step(self, ident: str, step: Step) -> Approval:
        """Take an approval one step further, as it stands in the cabinet. It is stored when this returns.

        Raises:
            Conflict: the step does not fit how it stands, or there is none.
            StoreUnavailable: the cabinet cannot be reached.
        """
        if self.binding_of(ident) is None:
            await self.follow()  # another replica may have opened it a moment ago
        binding = self.binding_of(ident)
        if binding is None:
            raise Conflict("there is no such approval")
        async with self._lock(binding):
            for _ in range(TRIES):
                paper, standing = await self._look(binding)
                if standing is None or standing.id != ident:  # the same call was asked about anew while it ran
                    paper, standing = await self._look(_aside(binding, ident))
                if standing is None:
                    raise Conflict("there is no such approval any more")
                after = step(standing)
                if await self._put(paper, after):
                    return after
        raise StoreUnavailable("the approval is changed by others all the time")

    def _lock(self, binding: str) -> asyncio.Lock:
        """Of what this process does with an approval, one thing at a time: only replicas get in each other's way."""
        return self._locks.setdefault(binding, asyncio.Lock())

    async def _look(self, binding: str) -> tuple[Paper | None, Approval | None]:
        """What stands in the cabinet.

        Raises:
            StoreUnavailable: it is older than what was known, so the store has lost what was done since.
        """
        for _ in range(TRIES):
            paper = await self._cabinet.read(APPROVALS, binding)
            known = self.version(binding)
            if paper is None:
                if known:
                    self.take(binding, known + 1, None)
                return None, None
            if known <= paper.version:
                approval = _read(paper)
                self.take(binding, paper.version, approval)
                return paper, approval
        raise StoreUnavailable("the state has lost what was decided last")

    async def payload(self, ident: str) -> bytes | None:
        """JSON of the call that waits (``understand/petitions.py``)."""
        paper = await self._cabinet.read(PAYLOADS, ident)
        return None if paper is None else paper.value

    async def result(self, ident: str) -> bytes | None:
        """The result that waits (``Kept``), as it was packed."""
        paper = await self._cabinet.read(RESULTS, ident)
        return None if paper is None else paper.value

    async def _forget_result(self, approval: Approval) -> None:
        if approval.about == RESULT and (paper := await self._cabinet.read(RESULTS, approval.id)) is not None:
            await self._cabinet.swap(RESULTS, approval.id, paper.version, None)

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
            self.take(approval.binding, version, approval)
        return bool(version)

    async def follow(self) -> None:
        """Learn what others have changed since.

        Raises:
            StoreUnavailable: the cabinet cannot be reached.
        """
        async with self._following:
            revision, papers = await self._cabinet.changes(APPROVALS, self._revision)
            void = await self._lost(papers) if revision < self._revision else set()
            for paper in papers if not void else [paper for paper in papers if paper.key not in void]:
                self.take(paper.key, paper.version, _read(paper))
            self._revision = revision

    async def _lost(self, papers: Sequence[Paper]) -> set[str]:
        """The store has lost what it had. What it does not know does not stand; what it knows as it was before stands
        no more either: it may be approved there, and have been used. Gives the bindings of those."""
        left, void = {paper.key: paper for paper in papers}, set()
        for binding, version, approval in self.all():
            paper = left.get(binding)
            found = _read(paper)
            if paper is not None and found is not None and found.id == approval.id:
                if paper.version < version:
                    void.add(binding)  # until it is removed, ``_look`` takes it for nothing
                if paper.version >= version or not await self._cabinet.swap(APPROVALS, binding, paper.version, None):
                    continue
            self.take(binding, version + 1, None)
        return void

    async def _tick(self) -> None:
        try:
            await self.follow()
            await self._end_those_due()
            await self._count()
        except StoreUnavailable as error:
            log.debug("approvals cannot be followed: %s", error)

    async def _end_those_due(self) -> None:
        for ident in self.due.over(self._wall(), _AT_ONCE):
            approval = self.find(ident)
            if approval is not None and is_due(approval, self._wall()):
                await self._try(ident, lambda standing: timed_out(standing, self._wall()))

    async def _count(self) -> None:
        """Write down how often calls that wait have been made again."""
        for ident, more in self._repeats.first(_AT_ONCE):
            await self._try(ident, partial(attached, more=more))
            self._repeats.written(ident, more)

    async def _try(self, ident: str, step: Step) -> None:
        try:
            await self.step(ident, step)
        except Conflict as conflict:
            log.debug("approval %s: %s", ident, conflict)


def _aside(binding: str, ident: str) -> str:
    """Under which name an approval is kept that runs or has run, when the same call is asked about anew."""
    return f"{binding}/{ident}"


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
