"""What an OpenAPI document tells of arguments: query, form and body, as rules see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.openapi import described
from gateway.policy.argument_shapes import ANY, Shape

TEXT = {"type": "string"}


def shape(operation: dict[str, Any], *, repeated: bool = False, item: Any = None, **more: Any) -> Shape:
    """Of one operation; the document is read as YAML, in which all scalars are texts."""
    document = {"openapi": "3.1.0", "paths": {"/a": {"post": operation, **(item or {})}}, **more}
    read = described(Path("a.yaml"), yaml.safe_dump(document).encode(), repeated=repeated)
    assert read.operations == ["POST /a"]
    return read.arguments.schemas["POST /a"]()


def body(schema: Any, media: str = "application/json") -> dict[str, Any]:
    return {"requestBody": {"content": {media: {"schema": schema}}}}


def fields(of: Shape) -> dict[str, tuple[str, bool]]:
    return {name: ("|".join(sorted(field.shape.kinds)), field.required) for name, field in of.fields.items()}


def parameter(name: str, schema: Any, where: str = "query", **more: Any) -> dict[str, Any]:
    return {"name": name, "in": where, "schema": schema, **more}


def test_query_and_body_are_arguments_and_path_and_headers_are_not() -> None:
    operation = {
        **body({"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}),
        "parameters": [
            parameter("limit", {"type": "integer"}),
            parameter("state", {"type": "string", "enum": ["open"]}, required=True),
            parameter("id", TEXT, "path", required=True),
            parameter("x-trace", TEXT, "header"),
        ],
    }
    made = shape(operation)
    assert fields(made) == {"limit": ("string", False), "state": ("string", True), "amount": ("number", True)}
    assert made.open is False
    assert made.fields["limit"].shape.note == "it comes from the query"
    assert made.fields["state"].shape.words == {"open"}


def test_an_operation_without_parameters_takes_no_arguments() -> None:
    made = shape({"responses": {}})
    assert (made.fields, made.open, made.kinds) == ({}, False, {"map"})


def test_parameters_of_the_path_and_behind_references_count() -> None:
    made = shape(
        {"parameters": [{"$ref": "#/components/parameters/page"}, parameter("both", TEXT, required=True)]},
        item={"parameters": [parameter("both", TEXT), parameter("common", TEXT)]},
        components={"parameters": {"page": parameter("page", TEXT)}},
    )
    assert fields(made) == {"both": ("string", True), "common": ("string", False), "page": ("string", False)}


@pytest.mark.parametrize(
    "operation",
    [
        {"parameters": [{"$ref": "#/components/nowhere"}]},
        {"parameters": [{"$ref": "other.yaml#/page"}]},
        {"requestBody": {"$ref": "#/nowhere"}},
        {"requestBody": {"content": "none"}},
        body(TEXT, "text/plain"),
        body({"$ref": "#/nowhere"}),
        "not a mapping",
    ],
)
def test_of_what_cannot_be_read_nothing_is_known(operation: Any) -> None:
    assert shape(operation) == ANY


def test_a_form_arrives_as_texts() -> None:
    schema = {"type": "object", "properties": {"count": {"type": "integer"}, "name": TEXT}, "required": ["count"]}
    made = shape(body(schema, "application/x-www-form-urlencoded"))
    assert fields(made) == {"count": ("string", True), "name": ("string", False)}
    assert made.fields["count"].shape.note == "it comes from a form"


def test_of_several_bodies_each_may_come() -> None:
    content = {
        "application/json; charset=utf-8": {"schema": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        "application/merge-patch+json": {"schema": {"type": "object", "properties": {"b": TEXT}}},
        "image/png": {"schema": TEXT},
    }
    assert fields(shape({"requestBody": {"content": content}})) == {"a": ("int", False), "b": ("string", False)}


def test_parameters_that_may_repeat_can_be_lists() -> None:
    made = shape({"parameters": [parameter("tag", TEXT)]}, repeated=True)
    assert made.fields["tag"].shape == ANY


def test_lists_and_objects_in_a_query_are_left_open() -> None:
    lists = shape({"parameters": [parameter("tags", {"type": "array", "items": TEXT})]})
    assert (lists.fields["tags"].shape, lists.open) == (ANY, False)
    nested = shape({"parameters": [parameter("filter", {"type": "object"})]})
    assert nested.open is True  # it arrives as filter[name]


def test_swagger_has_bodies_and_forms_among_the_parameters() -> None:
    schema = {"type": "object", "properties": {"amount": {"type": "number"}}}
    made = shape({"parameters": [{"name": "body", "in": "body", "schema": {"$ref": "#/definitions/a"}}]},
                 definitions={"a": schema})  # fmt: skip
    assert fields(made) == {"amount": ("number", False)}
    form = shape({"parameters": [{"name": "n", "in": "formData", "type": "integer", "required": True}]})
    assert fields(form) == {"n": ("string", True)}


def test_json_documents_are_read_as_yaml_ones_are() -> None:
    document = b'{"paths": {"/a": {"get": {"parameters": [{"name": "q", "in": "query", "required": true}]}}}}'
    made = described(Path("a.json"), document).arguments.schemas["GET /a"]()
    assert fields(made) == {"q": ("string", True)}
