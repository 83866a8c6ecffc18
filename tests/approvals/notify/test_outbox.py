"""The line of one channel: in order, with patience, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.approvals.notify.outbox import LONGEST_PAUSE, TELLERS, TRIES, Job, Outbox
from gateway.approvals.notify.posting import Undelivered
from gateway.errors import StoreUnavailable


class Line:
    """An outbox whose pauses are noted and not waited for."""

    def __init__(self, deliver: Callable[[Job], Awaitable[str]], most: int = 100) -> None:
        self.pauses: list[float] = []
        self.came_of: list[tuple[str, str]] = []
        self.outbox = Outbox("ops", deliver, self._counted, self._pause, most)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    def _counted(self, job: Job, outcome: str) -> None:
        self.came_of.append((job.ident, outcome))

    async def until(self, count: int) -> None:
        while len(self.came_of) < count:
            await asyncio.sleep(0)


async def test_what_is_told_of_one_approval_is_told_in_order() -> None:
    told: list[str] = []

    async def deliver(job: Job) -> str:
        for _ in range(3 if job.event == "opened" else 0):
            await asyncio.sleep(0)
        told.append(job.ident)
        return "sent"

    line = Line(deliver)
    for number in range(20):
        for event in ("opened", "escalated", "decided"):
            line.outbox.put(Job("ops", f"apr-{number}", event, 1 if event == "escalated" else 0))
    await line.until(60)
    await line.outbox.close()
    for number in range(20):
        mine = [ident for ident in told if ident.partition(".")[0] == f"apr-{number}"]
        assert mine == [f"apr-{number}.{event}" for event in ("opened", "escalated-1", "decided")]


@pytest.mark.parametrize("error", [Undelivered("it answered 503", again=True), StoreUnavailable("away")])
async def test_it_tries_again_ever_more_slowly_and_not_for_ever(error: Exception) -> None:
    async def deliver(_: Job) -> str:
        raise error

    line = Line(deliver)
    line.outbox.put(Job("ops", "apr-1", "opened"))
    await line.until(1)
    assert line.came_of == [("apr-1.opened", "failed")]
    assert len(line.pauses) == TRIES - 1
    for number, pause in enumerate(line.pauses):
        longest = min(2.0**number, LONGEST_PAUSE)
        assert longest / 2 <= pause <= longest
    assert line.outbox.error == str(error)
    await line.outbox.close()


async def test_it_waits_as_long_as_it_is_asked_to_within_reason() -> None:
    waits = [30.0, 1e9]

    async def deliver(_: Job) -> str:
        if waits:
            raise Undelivered("429", again=True, wait=waits.pop(0))
        return "sent"

    line = Line(deliver)
    line.outbox.put(Job("ops", "apr-1", "opened"))
    await line.until(1)
    assert line.pauses == [30.0, 2 * LONGEST_PAUSE]
    assert line.came_of == [("apr-1.opened", "sent")]
    assert line.outbox.error == ""
    await line.outbox.close()


async def test_what_will_never_be_taken_is_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def deliver(_: Job) -> str:
        raise Undelivered("the receiver answered 404", again=False)

    line = Line(deliver)
    line.outbox.put(Job("ops", "apr-1", "opened"))
    await line.until(1)
    assert (line.came_of, line.pauses) == ([("apr-1.opened", "failed")], [])
    assert "apr-1.opened is not told: the receiver answered 404" in caplog.text
    await line.outbox.close()


async def test_a_full_line_drops_and_nobody_waits() -> None:
    free = asyncio.Event()

    async def deliver(_: Job) -> str:
        await free.wait()
        return "sent"

    line = Line(deliver, most=5)
    for number in range(1000):
        line.outbox.put(Job("ops", f"apr-{number}", "opened"))
    assert line.outbox.waiting == 5 * TELLERS
    assert len(line.came_of) == 1000 - 5 * TELLERS
    assert {outcome for _, outcome in line.came_of} == {"dropped"}
    free.set()
    await line.until(1000)
    await line.outbox.close()


async def test_a_mistake_in_one_message_does_not_silence_the_channel(caplog: pytest.LogCaptureFixture) -> None:
    async def deliver(job: Job) -> str:
        if job.approval == "apr-1":
            raise KeyError("ours")
        return "sent"

    line = Line(deliver)
    for ident in ("apr-1", "apr-1b", "apr-1"):
        line.outbox.put(Job("ops", ident, "opened"))
    await line.until(3)
    assert sorted(outcome for _, outcome in line.came_of) == ["failed", "failed", "sent"]
    assert "KeyError" in caplog.text
    await line.outbox.close()
