"""Who is told of what: follows all approvals, and has each event told once by each channel, whichever replica does it.

Each replica hears of each change, and one has the turn (``Board.seize``). Where it dies before it has told of an
approval that waits, another finds no mark of it once the turn is over, and tells it: twice at worst, never not at all.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import msgspec

from gateway.approvals.docket import KEPT, Docket
from gateway.approvals.notify.generic import Webhook
from gateway.approvals.notify.links import Links
from gateway.approvals.notify.mail import Mail
from gateway.approvals.notify.notices import (
    DECIDED,
    ESCALATED,
    EXPIRED,
    OPENED,
    Addresses,
    Masks,
    Notice,
    notice_of,
)
from gateway.approvals.notify.outbox import Job, Outbox
from gateway.approvals.notify.posting import Poster
from gateway.approvals.notify.slack import Slack
from gateway.approvals.notify.teams import Teams
from gateway.approvals.verdicts import edit_of
from gateway.config.schema_approvals import Approvals, Channel
from gateway.errors import StoreUnavailable
from gateway.model import Approval, ApprovalState
from gateway.ports import Board, Cabinet
from gateway.stores.ticking import Ticker

MARKS = "notice"
"""Kind of documents in the cabinet: by approval, event and channel, what the channel said when it took the message."""
TURN = 120.0
"""Seconds that a replica has for telling something before another may."""
TICK = 15.0
MOST_AT_ONCE = 16 * 1024
"""Bytes of a call that are looked through between others' calls; a larger one is, in a thread of its own."""
MOST_UNSURE = 10_000
"""Things that others have the turn for, looked at again when it is over."""

Sender = Webhook | Slack | Teams | Mail


