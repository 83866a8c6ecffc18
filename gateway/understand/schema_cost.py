"""How much work a JSON Schema can make, before any is done: schemas come from servers that need not be trusted.

A validator follows every branch, so ``allOf`` of two references to the schema itself doubles the work with each level
of the value. Counted here is how many subschemas at most are applied along one path into a value; the work is at most
that, times the number of values within.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

DEPTHS = (64, 16, 8, 4, 3, 2, 1)
"""Depths of values that are tried, deepest first: the deepest is that of strict_json."""
HIGHEST = 4_000
_STEPS = 10_000
"""Subschemas that are looked at in all; more than any schema of this size has without recursion."""
_ONE = ("not", "if", "then", "else")
_SEVERAL = ("allOf", "anyOf", "oneOf")
_BY_NAME = ("dependentSchemas", "dependencies")
_DYNAMIC = ("$dynamicRef", "$recursiveRef")


class CostError(ValueError):
    """The work cannot be bounded; says why."""


class Cost(Struct, frozen=True):
    """``depth``: how deep values may be for this to hold, 64 for most schemas. ``work``: subschemas that at most are
    applied to one value."""

    depth: int
    work: int


def cost_of(schema: Any) -> Cost:
    """The cost of applying a schema, for the deepest values for which that is bounded.

    Raises:
        CostError: there is no such depth, or what a reference means is not known here.
    """
    for depth in DEPTHS:
        try:
            if (work := _Counter(schema).work(schema, depth)) <= HIGHEST:
                return Cost(depth, work)
        except RecursionError:
            continue
    raise CostError("too many alternatives within one another")


class _Counter:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[tuple[int, int, bool], int] = {}
        self._open: set[tuple[int, int, bool]] = set()
        self._steps = 0

    def work(self, schema: Any, depth: int) -> int:
        """For a value of this depth, whatever its type."""
        return max(self._of(schema, depth, True), self._of(schema, depth, False))

    def _of(self, schema: Any, depth: int, is_object: bool) -> int:
        """For an object of this depth, or an array: only the keywords of its type lead further."""
        if not isinstance(schema, dict):
            return 1
        key = (id(schema), depth, is_object)
        if (known := self._known.get(key)) is not None:
            return known
        if key in self._open:
            raise CostError("a reference leads back to itself without a step into the value")
        self._open.add(key)
        self._check(schema)
        same = sum(self._of(branch, depth, is_object) for branch in self._branches(schema))
        if "unevaluatedProperties" in schema or "unevaluatedItems" in schema:
            same *= 2  # what was evaluated is found by looking at the branches again
        total = 1 + same + _listed(schema)
        if depth > 0:
            total += self._object(schema, depth - 1) if is_object else self._array(schema, depth - 1)
        self._open.discard(key)
        self._known[key] = total = min(total, HIGHEST + 1)
        return total

    def _check(self, schema: dict[str, Any]) -> None:
        self._steps += 1
        if self._steps > _STEPS:
            raise CostError("too many subschemas")
        if any(keyword in schema for keyword in _DYNAMIC):
            raise CostError("dynamic references are not supported")
        if schema is not self._root and isinstance(schema.get("$id", schema.get("id")), str):
            raise CostError("a subschema with an $id of its own is not supported")

    def _branches(self, schema: dict[str, Any]) -> Iterator[Any]:
        """Subschemas that are applied to the same value."""
        if isinstance(reference := schema.get("$ref"), str):
            yield self._resolve(reference)
        for keyword in _SEVERAL:
            if isinstance(branches := schema.get(keyword), list):
                yield from branches
        yield from (schema[keyword] for keyword in _ONE if keyword in schema)
        for keyword in _BY_NAME:
            if isinstance(branches := schema.get(keyword), dict):
                yield from branches.values()

    def _object(self, schema: dict[str, Any], depth: int) -> int:
        named, patterns = schema.get("properties"), schema.get("patternProperties")
        total = max((self.work(one, depth) for one in named.values()), default=0) if isinstance(named, dict) else 0
        if isinstance(patterns, dict):
            total += sum(self.work(one, depth) for one in patterns.values())
        rest = ("additionalProperties", "unevaluatedProperties", "propertyNames")
        return total + sum(self.work(schema[keyword], depth) for keyword in rest if keyword in schema)

    def _array(self, schema: dict[str, Any], depth: int) -> int:
        total = 0
        for keyword in ("items", "prefixItems"):
            items = schema.get(keyword)
            if isinstance(items, list):
                total += max((self.work(one, depth) for one in items), default=0)
            elif items is not None:
                total += self.work(items, depth)
        rest = ("additionalItems", "unevaluatedItems", "contains")
        return total + sum(self.work(schema[keyword], depth) for keyword in rest if keyword in schema)

    def _resolve(self, reference: str) -> Any:
        """The subschema that a reference within the document means, by JSON Pointer (RFC 6901)."""
        if not reference.startswith("#"):
            raise CostError(f"the reference {reference[:80]!r} leads out of the schema")
        if len(reference) > 1 and reference[1] != "/":
            raise CostError(f"the reference {reference[:80]!r} to an anchor is not supported")
        at = self._root
        for step in reference.split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(at, dict):
                at = at.get(name, True)
            elif isinstance(at, list) and name.isascii() and name.isdecimal() and int(name[:6]) < len(at):
                at = at[int(name[:6])]
            else:
                return True
        return at


def _listed(schema: dict[str, Any]) -> int:
    """Long lists of allowed values are compared one by one."""
    allowed = schema.get("enum")
    return len(allowed) // 16 if isinstance(allowed, list) else 0
