"""The default engine: Google's CEL in C++ (cel-expr-python). Typed, about 2 us a rule.

Its traps, each handled here: an evaluation error is not raised but returned as a value of type ERROR whose Python
value is a string; compile errors are one text with places in it; typos are found only where variables are declared
with dotted names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import re2
from cel_expr_python import cel
from msgspec import json as msgspec_json

from gateway.policy import hints
from gateway.policy.engine import DYN, SOURCE_CAP, TIMESTAMP, CelError, CelType, EvaluationError
from gateway.policy.functions import FUNCTIONS, Function, FunctionError, check_calls, guarded
from gateway.policy.functions_flow import POSTPONED, function_of, postpone, read_once
from gateway.policy.macros import Rewritten, rewrite
from gateway.policy.tokens import (
    Token,
    chains,
    check_caps,
    check_header_names,
    check_shadowing,
    pattern_literals,
    place,
    references,
    time_literals,
    tokenize,
    zone_literals,
)
from gateway.policy.variables import VARIABLES

_SCALARS = {
    "bool": cel.Type.BOOL,
    "int": cel.Type.INT,
    "uint": cel.Type.UINT,
    "double": cel.Type.DOUBLE,
    "string": cel.Type.STRING,
    "bytes": cel.Type.BYTES,
    "null": cel.Type.NULL,
    "duration": cel.Type.DURATION,
    "timestamp": cel.Type.TIMESTAMP,
    "dyn": cel.Type.DYN,
}
_ANY = {
    "map": cel.Type.Map(cel.Type.DYN, cel.Type.DYN),
    "list": cel.Type.List(cel.Type.DYN),
    "text": cel.Type.STRING,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "null": cel.Type.NULL,
}
"""What a value of JSON may be: an overload for each, since at run time a value of none of them meets one for dyn."""
_ERROR, _UNKNOWN = cel.Type.ERROR, cel.Type.UNKNOWN
_STATUS = re.compile(r"^[A-Z_]+: ")
_AT = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(\d+):(\d+): (.*)$", re.MULTILINE)
_UNDECLARED = re.compile(r"undeclared reference to '([^']+)'")
_OVERLOAD = re.compile(r"found no matching overload for '([^']+)' applied to '([^']+)'")
_MISSING_KEY = re.compile(r"Key not found in map : (.*)")
_NO_OVERLOAD = re.compile(r"No matching overloads found : (\w+)\((.*)\)")
_UNBINDABLE = re.compile(r"Non-CEL value type for '([\w.]+)': _Cut")
_TOO_LARGE = re.compile(r"Integer value '-?\d+' out of range for '([\w.]+)")
_NO_MAP = "Applying SELECT to non-message type"
_MESSAGE_CAP = 300
_encode = msgspec_json.Encoder().encode


_MATCHES_NAME = "_matches"
_QUIET = re2.Options()
_QUIET.log_errors = False


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> Any:
    return re2.compile(pattern, _QUIET)


def _matches(text: str, pattern: str) -> bool:
    """As CEL's own, whose RE2 compiles the pattern at each call: 15 to 40 us where it has counts or ignores case."""
    return _pattern(pattern).search(text) is not None


_MATCHES = cel.FunctionDecl(
    _MATCHES_NAME,
    [cel.Overload("_matches_text", cel.Type.BOOL, [cel.Type.STRING] * 2, is_member=True, impl=_matches)],
)


class ExprProgram:
    """One compiled expression of CelExpr."""

    __slots__ = ("_eval", "references", "source", "type")

    def __init__(self, source: str, expression: Any, used: frozenset[str]) -> None:
        self._eval = expression.eval
        self.source = source
        self.type = _type_of(expression.return_type().name())
        self.references = used

    def evaluate(self, activation: Any) -> Any:
        try:
            value = self._eval(activation)
            kind = value.type()
            plain = value.plain_value()
        except Exception as error:  # noqa: BLE001 - whatever the engine raises, it has given no value
            raise EvaluationError(_plain(str(error))) from None
        if kind in (_ERROR, _UNKNOWN):
            raise EvaluationError(_plain(str(plain)))
        return plain

    def is_false(self, activation: Any) -> bool:
        try:
            # An ERROR's Python value is a string, so identity with False is exactly CEL's false.
            return self._eval(activation).value() is False
        except Exception:  # noqa: BLE001 - an error is not false; evaluate() will say what it was
            return False


