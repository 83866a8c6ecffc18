"""The CEL seam: what the policy room asks of an expression engine, whichever one it is.

An engine compiles one expression against typed, dotted variables, and evaluates it against an activation that is
made once a call and shared by every program of that call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from gateway.errors import Refused, ToolgateError
from gateway.model import Reason

SOURCE_CAP = 4096
"""Characters of one expression as the user wrote it. Longer ones belong into several rules or variables."""

EXPANDED_CAP = 16_384
"""Characters of an expression after its variables are written out, and of several rules combined into one. It bounds
the growth by variables that name each other (ten doublings of a short one would be megabytes)."""

NESTING_CAP = 32
"""Brackets within brackets. cel-expr-python has this bound of its own; cel-python would overflow its stack."""

LOOP_CAP = 2
"""``all``, ``exists``, ``exists_one``, ``map``, ``filter`` within one another. Each level multiplies the work by the
length of a list that the agent chose; cel-expr-python also stops by itself after about 10,000 steps."""


class CelType(Struct, frozen=True):
    """A CEL type, engine-neutral. ``parts`` are the element type of a list, or the key and value type of a map."""

    name: str
    parts: tuple[CelType, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.parts))})" if self.parts else self.name


BOOL = CelType("bool")
INT = CelType("int")
UINT = CelType("uint")
DOUBLE = CelType("double")
STRING = CelType("string")
DYN = CelType("dyn")
TIMESTAMP = CelType("timestamp")
"""Bound as text (RFC 3339, UTC), since cel-expr-python takes no ``datetime``: ``macros`` make a timestamp of it."""
STRINGS = CelType("list", (STRING,))
STRING_MAP = CelType("map", (STRING, STRING))
DYN_MAP = CelType("map", (STRING, DYN))


class CelError(ToolgateError):
    """An expression cannot be used. ``line`` and ``column`` count from 1 inside the expression; ``hint`` is the fix."""

    def __init__(self, message: str, line: int = 1, column: int = 1, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.line, self.column, self.hint = message, line, column, hint


class EvaluationError(Refused):
    """An expression gave no usable value for this call. Left uncaught, it refuses the call (fail closed)."""

    def __init__(self, message: str) -> None:
        super().__init__(
            Reason.POLICY_ERROR,
            403,
            f"a policy expression failed: {message}",
            "report this to the platform's operators",
        )
        self.message = message


class EngineError(ToolgateError):
    """The configured CEL engine cannot be used here; the message says which, and what to do. ``key`` is the key of the
    configuration that asked for it."""

    def __init__(self, message: str, key: str = "cel") -> None:
        super().__init__(message)
        self.key = key


class Activation(Protocol):
    """One call's variables, converted once by the engine that made it. Opaque."""


class Program(Protocol):
    """One compiled expression."""

    @property
    def source(self) -> str:
        """The expression as it was compiled."""

    @property
    def type(self) -> CelType:
        """Static type of the result; ``dyn`` where it is known only at evaluation."""

    @property
    def references(self) -> frozenset[str]:
        """The declared dotted variables that the expression uses: all that an activation must bind."""

    def evaluate(self, activation: Any) -> Any:
        """The value as plain Python (bool, int, float, str, bytes, None, list, dict). Raises EvaluationError."""

    def is_false(self, activation: Any) -> bool:
        """Whether the value is exactly CEL's false. Never raises: an error is not false."""


class CelEngine(Protocol):
    """A CEL implementation."""

    @property
    def name(self) -> str:
        """As in the configuration: ``cel-expr-python`` or ``cel-python``."""

    @property
    def absorbs_errors(self) -> bool:
        """Whether ``a || b`` is false only if both are false and neither failed, so that rules may be combined."""

    def compile(
        self, source: str, variables: Mapping[str, CelType], cap: int = SOURCE_CAP, *, postpones: bool = False
    ) -> Program:
        """Check and compile ``source`` (at most ``cap`` characters) against dotted variables. Raises CelError.

        ``postpones``: the engine may read what takes time (``functions_flow.POSTPONED``) only where it comes to it; its
        activation must be of the call that ``flow.followed`` was read of last.
        """

    def activation(self, bindings: Mapping[str, Any]) -> Any:
        """Bind dotted variable names to plain Python values. Never raises: a bad value fails where it is read."""
