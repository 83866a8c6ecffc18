"""Rate limits: token buckets, keyed by any of agent, run, tool, operation or an expression."""

from __future__ import annotations

from gateway.decide.memo import ClaimMemo
from gateway.model import Call, Claim, Hold, RateClaim, Reason, Refusal
from gateway.policy.book import PolicyBook


class Limits:
    """Claims a token from every limit that matches the call."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book
        self.claims = ClaimMemo(self._claims).of

    def _claims(self, call: Call) -> tuple[tuple[Claim, ...], bool]:
        limits = self._book.limits(call.tool.name, call.operation, implied=call.implied)
        claims = [
            RateClaim(limit.name, limit.key(call), limit.capacity, limit.rate, 1.0, limit.max_wait) for limit in limits
        ]
        return tuple(claims), not any(limit.references for limit in limits)

    def refusal(self, hold: Hold) -> Refusal:
        claim = hold.claim
        if not isinstance(claim, RateClaim):
            raise TypeError(f"not a claim of a limit: {claim!r}")
        wait = hold.retry_after
        window = max(1, round(claim.capacity / claim.rate))
        name = claim.guard.encode()
        return Refusal(
            Reason.RATE_LIMITED,
            429,
            f"limit {claim.guard!r}: {claim.rate:g} calls a second, bursts of {claim.capacity:g}",
            f"limit/{claim.guard}",
            wait,
            True,
            f"wait {wait:.3g} s, then call again; spread calls out",
            fields=(
                (b"RateLimit-Policy", b'"%s";q=%d;w=%d' % (name, int(claim.capacity), window)),
                (b"RateLimit", b'"%s";r=%d;t=%d' % (name, int(max(0.0, hold.left)), max(1, int(wait + 0.999)))),
            ),
        )
