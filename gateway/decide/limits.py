"""Rate limits: token buckets, keyed by any of agent, run, tool, operation or an expression."""

from __future__ import annotations

from gateway.decide.memo import OF_THE_KIND, ClaimMemo
from gateway.model import Call, Claim, Hold, RateClaim, Reason, Refusal
from gateway.policy.book import PolicyBook

_SPANS = (("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400))


class Limits:
    """Claims a token from every limit that matches the call."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book
        memo = ClaimMemo(self._claims)
        self.claims, self.of_the_kind = memo.of, memo.of_the_kind

    def _claims(self, call: Call) -> tuple[tuple[Claim, ...], bool]:
        limits = self._book.limits(call.tool.name, call.operation, implied=call.implied)
        claims = [
            RateClaim(limit.name, limit.key(call), limit.capacity, limit.rate, 1.0, limit.max_wait) for limit in limits
        ]
        return tuple(claims), all(limit.references <= OF_THE_KIND for limit in limits)

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
            f"limit {claim.guard!r}: {_pace(claim.rate)}, bursts of {claim.capacity:g}",
            f"limit/{claim.guard}",
            wait,
            True,
            f"wait {wait:.3g} s, then call again; spread calls out",
            fields=(
                (b"RateLimit-Policy", b'"%s";q=%d;w=%d' % (name, int(claim.capacity), window)),
                (b"RateLimit", b'"%s";r=%d;t=%d' % (name, int(max(0.0, hold.left)), max(1, int(wait + 0.999)))),
            ),
        )


def _pace(rate: float) -> str:
    """Tokens a second in the shortest span that has a whole number of them: ``5 calls a minute``."""
    for span, seconds in _SPANS:
        calls = round(rate * seconds)
        if calls and abs(rate * seconds - calls) < 1e-6 * calls:
            return f"{calls} call{'s' if calls > 1 else ''} {'an' if span == 'hour' else 'a'} {span}"
    return f"{rate:g} calls a second"
