"""Arguments held to a tool's inputSchema: what models are told, and which schemas are not used."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.understand.arguments import Checker, SchemaError

PAYMENT = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer", "minimum": 1},
        "currency": {"enum": ["EUR", "USD"]},
        "lines": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
        "code": {"type": "string", "pattern": "^[a-z]+$"},
        "to": {
            "oneOf": [
                {"type": "object", "properties": {"iban": {"type": "string"}}, "required": ["iban"]},
                {"type": "string"},
            ]
        },
        "kind": {"oneOf": [{"const": "a"}, {"const": "b"}]},
    },
    "required": ["amount"],
    "additionalProperties": False,
}
TREE = {
    "$defs": {
        "node": {"type": "object", "properties": {side: {"$ref": "#/$defs/node"} for side in ("left", "right")}},
    },
    "$ref": "#/$defs/node",
}
ANY_JSON = {
    "$defs": {
        "json": {
            "anyOf": [
                {"type": "object", "additionalProperties": {"$ref": "#/$defs/json"}},
                {"type": "array", "items": {"$ref": "#/$defs/json"}},
                {"type": ["string", "number", "boolean", "null"]},
            ]
        }
    },
    "properties": {"value": {"$ref": "#/$defs/json"}},
}
BLOCKS = {
    "anyOf": [
        {"properties": {"type": {"const": number}, "children": {"type": "array", "items": {"$ref": "#"}}}}
        for number in range(30)
    ]
}
DOUBLING = {"allOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}]}
CHAIN = {
    "$defs": {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)},
    "$ref": "#/$defs/a0",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def checker(schema: Any) -> Checker:
    return Checker(json.dumps(schema).encode())


def nested(depth: int, key: str = "left") -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {key: value}
    return value


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"amount": 1, "currency": "EUR", "lines": [1, None], "to": "me", "kind": "b"}, ""),
        ({}, '$: "amount" is missing; it is required'),
        ({"amount": "1"}, '$.amount: must be integer, not "1"'),
        ({"amount": 0}, "$.amount: 0 is less than the minimum of 1"),
        ({"amount": 1, "currency": "GBP"}, '$.currency: must be one of "EUR", "USD", not "GBP"'),
        ({"amount": 1, "curency": "EUR"}, '$: "curency" is not known here; did you mean "currency"?'),
        ({"amount": 1, "lines": [1, "x"]}, '$.lines[1]: must be integer or null, not "x"'),
        ({"amount": 1, "code": "X"}, '$.code: "X" does not match "^[a-z]+$"'),
        ({"amount": 1, "to": {}}, '$.to: "iban" is missing; it is required; or another of the 2 alternatives'),
        ({"amount": 1, "to": 5}, "$.to: must be object or string, not 5"),
        ({"amount": 1, "kind": {}}, '$.kind: must be one of "a", "b", not an object'),
    ],
)
def test_a_model_is_told_the_place_the_fault_and_what_is_allowed(arguments: dict[str, Any], told: str) -> None:
    assert checker(PAYMENT).invalid(arguments) == told


def test_up_to_three_faults_are_told_at_once_and_the_rest_counted() -> None:
    told = checker(PAYMENT).invalid({"amount": "1", "currency": 1, "lines": 1, "code": 1})
    assert told.count("$.") == 3
    assert told.endswith("; and 1 more")


def test_long_values_are_cut_and_names_that_are_no_words_are_quoted() -> None:
    told = checker({"properties": {"a b": {"maxLength": 3}}}).invalid({"a b": "x" * 10_000})
    assert told.startswith('$["a b"]: "xxx')
    assert told.endswith("is longer than 3 characters")
    assert len(told) < 150


def test_of_large_arguments_the_first_fault_is_told() -> None:
    told = checker({"properties": {"a": {"items": {"type": "string"}}}}).invalid({"a": [1] * 5_000})
    assert told == "$.a[0]: must be string, not 1"


def test_the_draft_that_the_schema_names_is_honoured() -> None:
    schema = {"items": [{"type": "integer"}]}  # a tuple in draft 7, no schema in 2020-12
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": schema}}
    assert checker(draft7).invalid({"a": ["x"]}) == '$.a[0]: must be integer, not "x"'
    with pytest.raises(SchemaError):
        checker({"properties": {"a": schema}})


def test_formats_are_left_to_the_server() -> None:
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"format": "date"}}}
    assert checker(draft7).invalid({"a": "tomorrow"}) == ""


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "strin"}, "not valid"),
        ([], "not of types"),
        ({"properties": {"a": {"pattern": "("}}}, "regex"),
        ({"$schema": "https://example.com/mine"}, "Unknown meta-schema"),
        ({"$ref": "https://example.com/schema.json"}, "leads out of the schema"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "leads out of the schema"),
        ({"properties": {"a": {"$id": "https://example.com/", "$ref": "#"}}}, "an \\$id of its own"),
        ({"$ref": "#name"}, "anchor"),
        ({"$dynamicRef": "#name"}, "dynamic"),
        ({"$ref": "#"}, "leads back to itself"),
        ({"allOf": [{"$ref": "#"}]}, "leads back to itself"),
        (CHAIN, "too many alternatives"),
        ({"enum": ["x" * 100] * 2_000}, "larger than 128 KiB"),
        ({"prefixItems": [{}] * 11_000}, "too many subschemas"),
    ],
)
def test_a_schema_that_cannot_be_used_is_not_and_says_why(schema: Any, why: str) -> None:
    with pytest.raises(SchemaError, match=why):
        checker(schema)


def test_recursive_schemas_hold_at_any_depth_where_their_branches_exclude_one_another() -> None:
    deep = nested(50)
    assert checker(TREE).invalid(deep) == ""
    bottom = deep
    while bottom["left"]:
        bottom = bottom["left"]
    bottom["right"] = 5
    assert checker(TREE).invalid(deep).endswith(".left.left....: must be object, not 5")
    assert checker(ANY_JSON).invalid({"value": [{"a": [nested(20)]}]}) == ""


def test_what_could_take_exponential_time_is_checked_where_it_cannot_and_let_through_beyond() -> None:
    schema = {**DOUBLING, "type": "object"}
    shallow, deep = nested(5, "a"), nested(60, "a")
    shallow["a"]["a"] = 1
    deep["a"]["a"]["b"] = 1
    assert checker(schema).invalid(shallow) == "$.a.a: must be object, not 1"
    assert checker({**schema, "required": ["x"]}).invalid(deep) == ""


def test_a_union_of_many_blocks_is_checked_to_the_depth_that_is_affordable() -> None:
    wrong = {"type": 99}
    assert checker(BLOCKS).invalid(wrong).startswith("$.type: must be one of 0, 1, 2")
    assert checker(BLOCKS).invalid({"type": 1, "children": [wrong]}).startswith("$.children[0].type: must be one of")
    assert checker(BLOCKS).invalid({"type": 1, "children": [{"type": 1, "children": [wrong] * 2_000}]}) == ""


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(?=a)(a+)+$", r"^(a+)\1+b$"])
def test_no_pattern_runs_away(pattern: str) -> None:
    told = checker({"properties": {"a": {"pattern": pattern}}}).invalid({"a": "a" * 5_000 + "!"})
    assert told.startswith("$.a: ")


CHECKERS = [checker(schema) for schema in (PAYMENT, TREE, ANY_JSON, BLOCKS, {"not": {"required": ["a"]}})]


@given(json_values)
def test_any_arguments_are_valid_or_told_in_500_characters(value: Any) -> None:
    for made in CHECKERS:
        assert len(made.invalid({"a": value, "value": value, "to": value, "type": value})) <= 500


keywords = st.sampled_from(
    "$ref allOf anyOf not items prefixItems properties additionalProperties enum type unevaluatedProperties if"
    " dependentSchemas patternProperties pattern $id $schema contains".split()
)
schemas = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["#", "#/allOf/0", "#/x", "object", "(", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keywords | st.text(max_size=2), inner, max_size=4),
    max_leaves=20,
)


@given(schemas, json_values)
def test_any_schema_can_be_used_or_says_why_not(schema: Any, value: Any) -> None:
    try:
        made = checker(schema)
    except SchemaError as error:
        assert str(error)
    else:
        assert isinstance(made.invalid({"a": value}), str)


def test_an_optional_argument_that_is_null_counts_as_not_given():
    checker = Checker(b'{"type":"object","properties":{"q":{"type":"string"},"n":{"type":"integer"}},"required":["q"]}')
    assert checker.invalid({"q": "x", "n": None}) == ""
    assert "$.q" in checker.invalid({"q": None, "n": None})
    assert "$.n" not in checker.invalid({"q": None, "n": None})
