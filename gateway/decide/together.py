"""What all quotas of a tool ask for a call together: which claims may wait for room, which must be granted at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeGuard

from msgspec import Struct

from gateway.decide.memo import Kept, Prepared, kind_of
from gateway.decide.shapes import Quota
from gateway.model import Call, Claim, PoolClaim, RateClaim

Waiting = RateClaim | PoolClaim
"""Claims that are waited for in line."""

Paced = list[tuple[Quota, Waiting]]
Claimed = list[tuple[Quota, Claim]]


def waits(claim: Claim) -> TypeGuard[Waiting]:
    """Whether the claim is waited for in line, before the others are asked for."""
    kind = type(claim)
    return kind is PoolClaim or (kind is RateClaim and claim.wait > 0)  # type: ignore[attr-defined]


class _Step(Struct, frozen=True):
    """What quotas that come one after the other ask of all calls of a kind; or one that must be asked each time."""

    paced: tuple[tuple[Quota, Waiting], ...] = ()
    claimed: tuple[tuple[Quota, Claim], ...] = ()
    quota: Quota | None = None
    asked: Callable[[Call], tuple[Claim, ...]] | None = None
    waits: bool = False
    """Whether what it then claims may be waited for."""


class Together(tuple[Quota, ...]):
    """The quotas of a street. What they ask of calls of one kind is looked up once for all, not once for each."""

    _kept: Kept[tuple[_Step, ...]]

    def __new__(cls, quotas: Sequence[Quota]) -> Together:
        made = super().__new__(cls, quotas)
        made._kept = Kept()
        return made

    def claims(self, call: Call) -> tuple[Paced, Claimed]:
        """The claims of a call that is no batch."""
        kind = kind_of(call)
        steps = self._kept.get(kind)
        if steps is None:
            steps = _steps(self, call)
            self._kept.keep(kind, steps)
        paced: Paced = []
        claimed: Claimed = []
        for step in steps:
            quota, asked = step.quota, step.asked
            if asked is None or quota is None:
                paced += step.paced
                claimed += step.claimed
                continue
            if step.waits:
                _sort(quota, asked(call), paced, claimed)
            else:
                claimed += [(quota, claim) for claim in asked(call)]
        return paced, claimed


def _steps(quotas: Sequence[Quota], call: Call) -> tuple[_Step, ...]:
    steps: list[_Step] = []
    paced: Paced = []
    claimed: Claimed = []
    for quota in quotas:
        of_the_kind: Callable[[Call], Prepared] | None = getattr(quota, "of_the_kind", None)
        prepared = None if of_the_kind is None else of_the_kind(call)
        if isinstance(prepared, tuple):
            _sort(quota, prepared, paced, claimed)
            continue
        asked = _Step((), (), quota, prepared or quota.claims, prepared is None)
        steps += [_Step(tuple(paced), tuple(claimed)), asked]
        paced, claimed = [], []
    steps.append(_Step(tuple(paced), tuple(claimed)))
    return tuple([step for step in steps if step.paced or step.claimed or step.asked])


def _sort(quota: Quota, claims: Sequence[Claim], paced: Paced, claimed: Claimed) -> None:
    for claim in claims:
        if waits(claim):
            paced.append((quota, claim))
        else:
            claimed.append((quota, claim))


def claims_of(call: Call, quotas: Sequence[Quota]) -> tuple[Paced, Claimed]:
    """What the quotas ask for: claims that may wait for room, and claims that must be granted at once."""
    if call.parts:
        return _claims_of_all(call.parts, quotas)
    if isinstance(quotas, Together):
        return quotas.claims(call)
    paced: Paced = []
    claimed: Claimed = []
    for quota in quotas:
        _sort(quota, quota.claims(call), paced, claimed)
    return paced, claimed


def _claims_of_all(parts: Sequence[Call], quotas: Sequence[Quota]) -> tuple[Paced, Claimed]:
    """The claims of a batch, each counter once: the tokens of its calls add up; it is one request to the tool, which
    takes one place and one passage."""
    # By kind too: a limit and a breaker may have one name, and then keys that are the same.
    merged: dict[tuple[type[Claim], tuple[str, ...]], tuple[Quota, Claim]] = {}
    for part in parts:
        for quota in quotas:
            for claim in quota.claims(part):
                counter = (type(claim), claim.key)
                held = merged.get(counter)
                if held is None:
                    merged[counter] = (quota, claim)
                else:
                    merged[counter] = (quota, held[1].joined(claim))
    paced: Paced = []
    claimed: Claimed = []
    for quota, claim in merged.values():
        _sort(quota, (claim,), paced, claimed)
    # As for a single call: limits first, then pools by name, whatever the order of the calls (see Pools).
    paced.sort(key=_place_in_line)
    return paced, claimed


def _place_in_line(entry: tuple[Quota, Waiting]) -> tuple[bool, tuple[str, ...]]:
    claim = entry[1]
    return isinstance(claim, PoolClaim), claim.key
