"""What the pipeline asks of the world, and what it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any

from msgspec import Struct

from gateway.model import Call, Fields, Lent, Permit
from gateway.understand.reader import Answer, Pulse


class ReadBody(Struct, frozen=True):
    """Answered with the whole request body, or None where it is over ``limit`` bytes and ``optional``.

    Over the limit and not optional: the wire throws Refused (413) in.
    """

    limit: int
    optional: bool


class Await(Struct, frozen=True):
    """Answered with what the awaitable gives. ``call`` waits for it, and may be refused meanwhile: Refused is thrown
    in. ``pulse`` keeps the agent's connection alive meanwhile, where that takes long."""

    awaitable: Awaitable[Any]
    call: Call | None = None
    pulse: Pulse | None = None


class Send(Struct, frozen=True):
    """Make the permitted call. Answered with Answered at the head of the answer; UpstreamError is thrown in.

    ``plain``: the answer may be read, so ask the tool for one without a content coding, and tell of what type it is.
    ``typed``: tell that in any case.
    """

    permit: Permit
    plain: bool = False
    typed: bool = False
    lent: Lent | None = None
    """A credential for this very call."""


class Relay(Struct, frozen=True):
    """Pass the answer on as it comes, with these field lines added. Answered with the Outcome at its end.

    ``through``: its body goes through this. ``body``: the whole body for the agent, after ``Collect``.
    """

    lines: bytes
    through: Answer | None = None
    body: bytes | None = None


class Collect(Struct, frozen=True):
    """Read the answer's whole body, and pass nothing on yet. Answered with it; UpstreamError is thrown in where it is
    over ``limit`` bytes or breaks off."""

    limit: int


class Reply(Struct, frozen=True):
    """Answer the agent ourselves. Answered with the Outcome."""

    status: int
    fields: Fields
    body: bytes


Effect = ReadBody | Await | Send | Collect | Relay | Reply
Way = Generator[Effect, Any, None]
