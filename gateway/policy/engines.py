"""Which CEL engine the configuration asked for. Imported only when asked for, and never swapped for another."""

from __future__ import annotations

from gateway.policy.engine import CelEngine, EngineError
from gateway.policy.functions import Function, functions_for

ENGINES = ("cel-expr-python", "cel-python")
"""The values of the configuration's ``cel``, the default first."""


def load_engine(name: str = ENGINES[0], *, sql: bool = False) -> CelEngine:
    """The engine of that name. ``sql``: expressions may use the function ``sql()``.

    Raises:
        EngineError: the name is unknown, or its package, or the one that ``sql`` needs, is not installed.
    """
    functions = _functions(sql=sql)
    try:
        if name == "cel-expr-python":
            from gateway.policy.cel_expr import CelExpr

            return CelExpr(functions)
        if name == "cel-python":
            from gateway.policy.cel_python import CelPython

            return CelPython(functions)
    except ImportError as error:
        other = ENGINES[1] if name == ENGINES[0] else ENGINES[0]
        raise EngineError(
            f"the CEL engine {name} is not installed ({error}); install the package {name}, or write cel: {other}"
        ) from error
    raise EngineError(f"there is no CEL engine {name!r}; write {' or '.join(ENGINES)}")


def _functions(*, sql: bool) -> tuple[Function, ...]:
    try:
        return functions_for(sql=sql)
    except ImportError as error:
        raise EngineError(
            f"sql() needs a package that is not installed ({error}); "
            "install sqlglot, or write cel_functions: {sql: false}",
            "cel_functions",
        ) from error
