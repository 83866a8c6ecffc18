"""The published JSON Schemas, from the same models that check the files."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from gateway.config.case_schema import START, CaseFile
from gateway.config.schema import Config
from gateway.config.schema_admin import Admin
from gateway.policy.schema import schema_json

NAMES = ("config", "policy", "test")
"""The schemas there are; each is published as ``docs/schema/NAME.schema.json``."""


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of that name. Raises KeyError for a name that is not in NAMES."""
    schema = {"config": _config, "policy": schema_json, "test": _test}[name]()
    _count_items(schema)
    return schema


def _count_items(schema: Any) -> None:
    """Bounds on the length of a list are minItems and maxItems; pydantic writes those of text beside a validator."""
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for part in parts:
        _count_items(part)
    if isinstance(schema, dict) and schema.get("type") == "array":
        for end in ("min", "max"):
            if f"{end}Length" in schema:
                schema[f"{end}Items"] = schema.pop(f"{end}Length")


def text_of(name: str) -> str:
    """The schema as it is published."""
    return json.dumps(schema_of(name), indent=2, ensure_ascii=False) + "\n"


class _Generator(GenerateJsonSchema):
    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"non-serializable-default"}  # noqa: RUF012 - addresses, see below


def _config() -> dict[str, Any]:
    schema = Config.model_json_schema(schema_generator=_Generator)
    schema["properties"]["listen"]["default"] = str(Config.model_fields["listen"].default)
    _one_address(schema)
    ways = Config.model_fields["identify"].default
    schema["properties"]["identify"]["default"] = [way.model_dump(exclude_none=True) for way in ways]
    defs = schema["$defs"]
    _one_credential(defs["ToolConfig"]["properties"])
    defs["ToolConfig"]["oneOf"] = [{"required": [key]} for key in (*defs["ToolConfig"].pop("required"), "builtin")]
    for name, field in defs["Identify"]["properties"].items():
        field.pop("default")
        defs["Identify"]["properties"][name] = {**field, "anyOf": field["anyOf"][:1]}
    defs["Identify"] |= {"minProperties": 1, "maxProperties": 1}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Toolgate configuration",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _one_address(schema: dict[str, Any]) -> None:
    """The admin address may be written without the mapping."""
    listen = schema["$defs"]["Admin"]["properties"]["listen"]
    listen["default"] = str(Admin().listen)
    admin = schema["properties"]["admin"]
    plain = {key: listen[key] for key in ("type", "pattern", "examples")}
    schema["properties"]["admin"] = {
        "anyOf": [plain, {"$ref": "#/$defs/Admin"}],
        "default": listen["default"],
        "description": admin["description"],
    }


def _one_credential(tool: dict[str, Any]) -> None:
    """One credential may be written without the list."""
    tool["credential"] = {
        "anyOf": [{"$ref": "#/$defs/Credential"}, {"type": "array", "items": {"$ref": "#/$defs/Credential"}}],
        "description": tool["credential"]["description"],
    }


def _test() -> dict[str, Any]:
    schema = CaseFile.model_json_schema(schema_generator=_Generator)
    defs = schema["$defs"]
    defs["CaseSpec"]["properties"]["start"]["default"] = START
    defs["Expect"] = {"anyOf": [{"enum": ["allow", "refuse", "approve"]}, defs["Expect"]]}
    _one_credential(defs["StandIn"]["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Toolgate tests of policies",
        **{key: value for key, value in schema.items() if key != "title"},
    }