class CelExpr:
    """Compiles with cel-expr-python."""

    name = "cel-expr-python"
    absorbs_errors = True

    def __init__(self, functions: Sequence[Function] = FUNCTIONS) -> None:
        self._environments: dict[frozenset[tuple[str, CelType]], Any] = {}
        self._bare = cel.NewEnv()
        self._functions = {function.name: function for function in functions}
        self._declarations = [_MATCHES, *map(_function, functions), *map(_postponed, POSTPONED)]

    def compile(
        self, source: str, variables: Mapping[str, CelType], cap: int = SOURCE_CAP, *, postpones: bool = False
    ) -> ExprProgram:
        """Check and compile; see CelEngine."""
        tokens = tokenize(source)
        if postpones and not references(tokens, variables).isdisjoint(POSTPONED):
            source = postpone(source, tokens)
            tokens = tokenize(source)
        check_caps(source, tokens, cap)
        check_shadowing(source, tokens, variables)
        check_calls(source, tokens, self._functions)
        check_header_names(source, tokens)
        rewritten = rewrite(source, tokens, variables, _MATCHES_NAME)
        try:
            expression = self._environment(variables).compile(rewritten.text)
        except Exception as error:  # noqa: BLE001 - the binding raises RuntimeError for all; none may pass as compiled
            raise _explained(rewritten, tokens, str(error), variables) from None
        used = references(tokens, variables)
        self._confirm(rewritten.text, {name: variables[name] for name in used})
        self._check_patterns(source, tokens)
        return ExprProgram(source, expression, used)

    def _check_patterns(self, source: str, tokens: list[Token]) -> None:
        """Raise CelError for a literal that is no regex: found at load rather than refusing every call."""
        for token in pattern_literals(tokens):
            value = self._bare.compile(f'"".matches({token.text})').eval(self._bare.Activation({}))
            if value.type() == _ERROR:
                raise CelError(_plain(str(value.value())), *place(source, token.start), "see RE2's syntax")
        for token in zone_literals(tokens):
            value = self._bare.compile(f"timestamp(0).getHours({token.text})").eval(self._bare.Activation({}))
            if value.type() == _ERROR:
                raise CelError(f"no time zone {token.text}", *place(source, token.start), hints.ZONE)
        for function, token in time_literals(tokens):
            value = self._bare.compile(f"{function}({token.text})").eval(self._bare.Activation({}))
            if value.type() == _ERROR:
                raise CelError(f"no {function}: {token.text}", *place(source, token.start), hints.TIMES[function])

    def activation(self, bindings: Mapping[str, Any]) -> Any:
        """Bind variables; see CelEngine. Nested values are converted only where they are read."""
        bindings = _uncut(bindings)
        try:
            return self._bare.Activation(bindings)
        except Exception:  # noqa: BLE001 - one bad value; leave out what cannot be bound, so that reading it fails
            return self._bare.Activation({name: value for name, value in bindings.items() if self._binds(name, value)})

    def _binds(self, name: str, value: Any) -> bool:
        try:
            self._bare.Activation({name: value})
        except Exception:  # noqa: BLE001 - any failure means that it cannot be bound
            return False
        return True

    def _environment(self, variables: Mapping[str, CelType]) -> Any:
        key = frozenset(variables.items())
        environment = self._environments.get(key)
        if environment is None:
            declared = {name: _declared(kind) for name, kind in variables.items()}
            environment = self._environments[key] = cel.NewEnv(variables=declared, functions=self._declarations)
        return environment

    def _confirm(self, text: str, used: Mapping[str, CelType]) -> None:
        """Compile again with only the variables that were found: a missed one would fail every call."""
        try:
            self._environment(used).compile(text)
        except Exception as error:  # noqa: BLE001 - see compile
            raise CelError(f"cannot tell which variables the expression reads: {_plain(str(error))}") from None


class _Cut:
    """Stands for a value with U+0000 in a text: the binding would cut the text there, and rules would see less of it
    than the tool. It is no value of CEL, so that reading it fails."""


