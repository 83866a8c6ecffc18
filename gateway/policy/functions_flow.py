"""``origin()``: where a value comes from, by what is known of the run whose call is judged.

Rules are pure functions of a call, but the engines give functions nothing but values. So the call is handed over
beside them, right before a rule is evaluated: whoever binds ``flow.followed`` (every rule with ``origin()`` does).
Evaluation is synchronous, so that no other call can come in between.

What ``flow`` tells of a call takes time, and most rules ask for it only where something else is true. So where rules
are joined, each such variable is written as a function of ``flow.followed``, which an evaluation that does not come to
it never calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.policy.functions_text import FunctionError
from gateway.policy.tokens import Token, chains

POSTPONED = ("flow.asked", "flow.delegated", "flow.foreign", "flow.planted", "flow.unproven")
"""Variables that are read only where an evaluation comes to them."""

_here: list[Any] = [None]
_read: dict[str, Any] = {}


def follow(call: Any) -> None:
    """The call that is judged next."""
    _here[0] = call
    _read.clear()


def function_of(name: str) -> str:
    """The function that stands for this variable."""
    return "_" + name.replace(".", "_")


def postpone(source: str, tokens: Sequence[Token]) -> str:
    """The expression with functions in the place of such variables."""
    pieces, at = [], 0
    for chain in chains(tokens):
        name = ".".join(chain.names[:2])
        if name in POSTPONED and len(chain.variable) > 1:
            pieces += [source[at : chain.tokens[0].start], f"{function_of(name)}(flow.followed)"]
            at = chain.tokens[1].end
    return "".join([*pieces, source[at:]])


def read_once(name: str, read: Callable[[Any], Any]) -> Any:
    """The value of this variable for the call that is judged.

    Raises:
        FunctionError: nobody has said which call that is.
    """
    if name not in _read:
        if _here[0] is None:
            raise FunctionError("no call is judged")
        _read[name] = read(_here[0])
    return _read[name]


def origin(value: Any) -> dict[str, Any]:
    """``sources``, ``labels``, ``trusted`` and ``seen`` of the value.

    Raises:
        FunctionError: nobody follows where the values of this call come from.
    """
    flow = None if _here[0] is None else _here[0].flow
    if flow is None:
        raise FunctionError("nobody follows where the values of this call come from")
    found: dict[str, Any] = dict(flow.origin(value))
    return found
