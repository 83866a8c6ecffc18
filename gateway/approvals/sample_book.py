"""The samples of all replicas: written down once each, followed, and forgotten in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

import msgspec

from gateway.approvals.alike import shape_of
from gateway.approvals.docket import Docket
from gateway.approvals.samples import Sample, sample_of, verdict_of
from gateway.approvals.tallies import Tallies
from gateway.errors import StoreUnavailable
from gateway.model import Approval
from gateway.ports import Cabinet, Paper
from gateway.stores.ticking import Ticker

SAMPLES = "sample"
"""Kind of document in the cabinet, by id of the approval."""
KEPT = 90 * 86400.0
"""Seconds for which a sample is kept."""
MOST = 10_000
"""Samples that are kept, the newest."""
MOST_UNWRITTEN = 1_000
"""Verdicts that wait for a store that is away."""
TICK = 2.0
"""Seconds between two looks at what others have written."""

log = logging.getLogger("toolgate.approvals")


class SampleBook:
    """Samples by id of the approval, in the order of the verdicts as far as they were learnt so."""

    def __init__(self, docket: Docket, cabinet: Cabinet, wrote: Callable[[Sample], None], most: int = MOST) -> None:
        """``wrote`` is told of each sample by the one replica that wrote it. Must be made before the docket starts."""
        self._docket, self._cabinet, self._wrote, self._most = docket, cabinet, wrote, most
        self._known: dict[str, Sample] = {}
        self._unwritten: dict[str, Approval] = {}
        self._writing: asyncio.Task[None] | None = None
        self._revision = 0
        self._ticker = Ticker(TICK, self._tick)
        self.tallies = Tallies()
        docket.watch(self._hear)

    async def start(self) -> None:
        """Learn what is known already, and follow it.

        Raises:
            StoreUnavailable: the cabinet cannot be reached.
        """
        await self.follow()
        self._ticker.start()

    async def close(self) -> None:
        """Write down what is not written yet, if that can be done soon; follow no more."""
        await self._ticker.stop()
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=1.0)
        if self._unwritten:
            log.warning("%d verdicts are not kept as samples: the state is away", len(self._unwritten))

    def __iter__(self) -> Iterator[Sample]:
        return iter(list(self._known.values()))

    def __len__(self) -> int:
        return len(self._known)

    def _hear(self, before: Approval | None, after: Approval | None) -> None:
        if after is None or after.id in self._known or after.id in self._unwritten or not verdict_of(after):
            return
        if before is not None and before.id == after.id and verdict_of(before):
            return
        if len(self._unwritten) >= MOST_UNWRITTEN:
            del self._unwritten[next(iter(self._unwritten))]
        self._unwritten[after.id] = after
        self._write_soon()

    def _write_soon(self) -> None:
        if self._unwritten and (self._writing is None or self._writing.done()):
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        """Write all that is not written; what cannot be written now is tried again at the next tick."""
        while self._unwritten:
            ident, approval = next(iter(self._unwritten.items()))
            try:
                await self._write_one(approval)
            except StoreUnavailable as error:
                log.debug("a verdict cannot be kept now: %s", error)
                return
            self._unwritten.pop(ident, None)

    async def _write_one(self, approval: Approval) -> None:
        """Exactly one replica writes it: the first."""
        sample = sample_of(approval, shape_of(await self._docket.payload(approval.id)))
        if sample is None or (len(self._known) >= self._most and sample.at <= self._oldest().at):
            return
        if await self._cabinet.swap(SAMPLES, sample.id, 0, msgspec.json.encode(sample), KEPT):
            self._wrote(sample)
            self._take(sample)
            await self._make_room()

    async def _make_room(self) -> None:
        while len(self._known) > self._most:
            oldest = self._oldest()
            paper = await self._cabinet.read(SAMPLES, oldest.id)
            if paper is not None:
                await self._cabinet.swap(SAMPLES, oldest.id, paper.version, None)
            self._drop(oldest.id)

    def _oldest(self) -> Sample:
        return next(iter(self._known.values()))

    def _take(self, sample: Sample) -> None:
        if sample.id not in self._known:
            self._known[sample.id] = sample
            self.tallies.add(sample)

    def _drop(self, ident: str) -> None:
        sample = self._known.pop(ident, None)
        if sample is not None:
            self.tallies.remove(sample)

    async def follow(self) -> None:
        """Learn what others have written since.

        Raises:
            StoreUnavailable: the cabinet cannot be reached.
        """
        revision, papers = await self._cabinet.changes(SAMPLES, self._revision)
        if revision < self._revision:  # the store has lost what it had
            left = {paper.key for paper in papers}
            for ident in [ident for ident in self._known if ident not in left]:
                self._drop(ident)
        for paper in papers:
            self._learn(paper)
        self._revision = revision
        while len(self._known) > self._most:
            self._drop(self._oldest().id)

    def _learn(self, paper: Paper) -> None:
        if paper.value is None:
            self._drop(paper.key)
            return
        try:
            self._take(msgspec.json.decode(paper.value, type=Sample))
        except (msgspec.DecodeError, ValueError):
            log.warning("a sample in the state cannot be read: %.100r", paper.key)

    async def _tick(self) -> None:
        try:
            await self.follow()
        except StoreUnavailable as error:
            log.debug("samples cannot be followed: %s", error)
        self._write_soon()
