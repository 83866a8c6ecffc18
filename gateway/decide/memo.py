"""What guards remember of calls that are alike: agents make the same few kinds of call many times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.model import Call, Claim

MOST = 4096
LONGEST = 512
"""Characters of a kind that are remembered: agents choose operations and runs, and must not fill the memory."""

Kind = tuple[str, str, tuple[str, ...], str, str, str]

OF_THE_KIND = frozenset({"agent.id", "run.id", "tool.name", "tool.operation", "tool.protocol"})
"""Variables that are the same for all calls of a kind."""


Prepared = tuple[Claim, ...] | Callable[[Call], tuple[Claim, ...]] | None
"""What a quota claims for all calls of a kind (``of_the_kind``), or what tells it for each of them where none of its
claims is ever waited for. None where it must be asked for each call."""

V = TypeVar("V")


def kind_of(call: Call) -> Kind:
    """Agent, run, tool, operation and task."""
    run = call.run
    return call.agent.id, run.id, run.root, call.tool.name, call.operation, run.task


class Kept(Generic[V]):
    """Something by kind of call. Forgets everything when it is full."""

    __slots__ = ("_kept", "get")

    def __init__(self) -> None:
        self._kept: dict[Kind, V] = {}
        self.get = self._kept.get

    def keep(self, kind: Kind, value: V) -> None:
        """Remember it, unless the kind is too long."""
        if len(kind[4]) + len(kind[1]) <= LONGEST:
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[kind] = value

    def __len__(self) -> int:
        return len(self._kept)


class ClaimMemo:
    """Claims of one quota by kind of call."""

    __slots__ = ("_claims", "_kept")

    def __init__(self, claims: Callable[[Call], tuple[tuple[Claim, ...], bool]]) -> None:
        """``claims`` makes the claims of a call, and says whether they depend on its kind alone."""
        self._claims = claims
        self._kept = Kept[tuple[Claim, ...]]()

    def of(self, call: Call) -> tuple[Claim, ...]:
        """The claims of this call."""
        kind = kind_of(call)
        kept = self._kept.get(kind)
        if kept is not None:
            return kept
        claims, by_kind = self._claims(call)
        if by_kind:
            self._kept.keep(kind, claims)
        return claims

    def of_the_kind(self, call: Call) -> Prepared:
        """The claims of all calls of this one's kind; None where they depend on more."""
        claims, by_kind = self._claims(call)
        return claims if by_kind else None
