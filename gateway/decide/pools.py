"""Pools: a tool's places, which agents share fairly and wait for in line."""

from __future__ import annotations

from gateway.decide.memo import ClaimMemo
from gateway.model import Call, Claim, Hold, PoolClaim, Reason, Refusal
from gateway.policy.book import PolicyBook
from gateway.policy.governors import CompiledPool
from gateway.policy.guards import short

_TOO_LATE = "timeout"


class Pools:
    """Claims a place in every pool that matches the call.

    In the order of their names, for all calls: a call that has a place in one may wait for the next, and two calls that
    wait for each other's places would both wait in vain.
    """

    def __init__(self, book: PolicyBook) -> None:
        self._book = book
        memo = ClaimMemo(self._claims)
        self.claims, self.of_the_kind = memo.of, memo.of_the_kind

    def _claims(self, call: Call) -> tuple[tuple[Claim, ...], bool]:
        tool = call.tool.name
        pools = self._book.governors(CompiledPool, tool, call.operation, implied=call.implied)
        agent = short(call.agent.id)
        claims = [
            PoolClaim(pool.name, (pool.name, tool), agent, *pool.share(call.agent), pool.settings)
            for pool in sorted(pools, key=_name)
        ]
        return tuple(claims), True

    def refusal(self, hold: Hold) -> Refusal:
        """503 where the tool is too busy; 429 where the line is full, which a client's own retries may wait out."""
        claim = hold.claim
        if not isinstance(claim, PoolClaim):
            raise TypeError(f"not a claim of a pool: {claim!r}")
        tool, wait = claim.key[1], max(1, round(hold.retry_after))
        if hold.state == _TOO_LATE:
            status, what = 503, f"no place in {tool!r} became free within {claim.settings.wait:g} s"
        else:
            status, what = 429, f"the line for a place in {tool!r} is full"
        return Refusal(
            Reason.QUEUE_TIMEOUT,
            status,
            f"pool {claim.guard!r}: {what}: {hold.detail}",
            f"pool/{claim.guard}",
            hold.retry_after,
            True,
            f"wait {wait} s, then call again; have fewer calls of this tool under way at once",
        )


def _name(pool: CompiledPool) -> str:
    return pool.name
