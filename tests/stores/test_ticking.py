"""What is done again and again, beside the calls."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.stores.ticking import Ticker


async def test_it_goes_on_after_a_mistake_which_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []
    twice = asyncio.Event()

    async def work() -> None:
        done.append(len(done))
        if len(done) == 1:
            raise ValueError("a mistake")
        twice.set()

    ticker = Ticker(0.001, work)
    with caplog.at_level(logging.ERROR):
        ticker.start()
        await twice.wait()
        await ticker.stop()
    assert "a mistake" in caplog.text


async def test_it_ends_also_where_the_work_swallows_the_cancelling() -> None:
    """Client libraries do, when they are interrupted in the middle of closing a connection."""
    began = asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    ticker = Ticker(0.001, work)
    ticker.start()
    await began.wait()
    await ticker.stop()


async def test_what_never_began_ends() -> None:
    async def work() -> None:
        raise AssertionError("never")

    await Ticker(0.001, work).stop()
