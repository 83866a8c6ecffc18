"""Bulkheads: how many calls to one tool may be in flight at once."""

from __future__ import annotations

from gateway.model import Call, Claim, Hold, Reason, Refusal, SlotClaim, Tool


class Bulkhead:
    """Claims one place in a tool's concurrency, given back when the call ends."""

    def __init__(self, tool: Tool) -> None:
        self._claims = (SlotClaim("concurrency", ("concurrency", tool.name), tool.concurrency),)

    def claims(self, call: Call) -> tuple[Claim, ...]:
        # What keeps a session going (a stream that stays open for hours) takes no place from the calls.
        return () if call.implied else self._claims

    of_the_kind = claims

    def refusal(self, hold: Hold) -> Refusal:
        claim = hold.claim
        if not isinstance(claim, SlotClaim):
            raise TypeError(f"not a claim of a bulkhead: {claim!r}")
        return Refusal(
            Reason.CONCURRENCY_LIMITED,
            503,
            f"tool {claim.key[1]!r} has {claim.capacity} calls in flight, as many as it may",
            "concurrency",
            1.0,
            True,
            "call again when your other calls have ended",
        )
