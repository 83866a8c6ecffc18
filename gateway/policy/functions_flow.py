"""``origin()``: where a value comes from, by what is known of the run whose call is judged.

Rules are pure functions of a call, but the engines give functions nothing but values. So the call's flow is handed over
beside them, right before a rule is evaluated: whoever binds ``flow.followed`` (every rule with ``origin()`` does).
Evaluation is synchronous, so that no other call can come in between.
"""

from __future__ import annotations

from typing import Any

from gateway.policy.functions_text import FunctionError

_here: list[Any] = [None]


def follow(flow: Any) -> None:
    """The flow (``ports.Flow``) of the call that is judged next; None where nobody follows it."""
    _here[0] = flow


def origin(value: Any) -> dict[str, Any]:
    """``sources``, ``labels``, ``trusted`` and ``seen`` of the value.

    Raises:
        FunctionError: nobody follows where the values of this call come from.
    """
    flow = _here[0]
    if flow is None:
        raise FunctionError("nobody follows where the values of this call come from")
    found: dict[str, Any] = dict(flow.origin(value))
    return found
