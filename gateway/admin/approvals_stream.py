"""``/api/approvals/stream``: approvals as they change, as server-sent events (HTML Living Standard, 9.2).

``event: approval`` with the approval as a list has it; ``event: reset`` where some changes are not known any more, and
the list must be read anew: first of all, and where a client comes with an id of another process or from long ago.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import orjson
from aiohttp import web

from gateway.admin.approvals_shown import summary
from gateway.admin.events import STILL_HERE, send, wait
from gateway.admin.problems import HEADERS, Failure
from gateway.approvals.changes import Changes, Crowded
from gateway.model import Approval

MOST_AT_ONCE = 200
"""Approvals of which one batch of events tells; where more have changed, the list is read faster."""
_PAUSE = 0.1
"""Seconds between two batches, at least."""
_LONGEST = 900.0
"""Seconds after which a stream ends, so that its client comes again and is asked once more who it is."""
_RESET = b"event: reset\ndata: {}\n"


class Stream:
    """The route. ``name`` is unlike any other process's; ``now`` gives seconds since the epoch; ``hide`` takes secrets
    out of what is shown."""

    def __init__(
        self, changes: Changes, name: str, now: Callable[[], float], hide: Callable[[bytes], bytes] = bytes
    ) -> None:
        self._changes, self._name, self._now, self._hide = changes, name, now, hide

    async def close(self, _: web.Application) -> None:
        """Let all streams end."""
        self._changes.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Tell of changes until the client goes.

        Raises:
            Failure: 503, too many watch already.
        """
        try:
            with self._changes.watching() as event:
                return await self._tell(request, event)
        except Crowded as crowded:
            raise Failure(503, str(crowded), "close another stream") from None

    async def _tell(self, request: web.Request, event: asyncio.Event) -> web.StreamResponse:
        number = self._number(request.headers.get("Last-Event-ID", ""))
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        if not await send(response, b"retry: 1000\n\n"):
            return response
        loop = asyncio.get_running_loop()
        until = loop.time() + _LONGEST
        while not self._changes.closed and loop.time() < until:
            event.clear()
            last = self._changes.last
            found, gone = self._changes.after(number) if number is not None else ([], True)
            number = last
            if (found or gone) and not await send(response, self._events(found, gone, last)):
                break
            await asyncio.sleep(_PAUSE)
            if not await wait(event) and not await send(response, STILL_HERE):
                break
        return response

    def _events(self, found: Sequence[Approval], gone: bool, last: int) -> bytes:
        """Only the last of them has an id: whoever is cut off between two of them gets all of them again."""
        if gone or len(found) > MOST_AT_ONCE:
            events = [_RESET]
        else:
            now = self._now()
            events = [self._event(summary(approval, now)) for approval in found]
        events[-1] = b"id: %b-%d\n%b" % (self._name.encode(), last, events[-1])
        return b"\n".join([*events, b""])

    def _event(self, shown: object) -> bytes:
        return b"event: approval\ndata: %b\n" % self._hide(orjson.dumps(shown))

    def _number(self, ident: str) -> int | None:
        """Where to go on; None where that is not known."""
        name, _, number = ident.rpartition("-")
        if name != self._name or not number.isascii() or not number.isdecimal() or len(number) > 15:
            return None
        return min(int(number), self._changes.last)
