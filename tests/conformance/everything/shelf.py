"""Resources, prompts and completions."""

from __future__ import annotations

import base64
import json

from mcp.server import MCPServer
from mcp.server.mcpserver import UserMessage
from mcp_types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from .contents import PNG, image, resource

_WORDS = ("paris", "park", "party")


def static_text() -> str:
    """A text."""
    return "This is the content of the static text resource."


def static_binary() -> bytes:
    """An image."""
    return base64.b64decode(PNG)


def watched() -> str:
    """A resource that can be subscribed to."""
    return "Watched resource content"


def data(id: str) -> str:  # noqa: A002 - the suite's template names it
    """A resource with a parameter in its URI."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"}, separators=(",", ":"))


def test_simple_prompt() -> list[UserMessage]:
    """A prompt without arguments."""
    return [UserMessage("This is a simple prompt for testing.")]


def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
    """A prompt with two arguments."""
    return [UserMessage(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]


def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
    """A prompt with a resource in it."""
    return [
        UserMessage(resource(resourceUri, "Embedded resource content for testing.", "text/plain")),
        UserMessage("Please process the embedded resource above."),
    ]


def test_prompt_with_image() -> list[UserMessage]:
    """A prompt with an image in it."""
    return [UserMessage(image()), UserMessage("Please analyze the image above.")]


async def complete(
    ref: PromptReference | ResourceTemplateReference, argument: CompletionArgument, context: CompletionContext | None
) -> Completion:
    """Words that begin like the argument."""
    words = [word for word in _WORDS if word.startswith(argument.value)]
    return Completion(values=words, total=len(words), has_more=False)


def register(server: MCPServer) -> None:
    """Add all that is in this file."""
    server.resource("test://static-text", mime_type="text/plain")(static_text)
    server.resource("test://static-binary", mime_type="image/png")(static_binary)
    server.resource("test://watched-resource", mime_type="text/plain")(watched)
    server.resource("test://template/{id}/data", mime_type="application/json")(data)
    for prompt in (
        test_simple_prompt, test_prompt_with_arguments, test_prompt_with_embedded_resource, test_prompt_with_image,
    ):  # fmt: skip
        server.prompt()(prompt)
    server.completion()(complete)  # type: ignore[no-untyped-call]
