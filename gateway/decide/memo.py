"""What guards remember of calls that are alike: agents make the same few kinds of call many times."""

from __future__ import annotations

from collections.abc import Callable

from gateway.model import Call, Claim

MOST = 4096
LONGEST = 512
"""Characters of a kind that are remembered: agents choose operations and runs, and must not fill the memory."""

Kind = tuple[str, str, tuple[str, ...], str, str]

OF_THE_KIND = frozenset({"agent.id", "run.id", "tool.name", "tool.operation", "tool.protocol"})
"""Variables that are the same for all calls of a kind."""


class ClaimMemo:
    """Claims by kind of call: agent, run, tool and operation. Forgets everything when it is full."""

    __slots__ = ("_claims", "_kept")

    def __init__(self, claims: Callable[[Call], tuple[tuple[Claim, ...], bool]]) -> None:
        """``claims`` makes the claims of a call, and says whether they depend on its kind alone."""
        self._claims = claims
        self._kept: dict[Kind, tuple[Claim, ...]] = {}

    def of(self, call: Call) -> tuple[Claim, ...]:
        """The claims of this call."""
        run = call.run
        kind = (call.agent.id, run.id, run.root, call.tool.name, call.operation)
        kept = self._kept.get(kind)
        if kept is not None:
            return kept
        claims, by_kind = self._claims(call)
        if by_kind and len(call.operation) + len(run.id) <= LONGEST:
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[kind] = claims
        return claims
