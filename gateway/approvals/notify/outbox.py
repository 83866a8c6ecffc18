"""What is to be told by one channel: a bounded line, from which some tellers take, and try again for a while.

Nobody waits for it: what has no room is counted and dropped. What is told of one approval is told in its order, since
one teller takes all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from random import SystemRandom
from zlib import crc32

from msgspec import Struct, field

from gateway.approvals.notify.posting import Undelivered
from gateway.errors import StoreUnavailable

TELLERS = 4
MOST = 2500
"""Jobs that wait for one teller."""
TRIES = 8
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two tries, doubled each time and shortened by up to a half, so that receivers are not met by all
senders at once; a receiver may ask for more, up to twice the longest."""

log = logging.getLogger("toolgate.approvals")

_between = SystemRandom().uniform


class Job(Struct):
    """One thing to tell by one channel."""

    channel: str
    approval: str
    event: str
    step: int = 0
    """Of the escalation."""
    done: set[str] = field(default_factory=set)
    """Recipients who have been told."""
    tried: bool = False
    """This replica has the turn, and goes on with it."""

    @property
    def ident(self) -> str:
        """The same for whoever tells this."""
        return f"{self.approval}.{self.event}{f'-{self.step}' if self.step else ''}"


Deliver = Callable[[Job], Awaitable[str]]
"""Tells it, and says what came of it (sent, late); empty where another replica tells it. Raises Undelivered and
StoreUnavailable."""
Counted = Callable[[Job, str], None]
"""Is told what came of each: sent, late, failed, dropped."""


class Outbox:
    """One channel's."""

    def __init__(
        self,
        name: str,
        deliver: Deliver,
        counted: Counted,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        most: int = MOST,
    ) -> None:
        """Begin. Made on the loop."""
        self._name, self._deliver, self._counted, self._sleep = name, deliver, counted, sleep
        self._lines: list[asyncio.Queue[Job]] = [asyncio.Queue(most) for _ in range(TELLERS)]
        self._tellers = [asyncio.create_task(self._tell(line)) for line in self._lines]
        self.error = ""
        """What the last try failed with; empty while messages are taken."""

    @property
    def waiting(self) -> int:
        """Jobs in line."""
        return sum(line.qsize() for line in self._lines)

    def put(self, job: Job) -> None:
        """Tell it in its turn. Never waits."""
        line = self._lines[crc32(job.approval.encode()) % TELLERS]
        try:
            line.put_nowait(job)
        except asyncio.QueueFull:
            self._counted(job, "dropped")

    async def close(self) -> None:
        """Tell no more; what is in line is not told by this replica."""
        for teller in self._tellers:
            teller.cancel()
        for teller in self._tellers:
            with contextlib.suppress(asyncio.CancelledError):
                await teller

    async def _tell(self, line: asyncio.Queue[Job]) -> None:
        while True:
            job = await line.get()
            try:
                outcome = await self._persist(job)
            except Exception:  # a mistake of ours in one message must not silence the channel
                log.exception("channel %s: %s cannot be told", self._name, job.ident)
                outcome = "failed"
            if outcome:
                self._counted(job, outcome)

    async def _persist(self, job: Job) -> str:
        pause = FIRST_PAUSE
        for left in reversed(range(TRIES)):
            try:
                outcome = await self._deliver(job)
            except (Undelivered, StoreUnavailable) as error:
                again, wait = (error.again, error.wait) if isinstance(error, Undelivered) else (True, 0.0)
                self._note(str(error))
                if not (again and left):
                    log.warning("channel %s: %s is not told: %s", self._name, job.ident, error)
                    return "failed"
                await self._sleep(max(_between(pause / 2, pause), min(wait, 2 * LONGEST_PAUSE)))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if outcome == "sent":
                    self._note("")
                return outcome
        raise AssertionError("the last try returns")

    def _note(self, error: str) -> None:
        if bool(error) != bool(self.error):
            if error:
                log.error("channel %s does not take messages: %s", self._name, error)
            else:
                log.warning("channel %s takes messages again", self._name)
        self.error = error
