"""Plays the world to the deciding generator: each effect is checked off against a script and answered by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.decide.engine import Effect, decide, unredacted
from gateway.decide.shapes import Check, Quota, Redact
from gateway.model import Call, Decision


def play(
    call: Call,
    checks: Sequence[Check],
    quotas: Sequence[Quota],
    *script: tuple[Effect, Any],
    redact: Redact = unredacted,
) -> Decision:
    """Decide on ``call``. ``script`` is what will be asked for, in order, and the answers. Nothing else may be."""
    deciding = decide(call, checks, quotas, redact)
    answer: Any = None
    for number, (expected, reply) in enumerate(script):
        asked = deciding.send(answer)
        assert asked == expected, f"effect {number} was {asked!r}"
        answer = reply
    try:
        asked = deciding.send(answer)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError(f"asked for more than the script has: {asked!r}")
