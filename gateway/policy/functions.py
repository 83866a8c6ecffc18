"""The functions that Toolgate adds to CEL, the same in both engines.

Each is pure and bounded: it takes texts up to a cap, does work that grows linearly with them, and gives plain Python
or a ``FunctionError``, which the engines turn into CEL's error value. What can be read in more than one way is an error
and never a guess, so that a rule that asks fails closed. ``default()`` is no function but a macro: see ``macros``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from gateway.policy import hints
from gateway.policy.engine import BOOL, DYN, DYN_MAP, STRING, STRINGS, CelError, CelType
from gateway.policy.functions_detect import injection, invisible, pii, secrets
from gateway.policy.functions_flow import origin
from gateway.policy.functions_net import check_range, cidr, domain, host_class
from gateway.policy.functions_shell import shell
from gateway.policy.functions_text import FunctionError, check_pattern, glob, json, text_of, texts
from gateway.policy.tokens import Token, arguments, literal, place

__all__ = ["FUNCTIONS", "Function", "FunctionError", "check_calls", "functions_for", "guarded"]


FINDINGS = CelType("list", (DYN_MAP,))
"""What detectors give."""


class Function(Struct, frozen=True):
    """A function of texts, or with ``takes_any`` of any value of JSON. ``overloads`` are how many it may take;
    ``check`` raises FunctionError for a literal last argument that no call could use: so it is found at load."""

    name: str
    call: Callable[..., Any]
    returns: CelType
    overloads: tuple[int, ...] = (1,)
    check: Callable[[str], Any] | None = None
    takes_any: bool = False


FUNCTIONS = (
    Function("json", json, DYN),
    Function("cidr", cidr, BOOL, (2,), check_range),
    Function("glob", glob, BOOL, (2,), check_pattern),
    Function("domain", domain, STRING),
    Function("host_class", host_class, STRING),
    Function("shell", shell, CelType("list", (STRINGS,))),
    Function("origin", origin, DYN_MAP, takes_any=True),
    Function("secrets", secrets, FINDINGS, takes_any=True),
    Function("pii", pii, FINDINGS, takes_any=True),
    Function("injection", injection, FINDINGS, takes_any=True),
    Function("invisible", invisible, FINDINGS, takes_any=True),
    Function("texts", texts, STRINGS, takes_any=True),
    Function("text_of", text_of, STRING, takes_any=True),
)
"""Those that are always there."""


def _sql() -> Function:
    from gateway.policy.functions_sql import check_dialect, sql

    return Function("sql", sql, CelType("list", (DYN_MAP,)), (1, 2), check_dialect)


def functions_for(*, sql: bool = False) -> tuple[Function, ...]:
    """The functions that an engine declares.

    Raises:
        ImportError: ``sql`` is asked for and sqlglot is not installed.
    """
    return (*FUNCTIONS, _sql()) if sql else FUNCTIONS


def guarded(function: Function) -> Callable[[Sequence[Any]], Any]:
    """The function over a sequence of arguments, raising nothing but FunctionError, with the function's name in it."""
    name, call = function.name, function.call

    def run(arguments: Sequence[Any]) -> Any:
        try:
            return call(*arguments)
        except FunctionError as error:
            raise FunctionError(f"{name}(): {error}") from None
        except Exception as error:  # noqa: BLE001 - whatever broke, there is no value, and an engine must hear of it
            raise FunctionError(f"{name}() broke: {type(error).__name__}") from None

    return run


def check_calls(source: str, tokens: Sequence[Token], functions: Mapping[str, Function]) -> None:
    """Raise CelError for a call with the wrong number of arguments, or with a literal that no call could use."""
    for at in range(len(tokens) - 1):
        function = functions.get(tokens[at].text)
        if function is None or tokens[at].kind != "ident" or tokens[at + 1].text != "(":
            continue
        where, usage = place(source, tokens[at].start), f"write {hints.USAGE[function.name]}"
        if at and tokens[at - 1].text == ".":
            raise CelError(f"{function.name} is no method", *where, usage)
        given = arguments(tokens, at + 1)
        if len(given) not in function.overloads:
            takes = " or ".join(map(str, function.overloads))
            noun = "argument" if takes == "1" else "arguments"
            raise CelError(f"{function.name}() takes {takes} {noun}, not {len(given)}", *where, usage)
        first, last = given[-1]
        if function.check is None or len(given) < 2 or last - first != 1:
            continue
        text = literal(tokens[first])
        try:
            if text is not None:
                function.check(text)
        except FunctionError as error:
            raise CelError(f"{function.name}(): {error}", *place(source, tokens[first].start)) from None
