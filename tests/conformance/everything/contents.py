"""Tools that answer at once: every kind of content, an error, schemas with unusual keywords."""

from __future__ import annotations

from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import (
    AudioContent,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from pydantic import Field

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
"""One pixel."""
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
"""One sample."""

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
"""Keywords of JSON Schema 2020-12 that a client must find unchanged in the list."""

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)


def resource(uri: str, text: str, mime_type: str) -> EmbeddedResource:
    """A text resource as a piece of content."""
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def image() -> ImageContent:
    """One pixel as a piece of content."""
    return ImageContent(type="image", data=PNG, mime_type="image/png")


def test_simple_text() -> str:
    """Answers with a text."""
    return "This is a simple text response for testing."


def test_image_content() -> list[ContentBlock]:
    """Answers with an image."""
    return [image()]


def test_audio_content() -> list[ContentBlock]:
    """Answers with a sound."""
    return [AudioContent(type="audio", data=WAV, mime_type="audio/wav")]


def test_embedded_resource() -> list[ContentBlock]:
    """Answers with a resource."""
    return [resource("test://embedded-resource", "This is an embedded resource content.", "text/plain")]


def test_multiple_content_types() -> list[ContentBlock]:
    """Answers with a text, an image and a resource."""
    data = '{"test":"data","value":123}'
    return [
        TextContent(type="text", text="Multiple content types test:"),
        image(),
        resource("test://mixed-content-resource", data, "application/json"),
    ]


def test_error_handling() -> str:
    """Always fails."""
    raise ToolError("This tool intentionally returns an error for testing")


def test_x_mcp_header(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """Has an argument that clients repeat in a header."""
    return f"Region: {region}"


def json_schema_2020_12_tool(name: str = "", email: str = "") -> str:
    """Tool with JSON Schema 2020-12 features"""
    return f"{name} {email}"


def register(server: MCPServer) -> None:
    """Add the tools of this file."""
    for fn in (test_simple_text, test_error_handling, test_x_mcp_header):
        server.add_tool(fn, annotations=READS)
    for answers in (test_image_content, test_audio_content, test_embedded_resource, test_multiple_content_types):
        server.add_tool(answers, annotations=READS, structured_output=False)
    server.add_tool(json_schema_2020_12_tool)
    tool = server._tool_manager.get_tool(json_schema_2020_12_tool.__name__)
    assert isinstance(tool, Tool)
    tool.parameters = SCHEMA  # the SDK derives schemas from signatures, which cannot say this
