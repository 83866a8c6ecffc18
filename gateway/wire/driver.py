"""Drives the pipeline's generator for one call from callbacks: performs each effect, and sends in what came of it.

Its phases:

    waiting    for its turn (pipelining), for the body (ReadBody) or for something to happen (Await)
    connecting to the tool (Send)
    sent       the request is going out or gone, no answer yet
    collecting the answer is read before any of it is passed on (Collect)
    relaying   the answer is passed on as it comes (Relay); also tunnels
    done       the agent has its answer, or one side is gone
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Any

from gateway.effects import Await, Collect, ReadBody, Relay, Reply, Send, Way
from gateway.errors import ClientGone, Refused
from gateway.model import Call, Outcome, Request
from gateway.understand.reader import Pulse
from gateway.wire.upload import Upload

if TYPE_CHECKING:
    from gateway.wire.server import Connection

log = logging.getLogger("gateway.wire")

WAITING, CONNECTING, SENT, COLLECTING, RELAYING, DONE = range(6)


class Driver(ABC):
    """A call on its way through the pipeline. What asks for the agent's body or for something to happen is done here;
    the call to the tool in ``Caller``, and what moves an answer in ``Exchange``, which derive from it."""

    # Class attributes stand for the usual case, so that a call sets only what differs (all this is made for each).
    phase = WAITING
    closing = False
    """The agent's connection ends after this answer."""
    _wanted: ReadBody | None = None
    """The pipeline waits for the agent's body."""
    _await: asyncio.Future[Any] | None = None
    _waits: Call | None = None
    """The call that waits for what ``_await`` gives, before it is permitted."""
    _way: Way | None = None
    streaming = False
    """The head of the answer is out, although the call still waits: a stream of events that tells that it does."""
    _pulse: Pulse | None = None
    """What tells so: it is asked for a beat when the clock says ``_beat_at``."""
    _beat_at = 0.0

    def __init__(self, connection: Connection, request: Request, upload: Upload) -> None:
        self._connection = connection
        self.request = request
        self.upload = upload
        self.seen = monotonic()

    def start(self) -> None:
        """Set out. Called once, when the requests before this one on the connection are answered."""
        self.seen = monotonic()
        self._way = self._connection.listener.pipeline.run(self.request)
        self._advance(None)

    def _advance(self, answer: Any, error: BaseException | None = None) -> None:
        """Send in what came of the last effect, and go on until something must be waited for."""
        way = self._way
        if way is None:
            raise RuntimeError("an exchange that never set out")
        while True:
            try:
                effect = way.send(answer) if error is None else way.throw(error)
            except StopIteration:
                self._finish()
                return
            except Exception:
                log.exception("a call was lost on its way; its connection is closed")
                self.phase = DONE
                self._drop_upstream()
                self._connection.abort()
                return
            error = None
            if isinstance(effect, Send):
                self._send(effect)
                return
            if isinstance(effect, Relay):
                if effect.body is None:
                    self._open_answer(effect)
                    return
                answer = self._relay_whole(effect, effect.body)
                continue
            if isinstance(effect, Collect):
                self._collect(effect)
                return
            if isinstance(effect, Reply):
                answer = self._reply(effect)
            elif isinstance(effect, ReadBody):
                error = self._too_large(effect)
                if error is None and self.upload.is_to_come(effect.limit):
                    self._ask_for_body(effect)
                    return
                answer = self.upload.whole(effect)
            else:
                self._wait_for(effect)
                return

    def _wait_for(self, effect: Await) -> None:
        self._waits = effect.call
        if effect.pulse is not None:
            self._pulse, self._beat_at = effect.pulse, monotonic() + effect.pulse.every
        self._await = task = asyncio.ensure_future(effect.awaitable)
        task.add_done_callback(self._awaited)

    def _awaited(self, task: asyncio.Future[Any]) -> None:
        self._await = self._waits = None
        if self.phase == DONE:
            return
        if not self.streaming:
            self._pulse = None
        error = InterruptedError("what the call waited for was given up") if task.cancelled() else task.exception()
        if error is not None:
            self._advance(None, error)
        else:
            self._advance(task.result())

    def _ask_for_body(self, wanted: ReadBody) -> None:
        """Wait for the body, and say so where the agent waits to be asked (RFC 9110, 10.1.1)."""
        self._wanted = wanted
        if self.upload.expect:
            self.upload.expect = False
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._connection.resume_reading()

    def _body_grew(self, wanted: ReadBody) -> None:
        """More has come of the body that the pipeline waits for: it may turn out to be too large."""
        if not self.upload.is_over(wanted.limit):
            return
        self._wanted = None
        self._advance(None, self._too_large(wanted))

    def _too_large(self, wanted: ReadBody) -> Refused | None:
        error = self.upload.too_large(wanted)
        if error is not None:
            self.closing = self.closing or not self.upload.complete
        return error

    def _forget(self, outcome: Outcome) -> None:
        """The agent is gone: nothing is waited for any more, and the pipeline is told."""
        self.phase = DONE
        if self._await is not None:
            self._await.cancel()
        self._drop_upstream()
        if self._way is None:  # still waiting for its turn: it never set out
            return
        try:
            self._way.throw(ClientGone(outcome))
        except StopIteration:
            pass
        except Exception:
            log.exception("a call was lost while it was abandoned")

    @abstractmethod
    def _finish(self) -> None:
        """The pipeline has come to its end."""

    @abstractmethod
    def _send(self, send: Send) -> None:
        """Make the call."""

    @abstractmethod
    def _open_answer(self, relay: Relay) -> None:
        """Pass the answer on as it comes."""

    @abstractmethod
    def _collect(self, collect: Collect) -> None:
        """Gather the answer's body."""

    @abstractmethod
    def _relay_whole(self, relay: Relay, body: bytes) -> Outcome:
        """Write the whole answer: the head that was kept, and this body."""

    @abstractmethod
    def _reply(self, reply: Reply) -> Outcome:
        """Write an answer of our own."""

    @abstractmethod
    def _drop_upstream(self) -> None:
        """What the tool still says is of no interest."""


__all__ = ["COLLECTING", "CONNECTING", "DONE", "RELAYING", "SENT", "WAITING", "Driver"]