def _uncut(bindings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The bindings, where no text would be cut; else with ``_Cut`` for each that has such a text."""
    suspects = [name for name, value in bindings.items() if _suspect(value)]
    if not suspects:
        return bindings
    return {**bindings, **{name: _Cut() for name in suspects if _has_nul(bindings[name])}}


def _suspect(value: Any) -> bool:
    """Whether a text in the value may have U+0000. Asked of every value of every call: texts are looked at one by one,
    as that is fastest for long ones, what is nested as JSON, as that is fastest for many."""
    kind = type(value)
    if kind is str:
        return "\0" in value
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or "\0" in key or ("\0" in item if type(item) is str else _within(item)):
                return True
        return False
    return _within(value)


def _within(value: Any) -> bool:
    kind = type(value)
    if kind is int or kind is float or kind is bool or not value:
        return False
    try:
        return b"\\u0000" in _encode(value)
    except Exception:  # noqa: BLE001 - what cannot be encoded is looked at value by value
        return True


def _has_nul(value: Any) -> bool:
    level = [value]
    while level:
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                if "\0" in item:
                    return True
            elif isinstance(item, Mapping):
                below += item
                below += item.values()
            elif isinstance(item, list | tuple):
                below += item
        level = below
    return False


def _function(function: Function) -> Any:
    run = guarded(function)

    def call(*arguments: Any) -> Any:
        return run(arguments)

    returns, kinds = _declared(function.returns), _ANY if function.takes_any else {"text": cel.Type.STRING}
    return cel.FunctionDecl(
        function.name,
        [
            cel.Overload(f"{function.name}_{count}_{name}", returns, [kind] * count, impl=call)
            for count in function.overloads
            for name, kind in kinds.items()
        ],
    )


def _postponed(name: str) -> Any:
    """The function that stands for a variable."""
    variable, own = VARIABLES[name], function_of(name)

    def call(followed: bool) -> Any:  # noqa: ARG001 - what is bound with it says whose value it is
        value = read_once(name, variable.read)
        if _has_nul(value):
            raise FunctionError(f"{name} has a text that would be cut")  # as ``_Cut``
        return value

    return cel.FunctionDecl(own, [cel.Overload(f"{own}_bool", _declared(variable.type), [cel.Type.BOOL], impl=call)])


def _declared(kind: CelType) -> Any:
    if kind == TIMESTAMP:
        return cel.Type.STRING
    if kind.name == "list":
        return cel.Type.List(_declared(kind.parts[0]))
    if kind.name == "map":
        return cel.Type.Map(_declared(kind.parts[0]), _declared(kind.parts[1]))
    return _SCALARS[kind.name]


def _type_of(name: str) -> CelType:
    """``LIST<STRING>``, ``MAP<STRING, DYN>``, ``BOOL``; what policies cannot name becomes dyn."""
    outer, _, inner = name.partition("<")
    if outer == "LIST" and inner:
        return CelType("list", (_type_of(inner[:-1]),))
    if outer == "MAP" and inner:
        key, _, value = inner[:-1].partition(",")
        return CelType("map", (_type_of(key.strip()), _type_of(value.strip())))
    return CelType(name.lower()) if name.lower() in _SCALARS else DYN


def _plain(text: str) -> str:
    text = _STATUS.sub("", text.splitlines()[0] if text else "no reason given").replace(_MATCHES_NAME, "matches")
    found = _MISSING_KEY.search(text)
    if found:
        return f"there is no key {found[1]}"
    if overload := _NO_OVERLOAD.search(text):
        return hints.no_overload(overload[1], overload[2])[0]
    if cut := _UNBINDABLE.search(text):
        return f"{cut[1]} has a text with the character U+0000, at which some programs end it"
    if large := _TOO_LARGE.search(text):  # its text goes on with all that the variable holds, secrets too
        return f"{large[1]} has an integer beyond 64 bits"
    if _NO_MAP in text:
        return "a field is read of what is no map"
    return text.replace("UNKNOWN: ", "")[:_MESSAGE_CAP]


def _explained(rewritten: Rewritten, tokens: list[Token], text: str, variables: Mapping[str, CelType]) -> CelError:
    """The first mistake of the engine's message, in the user's terms."""
    source = rewritten.source
    text = text.replace(f"'{_MATCHES_NAME}'", "'matches'")
    found = [(*rewritten.place(int(line), int(column)), message) for line, column, message in _AT.findall(text)]
    if not found:
        message = re.sub(r"ERROR: <input>:-1:-1: |\s*\[[A-Z_]+\]$", "", _plain(text))
        return CelError(message, hint="use variables, or split it into several rules")
    # What is unknown fails again wherever it is used, sometimes to the left of it: those say nothing.
    line, column, message = min([one for one in found if "*error*" not in one[2]] or found)
    if missing := _UNDECLARED.search(message):
        return _undeclared(source, tokens, missing[1], (line, column), variables)
    if overload := _OVERLOAD.search(message):
        what, hint = hints.no_overload(overload[1], overload[2])
        return CelError(what, line, column, hint)
    if "Syntax error" in message:
        what, hint = hints.syntax(message.removeprefix("Syntax error: ").partition(" expecting ")[0])
        return CelError(what, line, column, hint)
    return CelError(message[:_MESSAGE_CAP], line, column)


def _undeclared(
    source: str, tokens: list[Token], name: str, at: tuple[int, int], variables: Mapping[str, CelType]
) -> CelError:
    """Point to the start of the name (the engine points to its last dot), and name the nearest."""
    for chain in chains(tokens):
        first = place(source, chain.tokens[0].start)
        dotted = ".".join(chain.variable)
        if chain.variable and (dotted == name or dotted.startswith(f"{name}.")) and first <= at:
            return CelError(f"unknown variable {dotted}", *first, hints.undeclared(dotted, variables))
    if any(chain.called and chain.names[-1] == name for chain in chains(tokens)) or name in source:
        follows = [token.end for token in tokens if token.text == name and place(source, token.end) <= at]
        if follows:
            start = place(source, follows[-1] - len(name))
            return CelError(f"unknown function {name}", *start, hints.unknown_function(name))
    return CelError(f"unknown name {name}", *at, hints.undeclared(name, variables))
