"""Which CEL engine the configuration asked for. Imported only when asked for, and never swapped for another."""

from __future__ import annotations

from gateway.policy.engine import CelEngine, EngineError

ENGINES = ("cel-expr-python", "cel-python")
"""The values of the configuration's ``cel``, the default first."""


def load_engine(name: str = ENGINES[0]) -> CelEngine:
    """The engine of that name.

    Raises:
        EngineError: the name is unknown, or its package is not installed.
    """
    try:
        if name == "cel-expr-python":
            from gateway.policy.cel_expr import CelExpr

            return CelExpr()
        if name == "cel-python":
            from gateway.policy.cel_python import CelPython

            return CelPython()
    except ImportError as error:
        other = ENGINES[1] if name == ENGINES[0] else ENGINES[0]
        raise EngineError(
            f"the CEL engine {name} is not installed ({error}); install the package {name}, or write cel: {other}"
        ) from error
    raise EngineError(f"there is no CEL engine {name!r}; write {' or '.join(ENGINES)}")
