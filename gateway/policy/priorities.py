"""The formula by which the inbox is ordered: CEL over what is known of an approval."""

from __future__ import annotations

from gateway.policy.engine import DOUBLE, DYN, INT, UINT, CelEngine, CelError, Program

FACTORS = dict.fromkeys(
    ("risk", "uncertainty", "waiting", "impact", "deny_rate", "age", "expires_in", "seconds", "connected"), DOUBLE
)
"""Its variables; see ``gateway/approvals/priority.py`` for what they are."""


def compile_priority(formula: str, engine: CelEngine) -> Program:
    """The formula compiled.

    Raises:
        CelError: it cannot be used, or gives no number.
    """
    program = engine.compile(formula, FACTORS)
    if program.type not in (DOUBLE, INT, UINT, DYN):
        raise CelError(f"it must give a number, not {program.type}")
    return program
