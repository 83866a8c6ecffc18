"""What stands in the line of a connection's requests: an exchange, or what became of bytes that were no request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from gateway.errors import Refused
from gateway.model import Call, Request
from gateway.wire.driver import WAITING

if TYPE_CHECKING:
    from gateway.wire.server import Connection


class Turn(Protocol):
    """One request's turn on its connection. It tells the connection when it is over (``exchange_done``)."""

    request: Request
    phase: int
    keep_alive: bool
    closing: bool
    streaming: bool
    """The head of its answer is out, although it still waits."""

    @property
    def complete(self) -> bool:
        """The agent's request has been read to its end."""
        ...

    def start(self) -> None:
        """The turn begins."""

    def abandon(self) -> None:
        """The agent is gone."""

    def stop(self) -> None:
        """The gateway ends."""

    def check(self, now: float, stalled: bool) -> None:
        """Look at the clock. ``stalled``: the agent does not take what is written."""

    def cut(self, covers: Callable[[Call], bool], refused: Refused, *, running: bool) -> bool:
        """End it where it is one of these calls; whether it was. ``running``: also where it is under way."""
        ...

    def calling(self) -> str:
        """The tool that is being called, or nothing."""
        ...

    def pause_answer(self) -> None:
        """The agent does not take what is written."""

    def resume_answer(self) -> None:
        """It takes it again."""


class Rejected:
    """The turn of bytes that never became a request. ``request`` is as far as they were read."""

    phase = WAITING
    keep_alive = complete = streaming = False
    closing = True

    def __init__(self, connection: Connection, detail: str, status: int, request: Request | None = None) -> None:
        self._connection, self._detail, self._status = connection, detail, status
        self.request = request or Request("", "", "", (), {}, 0, connection.peer, connection.loopback)

    def start(self) -> None:
        """Answer and end."""
        connection = self._connection
        connection.write(connection.listener.rejection(self._status, self._detail, self.request))
        connection.exchange_done(self)

    def abandon(self) -> None:
        """Nothing is under way."""

    stop = pause_answer = resume_answer = abandon

    def check(self, now: float, stalled: bool) -> None:
        """Nothing to wait for."""

    def cut(self, covers: Callable[[Call], bool], refused: Refused, *, running: bool) -> bool:  # noqa: ARG002
        """No call."""
        return False

    def calling(self) -> str:
        """No tool."""
        return ""


__all__ = ["Rejected", "Turn"]
