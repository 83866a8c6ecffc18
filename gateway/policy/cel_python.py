"""The other engine: cel-python, pure Python, 100 times slower a rule. Only where the configuration asks for it.

It has no type checker, so unknown names and functions are found here by their spelling, every type is dyn, and a
condition that is not true or false fails at evaluation. It compares an int with a double by failing (CEL compares
them by value): write such rules with double(args.amount). Its interpreter is used, not its compiler, which turns
expressions into Python source to execute and fails more of CEL's own conformance cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import pairwise
from typing import Any

import celpy
from celpy import celtypes

from gateway.policy import hints
from gateway.policy.engine import DYN, SOURCE_CAP, CelError, CelType, EvaluationError
from gateway.policy.functions import FUNCTIONS, Function, FunctionError, check_calls, guarded
from gateway.policy.macros import rewrite
from gateway.policy.tokens import (
    LOOPS,
    Token,
    chains,
    check_caps,
    check_header_names,
    check_shadowing,
    loop_variables,
    loops_within,
    place,
    references,
    time_literals,
    tokenize,
    zone_literals,
)

_WORDS = frozenset(
    {
        "true",
        "false",
        "null",
        "in",
        "int",
        "uint",
        "double",
        "bool",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
    }
)
_MESSAGE_CAP = 300


_LONGEST = (None, 3000, 54)
"""Entries of a list or map that an expression may meet, without a loop, with one, and with loops within loops: 3,000
steps take about a second, in which nothing else happens. An agent chooses how long its lists are."""


class _Bindings(dict[str, Any]):
    """Variables of a call. ``longest``: entries of the longest list or map in them."""

    longest = 0


class PythonProgram:
    """One compiled expression of CelPython. ``loops`` is how deep its loops are nested."""

    __slots__ = ("_most", "_runner", "references", "source", "type")

    def __init__(self, source: str, runner: Any, used: frozenset[str], loops: int) -> None:
        self._runner = runner
        self._most = _LONGEST[min(loops, len(_LONGEST) - 1)]
        self.source = source
        self.type: CelType = DYN
        self.references = used

    def evaluate(self, activation: Any) -> Any:
        if isinstance(activation, _Unbindable):
            activation = activation.without_bad(self.references)
        if self._most is not None and activation.longest > self._most:
            raise EvaluationError(f"a list or map of the call has more than {self._most} entries to loop over")
        try:
            value = self._runner.evaluate(activation)
        except Exception as error:  # noqa: BLE001 - whatever the engine raises, it has given no value
            raise EvaluationError(_plain(error)) from None
        return _unwrapped(value)

    def is_false(self, activation: Any) -> bool:
        try:
            return self.evaluate(activation) is False
        except EvaluationError:
            return False


class _Unbindable:
    """Bindings of which some cannot be CEL values; reading one of those fails, the others work."""

    def __init__(self, good: _Bindings, bad: dict[str, str]) -> None:
        self._good, self._bad = good, bad

    def without_bad(self, used: frozenset[str]) -> _Bindings:
        for name in sorted(used & self._bad.keys()):
            raise EvaluationError(f"{name} is not a CEL value: {self._bad[name]}")
        return self._good


class CelPython:
    """Compiles with cel-python."""

    name = "cel-python"
    absorbs_errors = False

    def __init__(self, functions: Sequence[Function] = FUNCTIONS) -> None:
        self._environment = celpy.Environment(runner_class=celpy.InterpretedRunner)
        self._functions = {function.name: function for function in functions}
        self._implementations = {function.name: _implementation(function) for function in functions}

    def compile(
        self,
        source: str,
        variables: Mapping[str, CelType],
        cap: int = SOURCE_CAP,
        *,
        postpones: bool = False,  # noqa: ARG002 - it reads all that is bound
    ) -> PythonProgram:
        """Check and compile; see CelEngine."""
        tokens = tokenize(source)
        check_caps(source, tokens, cap)
        check_shadowing(source, tokens, variables)
        check_calls(source, tokens, self._functions)
        check_header_names(source, tokens)
        rewritten = rewrite(source, tokens, variables, lax_has=True)
        try:
            tree = self._environment.compile(rewritten.text)
            runner = self._environment.program(tree, functions=self._implementations)
        except celpy.CELParseError as error:
            where = rewritten.place(error.line or 1, error.column or 1)
            raise CelError("not CEL: cannot be read from here on", *where) from None
        except RecursionError:
            raise CelError("the expression is nested too deep", hint="split it into several rules") from None
        _check_names(source, tokens, variables, self._functions.keys())
        self._check_times(source, tokens)
        return PythonProgram(source, runner, references(tokens, variables), loops_within(tokens))

    def _check_times(self, source: str, tokens: list[Token]) -> None:
        for token in zone_literals(tokens):
            if not self._works(f'timestamp("2026-01-01T00:00:00Z").getHours({token.text})'):
                raise CelError(f"no time zone {token.text}", *place(source, token.start), hints.ZONE)
        for function, token in time_literals(tokens):
            if not self._works(f"{function}({token.text})"):
                raise CelError(f"no {function}: {token.text}", *place(source, token.start), hints.TIMES[function])

    def _works(self, source: str) -> bool:
        try:
            self._environment.program(self._environment.compile(source)).evaluate({})
        except Exception:  # noqa: BLE001 - it cannot be evaluated, whatever it raises
            return False
        return True

    def activation(self, bindings: Mapping[str, Any]) -> Any:
        """Bind variables; see CelEngine. Every value is converted at once."""
        good = _Bindings()
        bad: dict[str, str] = {}
        for name, value in bindings.items():
            good.longest = max(good.longest, _longest(value))
            try:
                converted = celpy.json_to_cel(value)
            except (ValueError, TypeError, RecursionError) as error:
                bad[name] = str(error)[:_MESSAGE_CAP]
                continue
            head, _, rest = name.partition(".")
            if rest:
                good.setdefault(head, celtypes.MapType())[celtypes.StringType(rest)] = converted
            else:
                good[head] = converted
        return _Unbindable(good, bad) if bad else good


def _longest(value: Any) -> int:
    """Entries of the longest list or map within a value."""
    longest, pending = 0, [value]
    while pending:
        one = pending.pop()
        items = one.values() if isinstance(one, Mapping) else one if isinstance(one, list | tuple) else ()
        longest = max(longest, len(items))
        pending.extend(item for item in items if isinstance(item, Mapping | list | tuple))
    return longest


def _implementation(function: Function) -> Any:
    run = guarded(function)

    def call(*arguments: Any) -> Any:
        """Gives an error back instead of raising it: so ``||`` and ``&&`` can absorb it, as CEL says."""
        if not function.takes_any and not all(isinstance(argument, str) for argument in arguments):
            return celpy.CELEvalError(f"{function.name} cannot be applied to these types")
        try:
            return celpy.json_to_cel(run([_unwrapped(argument) for argument in arguments]))
        except EvaluationError as error:
            return celpy.CELEvalError(str(error))
        except FunctionError as error:
            return celpy.CELEvalError(str(error))

    return call


def _check_names(source: str, tokens: list[Token], variables: Mapping[str, CelType], functions: Set[str]) -> None:
    """Raise CelError for a variable or function that does not exist."""
    bound = {token.text for token in loop_variables(tokens)} | _WORDS
    for chain in chains(tokens):
        path = chain.variable
        if not path or path[0] in bound:
            continue
        prefixes = {".".join(path[:length]) for length in range(1, len(path) + 1)}
        if not prefixes & variables.keys():
            dotted = ".".join(path)
            where = place(source, chain.tokens[0].start)
            raise CelError(f"unknown variable {dotted}", *where, hints.undeclared(dotted, variables))
    known = hints.FUNCTIONS | LOOPS | functions
    for token, following in pairwise(tokens):
        if token.kind == "ident" and following.text == "(" and token.text not in known | _WORDS:
            where = place(source, token.start)
            raise CelError(f"unknown function {token.text}", *where, hints.unknown_function(token.text))


def _unwrapped(value: Any) -> Any:
    """Plain Python for a value of cel-python; a result that is an error is raised like any other."""
    if isinstance(value, Exception):
        raise EvaluationError(_plain(value))
    if isinstance(value, celtypes.BoolType):
        return bool(value)
    if isinstance(value, celtypes.IntType | celtypes.UintType):
        return int(value)
    if isinstance(value, celtypes.DoubleType):
        return float(value)
    if isinstance(value, celtypes.StringType):
        return str(value)
    if isinstance(value, celtypes.BytesType):
        return bytes(value)
    if isinstance(value, celtypes.ListType):
        return [_unwrapped(item) for item in value]
    if isinstance(value, celtypes.MapType):
        return {_unwrapped(key): _unwrapped(item) for key, item in value.items()}
    return value


def _plain(error: Exception) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    if "does not support field selection" in text:  # begins with the value
        return "a field is read of what is no map"
    return text.partition(" (in activation")[0][:_MESSAGE_CAP]
