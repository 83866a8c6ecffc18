"""Arguments held to a tool's inputSchema (JSON Schema 2020-12, or the draft that ``$schema`` names), by jsonschema-rs.

Validation is a help for models: they learn at once, and in words, what to correct. It is no defence against the server,
which may publish any schema. So a schema that cannot be used, or could be made to cost too much, is not used at all.
``format`` is not asserted, since the drafts leave that open and servers differ; references are never fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import orjson

from gateway.understand.argument_errors import explained
from gateway.understand.schema_cost import DEPTHS, CostError, cost_of

LARGEST_SCHEMA = 128 * 1024
"""Bytes of a schema as JSON."""
MOST_ERRORS = 3
_MOST_READ = 20
"""Errors that are put in words; alternatives often have the same ones."""
_LONGEST = 500
"""Characters of what is told."""
_FEW = 400
"""Values in arguments of which all errors are looked for: a validator finds every one before it tells the first."""
_CHEAP = 50
"""Subschemas applied to one value, up to which arguments of any size are checked."""
_MOST_WORK = 4_000_000
"""Subschemas applied to all values: about 0.1 s."""
_LINEAR = jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20)
_BACKTRACKING = jsonschema_rs.FancyRegexOptions(backtrack_limit=10_000, size_limit=1 << 20, dfa_size_limit=1 << 20)


class SchemaError(ValueError):
    """The schema cannot be used to validate; says why."""


class Checker:
    """One tool's inputSchema, compiled."""

    def __init__(self, schema: bytes) -> None:
        """``schema`` is JSON.

        Raises:
            SchemaError: it is no schema, too large, too costly, or refers to something outside itself.
        """
        if len(schema) > LARGEST_SCHEMA:
            raise SchemaError(f"larger than {LARGEST_SCHEMA // 1024} KiB")
        try:
            self._schema = orjson.loads(schema)
            self._cost = cost_of(self._schema)
        except CostError as error:
            raise SchemaError(str(error)) from None
        self._validator = _compiled(self._schema)

    def invalid(self, arguments: Mapping[str, Any]) -> str:
        """What is wrong with the arguments, up to three places and 500 characters, or empty. Never raises."""
        if self._too_costly(arguments):
            return ""
        try:
            if self._validator.is_valid(arguments):
                return ""
            given = self._given(arguments)
            if given is not arguments and self._validator.is_valid(given):
                return ""
            return self._told(given)
        except (ValueError, TypeError) as error:  # a value that JSON cannot hold: a lone surrogate, a huge number
            return f"$: cannot be checked: {error}"[:_LONGEST]

    def _given(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Without optional arguments that are null: MCP's clients take that for "not given", and servers for absent."""
        if None not in arguments.values():
            return arguments
        required = self._schema.get("required") if isinstance(self._schema, dict) else ()
        needed = required if isinstance(required, list) else ()
        return {name: value for name, value in arguments.items() if value is not None or name in needed}

    def _too_costly(self, arguments: Mapping[str, Any]) -> bool:
        """Whether checking could take seconds; for nearly every schema it cannot, and nothing is counted."""
        cost = self._cost
        if cost.depth != DEPTHS[0] and _deeper(arguments, cost.depth):
            return True
        most = _MOST_WORK // cost.work
        return cost.work > _CHEAP and _count(arguments, most) >= most

    def _told(self, arguments: Mapping[str, Any]) -> str:
        errors: list[jsonschema_rs.ValidationError] = []
        if _count(arguments, _FEW) < _FEW:
            errors = list(self._validator.iter_errors(arguments))
        else:
            try:
                self._validator.validate(arguments)
            except jsonschema_rs.ValidationError as error:
                errors = [error]
        told = list(dict.fromkeys(explained(error, self._schema) for error in errors[:_MOST_READ]))
        more = len(told) - MOST_ERRORS
        text = "; ".join(told[:MOST_ERRORS]) + (f"; and {more} more" if more > 0 else "")
        return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _compiled(schema: Any) -> jsonschema_rs.Validator:
    """Patterns run in linear time where they can (no look-around, no back-references), else with a bound on tries."""
    problem = ""
    for options in (_LINEAR, _BACKTRACKING):
        try:
            return jsonschema_rs.validator_for(schema, validate_formats=False, offline=True, pattern_options=options)
        except ValueError as error:
            problem = str(error).partition("\n")[0]
    raise SchemaError(problem[:200] or "not a JSON Schema")


def _deeper(value: Any, depth: int) -> bool:
    """Whether lists and mappings are nested deeper than so many levels below the value."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(item, dict | list) and (depth <= 1 or _deeper(item, depth - 1)) for item in items)


def _count(value: Any, most: int) -> int:
    """How many values there are within, counted up to ``most``."""
    pending, total = [value], 0
    while pending and total < most:
        one = pending.pop()
        items = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        total += len(items) or 1
        if total < most:
            pending.extend(item for item in items if isinstance(item, dict | list))
    return total
