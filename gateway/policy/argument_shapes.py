"""What is known of arguments: JSON Schemas (2020-12 and before, OpenAPI's dialects) as shapes for checking expressions.

Conservative: what is not understood may be anything. A schema with ``properties`` that says nothing of further ones is
taken to list all that there are, although JSON Schema allows others then: that is what its author means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct, structs

MOST_HOPS, MOST_DEPTH = 50, 20
"""References in a row, and levels of references and combinations around one value; what lies beyond may be anything."""

NUMBERS = frozenset({"int", "uint", "double", "number"})
_KINDS = {"string": "string", "integer": "int", "number": "number", "boolean": "bool", "null": "null"}
_KINDS |= {"object": "map", "array": "list"}


class Part:
    """The shape of a field or an item, made when it is first asked for: schemas may hold themselves, and large
    documents hold much that no rule reads."""

    __slots__ = ("_made",)

    def __init__(self, made: Shape | Callable[[], Shape]) -> None:
        self._made = made

    @property
    def shape(self) -> Shape:
        """What the values can be."""
        if not isinstance(self._made, Shape):
            self._made = self._made()
        return self._made


class Field(Struct, frozen=True):
    """A field of a map. Not ``required``: it may be missing."""

    part: Part
    required: bool = False

    @property
    def shape(self) -> Shape:
        """What its values can be."""
        return self.part.shape


class Shape(Struct, frozen=True):
    """A set of values. ``kinds`` are string, int, number (an int or a double), double, bool, null, list, map, bytes;
    none of them: anything. ``open``: a map may have other fields than ``fields``, each a ``rest``. ``words`` are the
    only texts that it can be, where that is known; ``note`` says why it is what it is."""

    kinds: frozenset[str] = frozenset()
    fields: Mapping[str, Field] = {}
    open: bool = True
    items: Part | None = None
    rest: Part | None = None
    words: frozenset[str] = frozenset()
    note: str = ""


ANY = Shape()
_ANYTHING = Part(ANY)


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
        self._root = root
        self._known: dict[str, Shape] = {}

    def shape(self, schema: Any, depth: int = 0) -> Shape:
        """The shape of what fits a schema."""
        if not isinstance(schema, dict) or depth > MOST_DEPTH:
            return ANY
        own = self._own(schema)
        more = [self._referred(schema, depth)] if "$ref" in schema else []
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

    def _referred(self, schema: dict[str, Any], depth: int) -> Shape:
        """What a reference leads to; anything where it leads back to itself."""
        name = str(schema["$ref"])
        if name not in self._known:
            self._known[name] = ANY
            self._known[name] = self.shape(self.target(schema), depth + 1)
        return self._known[name]

    def part(self, schema: Any) -> Part:
        """The shape of a part, for when it is asked for."""
        return Part(lambda: self.shape(schema)) if isinstance(schema, dict) and schema else _ANYTHING

    def target(self, value: Any) -> Any:
        """What a reference leads to, through others; None where it leads nowhere, or out of the document."""
        hops = 0
        while isinstance(value, dict) and isinstance(value.get("$ref"), str):
            hops += 1
            if hops > MOST_HOPS or not value["$ref"].startswith("#"):
                return None
            found = self._root
            for step in value["$ref"][1:].split("/")[1:]:
                name = step.replace("~1", "/").replace("~0", "~")
                found = found.get(name) if isinstance(found, dict) else None
            value = found
        return value

    def _own(self, schema: Mapping[str, Any]) -> Shape:
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
        items = self.part(schema.get("items")) if "list" in kinds else None
        words = schema.get("enum", [schema["const"]] if "const" in schema else None)
        texts = {one for one in _listed(words) if isinstance(one, str)} if kinds == {"string"} else set()
        return self._map(schema, Shape(frozenset(kinds), items=items, words=frozenset(texts)), required)

    def _map(self, schema: Mapping[str, Any], shape: Shape, required: set[str]) -> Shape:
        properties, more = schema.get("properties"), schema.get("additionalProperties")
        named = properties if isinstance(properties, dict) else {}
        fields = {name: Field(self.part(one), name in required) for name, one in named.items()}
        fields |= {name: Field(_ANYTHING, required=True) for name in required - fields.keys()}
        listed = (bool(named) and more is None) or denies(more)
        others = any(key in schema for key in ("patternProperties", "unevaluatedProperties", "dependentSchemas"))
        rest = self.part(more) if isinstance(more, dict) else None
        return Shape(shape.kinds, fields, not listed or others, shape.items, rest, shape.words)


def union(shapes: Iterable[Shape]) -> Shape:
    """What fits one of the shapes: a field is required only where each of those that can be maps requires it."""
    options = list(shapes)
    maps = [one for one in options if "map" in one.kinds or not one.kinds]
    names = sorted({name for one in maps for name in one.fields})
    fields = {
        name: Field(
            _either([one.fields[name].part for one in maps if name in one.fields]),
            all(name in one.fields and one.fields[name].required for one in maps),
        )
        for name in names
    }
    kinds = frozenset[str]().union(*(one.kinds for one in options)) if all(one.kinds for one in options) else ANY.kinds
    lists = [one.items or _ANYTHING for one in options if "list" in one.kinds]
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
            fields[name] = field if known is None else _of_both(known, field)
    kinds = next((part.kinds for part in parts if part.kinds), ANY.kinds)
    # Schemas without a type (``required`` alone) add to what others describe, and do not open it.
    is_open = any(part.open for part in parts if part.kinds)
    items = next((part.items for part in parts if part.items is not None), None)
    rest = next((part.rest for part in parts if part.rest is not None), None)
    words = next((part.words for part in parts if part.words), ANY.words)
    return Shape(kinds, fields, is_open, items, rest, words, _note(parts))


def _of_both(one: Field, other: Field) -> Field:
    return Field(Part(lambda: both([one.shape, other.shape])), one.required or other.required)


def _either(parts: list[Part]) -> Part:
    return parts[0] if len(parts) == 1 else Part(lambda: union([part.shape for part in parts]))


def _note(shapes: Iterable[Shape]) -> str:
    notes = {one.note for one in shapes}
    return notes.pop() if len(notes) == 1 else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