class Notifier:
    """Tells people of the approvals of a docket. ``adopt`` gives it its channels."""

    def __init__(
        self,
        docket: Docket,
        board: Board,
        cabinet: Cabinet,
        links: Links,
        masks: Masks,
        poster: Callable[[], Poster] = Poster,
    ) -> None:
        self._docket, self._board, self._cabinet = docket, board, cabinet
        self._links, self.masks, self._poster = links, masks, poster()
        self._config = Approvals()
        self._senders: dict[str, Sender] = {}
        self._outboxes: dict[str, Outbox] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._unsure: deque[tuple[float, Job]] = deque(maxlen=MOST_UNSURE)
        self._ticker = Ticker(TICK, self._look_again)
        self._counts: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        docket.watch(self._hear)

    def start(self) -> None:
        """Begin to look after what others have not told."""
        self._ticker.start()

    async def close(self) -> None:
        """Tell no more."""
        await self._ticker.stop()
        for outbox in self._outboxes.values():
            await outbox.close()
        if self._closing:
            await asyncio.wait(self._closing)
        await self._poster.close()

    def adopt(self, config: Approvals, authorities: Mapping[str, str]) -> None:
        """Use these channels from now on. ``authorities`` of mail servers, in PEM, by channel. Call it on the loop."""
        for name in [name for name in self._outboxes if name not in config.channels]:
            closing = asyncio.get_running_loop().create_task(self._outboxes.pop(name).close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._senders = {
            name: self._sender(channel, authorities.get(name)) for name, channel in config.channels.items()
        }
        for name in self._senders.keys() - self._outboxes.keys():
            self._outboxes[name] = Outbox(name, self._deliver, self._count)
        self._config = config

    def _sender(self, channel: Channel, authorities: str | None) -> Sender:
        if channel.webhook is not None:
            return Webhook(channel.webhook, self._poster)
        if channel.slack is not None:
            return Slack(channel.slack, self._poster)
        if channel.teams is not None:
            return Teams(channel.teams, self._poster)
        if channel.email is not None:
            return Mail(channel.email, authorities)
        raise ValueError("a channel of no kind")  # the schema lets none pass

    # -- what is to be told -----------------------------------------------------------------------------------------

    def _hear(self, before: Approval | None, after: Approval | None) -> None:
        if after is None or not self._senders:
            return
        known = before is not None and before.id == after.id
        if after.state is ApprovalState.WAITING:
            if not known:
                self._tell(after, OPENED, after.terms.notify)
            seen = before.escalated if known and before is not None else 0
            for step in range(seen, min(after.escalated, len(after.terms.escalate))):
                self._tell(after, ESCALATED, after.terms.escalate[step].notify, step + 1)
        elif known and before is not None and before.state is ApprovalState.WAITING:
            late = after.state is ApprovalState.EXPIRED and after.approvals < after.terms.approvers
            self._tell(after, EXPIRED if late else DECIDED, _all_told(after))

    def _tell(self, approval: Approval, event: str, channels: tuple[str, ...], step: int = 0) -> None:
        for name in channels:
            outbox = self._outboxes.get(name)
            if outbox is not None and event in _events_of(self._config.channels[name]):
                outbox.put(Job(name, approval.id, event, step))

    async def _look_again(self) -> None:
        """Tell what others had the turn for, if they have not."""
        now = self._docket.now()
        while self._unsure and self._unsure[0][0] <= now:
            _, job = self._unsure.popleft()
            if (outbox := self._outboxes.get(job.channel)) is not None:
                outbox.put(job)

    # -- telling ----------------------------------------------------------------------------------------------------

    async def _deliver(self, job: Job) -> str:
        approval, sender = self._docket.find(job.approval), self._senders.get(job.channel)
        asks = job.event in (OPENED, ESCALATED)
        if approval is None or sender is None or (asks and approval.state is not ApprovalState.WAITING):
            return "late"
        if await self._mark(job.ident, job.channel):
            return ""
        if not job.tried and not await self._board.seize(f"notice/{job.channel}/{job.ident}", TURN):
            if asks:
                self._unsure.append((self._docket.now() + TURN, job))
            return ""
        job.tried = True
        notice = await self._notice(job, approval)
        receipt = await self._mark(f"{job.approval}.{OPENED}", job.channel)
        taken = await sender.send(notice, receipt, job.done)
        await self._put_mark(job, approval, taken)
        return "sent"

    async def preview(self, approval: Approval, channel: str) -> Notice:
        """What this channel is told of an approval that waits, as it stands now."""
        return await self._notice(Job(channel, approval.id, OPENED), approval)

    async def _notice(self, job: Job, approval: Approval) -> Notice:
        payload = await self._docket.payload(approval.id)
        if payload is not None and (edit := edit_of(approval)):
            args = await self._docket.edit(approval.id, edit)
            payload = msgspec.json.encode(
                {**msgspec.json.decode(payload, type=dict), "args": msgspec.Raw(args or b"null")}
            )
        to = Addresses((self._config.url or "").rstrip("/"), self._links, job.channel)
        told = partial(notice_of, job.ident, job.event, approval, payload, self.masks, to, self._docket.now())
        return await asyncio.to_thread(told) if payload is not None and len(payload) > MOST_AT_ONCE else told()

    async def _mark(self, ident: str, channel: str) -> str:
        paper = await self._cabinet.read(MARKS, f"{channel}/{ident}")
        return "" if paper is None or paper.value is None else paper.value.decode()

    async def _put_mark(self, job: Job, approval: Approval, taken: str) -> None:
        left = max(0.0, approval.expires - self._docket.now()) + KEPT
        try:
            await self._cabinet.swap(MARKS, f"{job.channel}/{job.ident}", 0, taken.encode(), left)
        except StoreUnavailable:
            return  # it has been told; at worst once more

    # -- how it stands ----------------------------------------------------------------------------------------------

    def _count(self, job: Job, outcome: str) -> None:
        self._counts[job.channel, job.event, outcome] += 1

    def counts(self) -> Iterator[tuple[str, str, str, int]]:
        """Channel, event, outcome (sent, late, failed, dropped), and how many."""
        return iter([(*key, count) for key, count in self._counts.items()])

    def status(self) -> dict[str, object]:
        """For the readiness page."""
        return {
            name: {"waiting": outbox.waiting, "error": outbox.error or None} for name, outbox in self._outboxes.items()
        }


def _all_told(approval: Approval) -> tuple[str, ...]:
    """Channels that have been told that it waits."""
    steps = approval.terms.escalate[: approval.escalated]
    return tuple(dict.fromkeys([*approval.terms.notify, *[name for step in steps for name in step.notify]]))


def _events_of(channel: Channel) -> tuple[str, ...]:
    kind = channel.webhook or channel.slack or channel.teams or channel.email
    return () if kind is None else kind.events
