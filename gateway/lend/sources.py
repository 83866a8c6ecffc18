"""Where the credential of one place comes from, and how it fails."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from gateway.errors import ToolgateError
from gateway.model import Call, Lent
from gateway.model.credentials import Fixed


class Unavailable(ToolgateError):  # noqa: N818 - says how it stands
    """A credential cannot be had; the text says why, and holds nothing secret. ``status`` is what the agent gets."""

    def __init__(self, detail: str, status: int = 502) -> None:
        super().__init__(detail)
        self.status = status


class Source(Protocol):
    """One credential."""

    def lend(self, call: Call, body: bytes | None, so_far: Lent) -> Lent | Awaitable[Lent]:
        """What it is for this call. ``so_far``: what else the call gets. Raises Unavailable, now or when awaited."""

    def rejected(self, call: Call) -> None:
        """The tool did not take it (401)."""

    def retire(self) -> None:
        """No calls will ask any more, but for those under way."""

    async def close(self) -> None:
        """End what is open."""


class FixedSource:
    """The same for each call that gets it."""

    def __init__(self, fixed: Fixed) -> None:
        if fixed.member is not None:
            self._lent = Lent((), (fixed.member,), (fixed.member[1],))
        elif fixed.field is not None:
            self._lent = Lent((fixed.field,), (), (fixed.field[1].decode("latin-1"),))
        else:
            raise ValueError("a credential with neither a field nor a member")

    def lend(self, call: Call, body: bytes | None, so_far: Lent) -> Lent:  # noqa: ARG002 - the same for all
        return self._lent

    def rejected(self, call: Call) -> None:
        """Nothing else can be had."""

    def retire(self) -> None:
        """Nothing is open."""

    async def close(self) -> None:
        """Nothing is open."""


__all__ = ["FixedSource", "Source", "Unavailable"]
