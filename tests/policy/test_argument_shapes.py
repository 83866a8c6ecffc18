"""JSON Schemas as shapes: what is known, and what is left open."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.policy.argument_shapes import ANY, MOST_HOPS, Schemas, Shape

TEXT, NUMBER = {"type": "string"}, {"type": "number"}


def shape_of(schema: Any, root: Any = None) -> Shape:
    return Schemas(schema if root is None else root).shape(schema)


def listed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        (TEXT, {"string"}),
        ({"type": "integer"}, {"int"}),
        ({"type": ["number", "null"]}, {"number", "null"}),
        ({"type": "string", "nullable": True}, {"string", "null"}),
        ({"type": "string", "nullable": "true"}, {"string", "null"}),
        ({"type": "array"}, {"list"}),
        ({"properties": {"a": TEXT}}, {"map"}),
        ({"anyOf": [TEXT, {"type": "null"}]}, {"string", "null"}),
        ({"oneOf": [TEXT, {}]}, set()),
        ({"allOf": [TEXT, {"minLength": 3}]}, {"string"}),
        ({"type": "strange"}, set()),
        ({}, set()),
        (True, set()),
        (None, set()),
    ],
)
def test_a_schema_says_of_which_kinds_a_value_can_be(schema: Any, kinds: set[str]) -> None:
    assert shape_of(schema).kinds == kinds


@pytest.mark.parametrize(
    ("schema", "is_open"),
    [
        (listed(a=TEXT), False),
        ({**listed(a=TEXT), "additionalProperties": False}, False),
        ({**listed(a=TEXT), "additionalProperties": True}, True),
        ({**listed(a=TEXT), "additionalProperties": "true"}, True),
        ({**listed(a=TEXT), "additionalProperties": TEXT}, True),
        ({**listed(a=TEXT), "patternProperties": {"^x": TEXT}}, True),
        ({"type": "object"}, True),
        ({"type": "object", "additionalProperties": False}, False),
        ({"type": "object", "additionalProperties": "false"}, False),
        ({"allOf": [listed(a=TEXT), {"required": ["a"]}]}, False),
        ({"allOf": [listed(a=TEXT), {"$ref": "#/nowhere"}]}, True),
        ({"allOf": [listed(a=TEXT), {"$ref": "other.yaml#/a"}]}, True),
        ({"anyOf": [listed(a=TEXT), listed(b=TEXT)]}, False),
        ({"anyOf": [listed(a=TEXT), {"type": "object"}]}, True),
        ({**listed(a=TEXT), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, False),
    ],
)
def test_a_schema_says_whether_there_may_be_other_fields(schema: Any, is_open: bool) -> None:
    assert shape_of(schema).open is is_open


def test_fields_of_combined_schemas_are_gathered() -> None:
    schema = {
        "allOf": [listed(a=TEXT), {"required": ["a"]}],
        "oneOf": [{**listed(b=NUMBER, c=TEXT), "required": ["b"]}, {**listed(b=TEXT), "required": ["b"]}],
        "then": listed(d=TEXT),
    }
    fields = shape_of(schema).fields
    assert {name: (set(field.shape.kinds), field.required) for name, field in fields.items()} == {
        "a": ({"string"}, True),
        "b": ({"number", "string"}, True),
        "c": ({"string"}, False),
        "d": ({"string"}, False),
    }


def test_items_words_and_further_properties_are_known() -> None:
    words = {"type": "string", "enum": ["a", "b"]}
    shape = shape_of({**listed(list={"type": "array", "items": words}), "additionalProperties": NUMBER})
    items = shape.fields["list"].shape.items
    assert items is not None
    assert items.shape.words == {"a", "b"}
    assert shape.rest is not None
    assert shape.rest.shape.kinds == {"number"}


def test_references_lead_into_the_document_only_and_end() -> None:
    root = {
        "defs": {
            "a/b": TEXT,
            "node": listed(next={"$ref": "#/defs/node"}, name={"$ref": "#/defs/a~1b"}),
            "self": {"$ref": "#/defs/self"},
            "chain": {f"{number}": {"$ref": f"#/defs/chain/{number + 1}"} for number in range(MOST_HOPS + 10)},
        }
    }
    shape = shape_of({"$ref": "#/defs/node"}, root)
    for _ in range(100):
        assert shape.fields["name"].shape.kinds == {"string"}
        shape = shape.fields["next"].shape
    assert shape_of({"$ref": "#/defs/self"}, root) == ANY
    assert shape_of({"$ref": "#/defs/chain/0"}, root) == ANY
    assert shape_of({"$ref": "https://example.com/schema"}, root) == ANY


def test_schemas_that_hold_each_other_in_all_ways_are_read_in_no_time() -> None:
    every = [{"$ref": f"#/defs/{number}"} for number in range(60)]
    root = {"defs": {f"{number}": {"allOf": every, "oneOf": every, "type": "object"} for number in range(60)}}
    assert shape_of({"$ref": "#/defs/0"}, root).open is True
