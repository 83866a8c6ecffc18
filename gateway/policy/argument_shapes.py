"""What is known of arguments: JSON Schemas (2020-12 and before, OpenAPI's dialects) as shapes for checking expressions.

Conservative: what is not understood may be anything. A schema with ``properties`` that says nothing of further ones is
taken to list all that there are, although JSON Schema allows others then: that is what its author means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct, structs

MOST_REFS, MOST_DEPTH = 500, 12
"""References that are followed and levels that are read of one schema; what lies beyond may be anything."""

NUMBERS = frozenset({"int", "uint", "double", "number"})
_KINDS = {"string": "string", "integer": "int", "number": "number", "boolean": "bool", "null": "null"}
_KINDS |= {"object": "map", "array": "list"}


class Shape(Struct, frozen=True):
    """A set of values. ``kinds`` are string, int, number (an int or a double), double, bool, null, list, map, bytes;
    none of them: anything. ``open``: a map may have other fields than ``fields``, each a ``rest``. ``words`` are the
    only texts that it can be, where that is known; ``note`` says why it is what it is."""

    kinds: frozenset[str] = frozenset()
    fields: Mapping[str, Field] = {}
    open: bool = True
    items: Shape | None = None
    rest: Shape | None = None
    words: frozenset[str] = frozenset()
    note: str = ""


class Field(Struct, frozen=True):
    """A field of a map. Not ``required``: it may be missing."""

    shape: Shape
    required: bool = False


ANY = Shape()


def kind(*names: str, note: str = "") -> Shape:
    """The shape of values without parts."""
    return Shape(frozenset(names), note=note)


class ToolArguments(Struct, frozen=True):
    """What is known of one tool's arguments. ``schemas`` makes the shape of each operation when it is first needed.
    ``complete``: nothing else can be called than these operations."""

    schemas: Mapping[str, Callable[[], Shape]]
    complete: bool = True


def says(value: Any) -> bool:
    """Whether a schema says true: documents in YAML are read as texts."""
    return value is True or value == "true"


def denies(value: Any) -> bool:
    """Whether a schema says false."""
    return value is False or value == "false"


class Schemas:
    """Reads the schemas of one document, whose references lead into it."""

    def __init__(self, root: Any) -> None:
        self._root, self._refs = root, 0

    def shape(self, schema: Any, depth: int = 0) -> Shape:
        """The shape of what fits a schema."""
        if not isinstance(schema, dict) or depth > MOST_DEPTH:
            return ANY
        own = self._own(schema, depth)
        more = [self.shape(self.target(schema), depth + 1)] if "$ref" in schema else []
        more += [self.shape(part, depth + 1) for part in _listed(schema.get("allOf"))]
        for choice in ("anyOf", "oneOf"):
            if options := _listed(schema.get(choice)):
                shapes = [self.shape(option, depth + 1) for option in options]
                more.append(ANY if ANY in shapes else union(shapes))
        branches = [schema[key] for key in ("then", "else") if isinstance(schema.get(key), dict)]
        if branches:
            # One of them holds, or none: fields may come from either, and nothing else is known from them.
            more.append(union([*(self.shape(branch, depth + 1) for branch in branches), ANY]))
        known = both([part for part in (own, *more) if part != ANY])
        return structs.replace(known, open=True) if ANY in more else known

    def target(self, value: Any) -> Any:
        """What a reference leads to, through others; None where it leads nowhere, or out of the document."""
        while isinstance(value, dict) and isinstance(value.get("$ref"), str):
            self._refs += 1
            if self._refs > MOST_REFS or not value["$ref"].startswith("#"):
                return None
            found = self._root
            for step in value["$ref"][1:].split("/")[1:]:
                name = step.replace("~1", "/").replace("~0", "~")
                found = found.get(name) if isinstance(found, dict) else None
            value = found
        return value

    def _own(self, schema: Mapping[str, Any], depth: int) -> Shape:
        """What the schema says by itself, without references and combinations."""
        named = schema.get("type")
        types = [named] if isinstance(named, str) else _listed(named)
        kinds = {_KINDS[one] for one in types if isinstance(one, str) and one in _KINDS}
        properties = schema.get("properties")
        if not kinds and isinstance(properties, dict):
            kinds = {"map"}
        if kinds and says(schema.get("nullable")):
            kinds.add("null")
        required = {name for name in _listed(schema.get("required")) if isinstance(name, str)}
        if not kinds and not required:
            return ANY
        items = self.shape(schema.get("items"), depth + 1) if "list" in kinds else None
        words = schema.get("enum", [schema["const"]] if "const" in schema else None)
        texts = {one for one in _listed(words) if isinstance(one, str)} if kinds == {"string"} else set()
        return self._map(schema, Shape(frozenset(kinds), items=items, words=frozenset(texts)), required, depth)

    def _map(self, schema: Mapping[str, Any], shape: Shape, required: set[str], depth: int) -> Shape:
        properties, more = schema.get("properties"), schema.get("additionalProperties")
        named = properties if isinstance(properties, dict) else {}
        fields = {name: Field(self.shape(one, depth + 1), name in required) for name, one in named.items()}
        fields |= {name: Field(ANY, required=True) for name in required - fields.keys()}
        listed = (bool(named) and more is None) or denies(more)
        others = any(key in schema for key in ("patternProperties", "unevaluatedProperties", "dependentSchemas"))
        rest = self.shape(more, depth + 1) if isinstance(more, dict) else None
        return Shape(shape.kinds, fields, not listed or others, shape.items, rest, shape.words)


def union(shapes: Iterable[Shape]) -> Shape:
    """What fits one of the shapes: a field is required only where each of those that can be maps requires it."""
    options = list(shapes)
    maps = [one for one in options if "map" in one.kinds or not one.kinds]
    names = sorted({name for one in maps for name in one.fields})
    fields = {
        name: Field(
            _either([one.fields[name].shape for one in maps if name in one.fields]),
            all(name in one.fields and one.fields[name].required for one in maps),
        )
        for name in names
    }
    kinds = frozenset[str]().union(*(one.kinds for one in options)) if all(one.kinds for one in options) else ANY.kinds
    lists = [one.items or ANY for one in options if "list" in one.kinds]
    words = frozenset[str]().union(*(one.words for one in options)) if all(one.words for one in options) else ANY.words
    is_open = any(one.open for one in maps)
    return Shape(kinds, fields, is_open, _either(lists) if lists else None, None, words, _note(options))


def both(shapes: Iterable[Shape]) -> Shape:
    """What fits all of the shapes: fields are gathered, and listed as a whole where some shape lists them."""
    parts = list(shapes)
    if len(parts) < 2:
        return parts[0] if parts else ANY
    fields: dict[str, Field] = {}
    for part in parts:
        for name, field in part.fields.items():
            known = fields.get(name)
            shape = field.shape if known is None else both([known.shape, field.shape])
            fields[name] = Field(shape, field.required or (known is not None and known.required))
    kinds = next((part.kinds for part in parts if part.kinds), ANY.kinds)
    # Schemas without a type (``required`` alone) add to what others describe, and do not open it.
    is_open = any(part.open for part in parts if part.kinds)
    items = next((part.items for part in parts if part.items is not None), None)
    rest = next((part.rest for part in parts if part.rest is not None), None)
    words = next((part.words for part in parts if part.words), ANY.words)
    return Shape(kinds, fields, is_open, items, rest, words, _note(parts))


def _either(shapes: list[Shape]) -> Shape:
    return shapes[0] if len(shapes) == 1 else union(shapes)


def _note(shapes: Iterable[Shape]) -> str:
    notes = {one.note for one in shapes}
    return notes.pop() if len(notes) == 1 else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
