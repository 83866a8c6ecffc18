"""Conformance cases as they stand in cel-spec's files (SimpleTestFile), in plain Python."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from gateway.policy.engine import BOOL, DOUBLE, DYN, INT, STRING, UINT, CelType
from tests.policy.conformance.textproto import Message, parse

CORE = (
    "basic", "comparisons", "conversions", "fields", "fp_math", "integer_math", "lists", "logic", "macros", "parse",
    "plumbing", "string", "timestamps",
)  # fmt: skip
"""The files that make up the language itself; the others are extensions and protobuf messages."""


NANOSECONDS = "a time with nanoseconds, which Python's do not have"


class Typed(NamedTuple):
    """A value and its CEL type: ``list`` and ``map`` hold more of these, ``type`` a name."""

    kind: str
    value: Any


class UnreadableError(Exception):
    """A value or type of a case that has no counterpart in plain Python; says which."""


class Case(NamedTuple):
    """``expected`` is None where an error is. ``message`` is the case as it stands in the file."""

    name: str
    expr: str
    checked: bool
    container: str
    message: Message

    @property
    def expected(self) -> Typed | None:
        values = self.message.get("value")
        if values is None:
            return None if "eval_error" in self.message else Typed("bool", True)
        return typed(values[0])

    @property
    def variables(self) -> dict[str, CelType]:
        """The declared ones; those that are only bound are dyn, as in an environment that is not checked."""
        bound = {_text(one["key"]): DYN for one in self.message.get("bindings", [])}
        for one in self.message.get("type_env", []):
            bound[_text(one["name"])] = _type(one["ident"][0]["type"][0])
        return bound

    @property
    def bindings(self) -> dict[str, Typed]:
        return {_text(one["key"]): typed(one["value"][0]["value"][0]) for one in self.message.get("bindings", [])}


def folder() -> Path:
    """Where the cases lie: TOOLGATE_CEL_SPEC, else beside the repository."""
    beside = Path(__file__).parents[4] / "shared" / "data" / "cel-spec"
    return Path(os.environ.get("TOOLGATE_CEL_SPEC") or beside)


def cases(file: str) -> Iterator[Case]:
    """The cases of one file, named ``file/section/case``; the second of the same name gets ``#2``."""
    seen: dict[str, int] = {}
    for section in parse((folder() / f"{file}.textproto").read_text()).get("section", []):
        for test in section.get("test", []):
            name = f"{file}/{_text(section['name'])}/{_text(test['name'])}"
            seen[name] = seen.get(name, 0) + 1
            numbered = name if seen[name] == 1 else f"{name}#{seen[name]}"
            container = _text(test["container"]) if "container" in test else ""
            yield Case(numbered, _text(test["expr"]), "disable_check" not in test, container, test)


def _text(values: list[Any]) -> str:
    return bytes(values[0]).decode("utf-8", "surrogatepass")


_NUMBERS = {"int64_value": ("int", int), "uint64_value": ("uint", int), "double_value": ("double", float)}


def typed(message: Message) -> Typed:
    """A cel.expr.Value."""
    field, values = next(iter(message.items()))
    value = values[0]
    if field in _NUMBERS:
        kind, read = _NUMBERS[field]
        return Typed(kind, int(value, 0) if read is int else read(value))
    if field == "bool_value":
        return Typed("bool", value == "true")
    if field == "null_value":
        return Typed("null", None)
    if field in ("string_value", "bytes_value"):
        return Typed(field[:-6], value.decode() if field[0] == "s" else value)
    if field == "type_value":
        return Typed("type", value.decode())
    if field == "list_value":
        return Typed("list", [typed(one) for one in value.get("values", [])])
    if field == "map_value":
        return Typed("map", [(typed(one["key"][0]), typed(one["value"][0])) for one in value.get("entries", [])])
    return _object(value)


def _object(message: Message) -> Typed:
    name = next(iter(message)).strip("[]").rpartition("/")[2]
    inner = next(iter(message.values()))[0]
    if name not in ("google.protobuf.Duration", "google.protobuf.Timestamp"):
        raise UnreadableError(f"a message {name}")
    seconds, nanos = (int(inner.get(field, ["0"])[0]) for field in ("seconds", "nanos"))
    if nanos % 1000:
        raise UnreadableError(NANOSECONDS)
    if name == "google.protobuf.Duration":
        return Typed("duration", timedelta(seconds=seconds, microseconds=nanos // 1000))
    return Typed("timestamp", datetime(1970, 1, 1, tzinfo=UTC) + timedelta(0, seconds, nanos // 1000))


_PRIMITIVES = {
    "BOOL": BOOL, "INT64": INT, "UINT64": UINT, "DOUBLE": DOUBLE, "STRING": STRING, "BYTES": CelType("bytes"),
}  # fmt: skip
_MESSAGES = {b"google.protobuf.Duration": CelType("duration")}


def _type(message: Message) -> CelType:
    field, values = next(iter(message.items()))
    value = values[0]
    if field == "primitive":
        return _PRIMITIVES[value]
    if field == "null":
        return CelType("null")
    if field == "list_type":
        return CelType("list", (_type(value["elem_type"][0]),))
    if field == "map_type":
        return CelType("map", (_type(value["key_type"][0]), _type(value["value_type"][0])))
    if field == "message_type" and value in _MESSAGES:
        return _MESSAGES[value]
    raise UnreadableError(f"a variable of type {field} {value!r}")
