"""Several ways to the same place, of which the first that works is taken (RFC 8305)."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

STAGGER = 0.25
"""Seconds that an attempt has for itself before the next one starts beside it (RFC 8305, 5)."""

T = TypeVar("T")


async def first_of(
    attempts: Iterable[Callable[[], Coroutine[Any, Any, T]]], drop: Callable[[T], None], stagger: float = STAGGER
) -> T:
    """What the first attempt that succeeds gives. They start in order, the next when one has failed or ``stagger``
    seconds are over; what others give too late is dropped.

    Raises:
        ssl.SSLError: an attempt reached somebody who is not who he should be; others would not do better.
        OSError: all failed, the last one of this.
    """
    left = deque(attempts)
    running: set[asyncio.Task[T]] = set()
    failed: BaseException = OSError("it has no address")
    try:
        while left or running:
            if left:
                running.add(asyncio.ensure_future(left.popleft()()))
            done, _ = await asyncio.wait(
                running, timeout=stagger if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                error = task.exception()
                if error is None:
                    running.discard(task)
                    return task.result()
                if isinstance(error, ssl.SSLError) or not isinstance(error, OSError):
                    raise error
                running.discard(task)
                failed = error
        raise failed
    finally:
        for task in running:
            if not task.cancel() and not task.cancelled() and task.exception() is None:
                drop(task.result())


__all__ = ["first_of"]
