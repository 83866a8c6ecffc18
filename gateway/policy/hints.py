"""Nearest names and plain words for what an engine says of an expression."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from gateway.policy.tokens import LOOPS

FUNCTIONS = frozenset(
    {
        "bool",
        "bytes",
        "cidr",
        "contains",
        "default",
        "domain",
        "double",
        "duration",
        "dyn",
        "endsWith",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getFullYear",
        "getHours",
        "getMilliseconds",
        "getMinutes",
        "getMonth",
        "getSeconds",
        "glob",
        "has",
        "host_class",
        "injection",
        "int",
        "invisible",
        "json",
        "matches",
        "pii",
        "secrets",
        "shell",
        "size",
        "startsWith",
        "string",
        "text_of",
        "texts",
        "timestamp",
        "type",
        "uint",
    }
)
"""CEL's own functions and methods, and those that are added: both engines have them."""

USAGE = {
    "json": "json(text)",
    "cidr": 'cidr(address, "10.0.0.0/8")',
    "glob": 'glob(text, "*.example.com")',
    "domain": "domain(url)",
    "host_class": "host_class(url)",
    "shell": "shell(command)",
    "texts": "texts(args)",
    "text_of": "text_of(args)",
    "sql": 'sql(query) or sql(query, "postgres")',
    "default": "default(args.x, 0)",
    "origin": "origin(args.recipient)",
    "secrets": "secrets(args)",
    "pii": "pii(args)",
    "injection": "injection(result)",
    "invisible": "invisible(args)",
}
"""How each added function is written."""
_TO_COME = frozenset({"seen"})
"""Functions that a later version will have, with the state that they need."""


ZONE = 'write such as "Europe/Berlin" or "UTC"'
TIMES = {"timestamp": 'write such as "2026-12-31T00:00:00Z"', "duration": 'write such as "90s", "15m" or "1h30m"'}


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like this one, or empty."""
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return near[0] if near else ""


def undeclared(name: str, declared: Iterable[str]) -> str:
    """What to write instead of a variable that does not exist; empty where nothing is near."""
    known = sorted(declared)
    head = name.partition(".")[0]
    # arg.pages is args.pages, though run.age is as near: below a variable that is a map, names are free.
    near = nearest(head, [other for other in known if "." not in other]) or nearest(name, known)
    if near:
        return f"did you mean {near}?"
    below = [other for other in known if other.partition(".")[0] == head]
    if below:
        return f"there is {', '.join(below)}"
    heads = sorted({other.partition(".")[0] for other in known})
    near = nearest(head, heads)
    return f"did you mean {near}?" if near else f"known are {', '.join(heads)}; text belongs in quotes"


def unknown_function(name: str) -> str:
    """What to write instead of a function that does not exist."""
    if name in LOOPS:
        return f"write list.{name}(x, expression about x)"
    if name in _TO_COME:
        return f"{name}() is reserved: a later version will have it"
    if name == "sql":
        return "sql() must be turned on: write cel_functions: {sql: true} in the configuration"
    near = nearest(name, FUNCTIONS | LOOPS)
    return f"did you mean {near}?" if near else f"functions are {', '.join(sorted(FUNCTIONS | LOOPS))}"


def no_overload(operator: str, types: str) -> tuple[str, str]:
    """Message and hint for an operator or function between types that it is not defined for."""
    plain = {"_?_:_": "?:", "_[_]": "[]", "@in": "in"}.get(operator, operator.strip("_"))
    types = types.replace("google.protobuf.Timestamp", "timestamp").replace("google.protobuf.Duration", "duration")
    kinds = {kind.strip() for kind in types.strip("()").split(",")}
    hint = ""
    if {"int", "double"} <= kinds:
        hint = "ints and doubles do not mix: write 1000.0 beside a double, or convert with double(x)"
    elif {"string", "int"} <= kinds or {"string", "double"} <= kinds:
        hint = "text and numbers do not mix: write a number without quotes beside a number, or convert with string(x)"
    elif plain == "contains" and types.startswith("(list("):
        hint = 'write "x" in list'
    elif kinds == {"timestamp", "string"}:
        hint = 'write timestamp("2026-12-31T00:00:00Z")'
    elif plain in {"&&", "||", "!", "?:"}:
        hint = "conditions must be true or false; compare with ==, or test a field with has(args.x)"
    return f"{plain} cannot be applied to ({types.strip('()')})", hint


_OTHER_WORDS = {"and": "&&", "or": "||", "not": "!", "=": "==", "&": "&&", "|": "||", "is": "==", "<>": "!="}
_QUOTED = re.compile(r"'(.*)'", re.DOTALL)


def syntax(message: str) -> tuple[str, str]:
    """Message and hint for what an engine's parser says of a text that is not CEL."""
    found = _QUOTED.search(message)
    word = found[1].strip() if found is not None else ""
    if "token recognition error" in message:
        if word[:1] in "\"'" and word:
            return (
                "not CEL: a quote is never closed in this line",
                "close it, or write three quotes around several lines",
            )
        message = f"unexpected {word!r}"
    message = message.replace("mismatched input", "unexpected").replace("extraneous input", "unexpected")
    message = message.replace("'<EOF>'", "end of the expression")
    instead = _OTHER_WORDS.get(word.split(" ")[0]) if word else None
    return f"not CEL: {message}", f"write {instead}" if instead else ""
