"""What a scene has at hand: the stage, and a way to say what must come of its calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from gateway.demo.client import Client
from gateway.demo.table import ALLOWED, HELD, Seen


class Stage(Struct, frozen=True):
    """Where the scenes play. ``search`` and ``library`` are these tools' own base URLs, past the gateway."""

    client: Client
    policies: Path
    search: str
    library: str


class Surprise(Exception):  # noqa: N818 - not an error of ours: what the gateway did was not what the scene says
    """A call came out otherwise than the scene says."""


Scene = Callable[[Stage], Awaitable[None]]


async def expect(stage: Stage, *calls: tuple[Seen, str]) -> None:
    """Print the calls; each must have come out as said. A call let through may have been held back.

    Raises:
        Surprise: one came out otherwise.
    """
    outcomes = await stage.client.show(*(seen for seen, _ in calls))
    for outcome, (seen, expected) in zip(outcomes, calls, strict=True):
        if outcome != expected and (outcome, expected) != (HELD, ALLOWED):
            raise Surprise(f"{seen.agent}: {seen.call} should be {expected}, not {outcome} ({seen.status})")
