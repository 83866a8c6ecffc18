"""A call in words, as people describe it in files: what a request of an agent says, without its bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue, model_validator

from gateway.config.fields import HeaderName, HeaderValue, Listed, Model
from gateway.config.model_errors import Mistake
from gateway.model import Tool
from gateway.policy.hints import nearest
from gateway.policy.schema_parts import Duration


def _path(value: str) -> str:
    if not re.fullmatch(r"/[!-~]*", value) or "?" in value or "#" in value:
        raise ValueError(f"not a path: {value!r}; write it below the tool, such as /notes/1, percent-encoded")
    return value


class GuardrailSaid(Model):
    """What a guardrail says, where it is not asked."""

    flagged: bool = Field(default=False, description="Whether it objects.")
    score: float = Field(default=0.0, description="How sure it is.")
    labels: Listed[str] = Field(default=(), description="What it has found.")
    detail: str = Field(default="", max_length=256, description="Why, in words.")
    answered: bool = Field(default=True, description="false: it gives no usable answer.")


class MemorySaid(Model):
    """What the call finds at the key of a memory, where no calls before it tell."""

    name: str = Field(default="", max_length=128, description="The memory; by default the tool's name.")
    key: str = Field(default="key", max_length=512, description="The key that it touches.")
    writes: bool = Field(default=True, description="Whether it writes.")
    read: bool = Field(default=True, description="Whether its run has read what stands there, or stood.")
    stale: bool = Field(default=False, description="Whether that has changed since.")
    old: bool = Field(default=False, description="Whether it was longer ago than the memory's max_age.")
    age: Duration = Field(default=0.0, description="How long ago it was.")
    changed_by: str = Field(default="", max_length=256, description="The agent that has changed it last.")


class PartOfCall(Model):
    """What may be said of a call; all of it can be left to the defaults of a file.

    ``args`` or ``body`` stand for the request's body; a ``body`` of text is sent as it stands. ``operation`` is for
    MCP servers: a tool's name, called with ``args``, or a method with what it is about
    (``resources/read file:///notes``).
    """

    agent: str = Field(default="", max_length=256, description="Id of the agent that calls.")
    roles: Listed[str] = Field(default=(), description="Its roles.")
    claims: dict[str, JsonValue] = Field(default={}, description="What its token or certificate says of it.")
    run: str = Field(default="", max_length=128, description="The agent's run.")
    tool: str = Field(default="", description="The tool, by its name in the configuration.")
    method: HeaderName = Field(default="GET", description="The HTTP method.")
    path: Annotated[str, AfterValidator(_path)] = Field(default="/", description="The path below the tool.")
    operation: str = Field(
        default="",
        max_length=4096,
        description="Of an MCP server: a tool's name, or a method with what it is about (resources/read file:///a).",
    )
    query: str = Field(default="", description="What follows the ? of the target.")
    headers: dict[HeaderName, HeaderValue] = Field(default={}, description="More header fields.")
    args: dict[str, JsonValue] | None = Field(default=None, description="The arguments: a JSON body, or those of MCP.")
    body: JsonValue = Field(default=None, description="The body instead of args: JSON, or text as it stands.")

    task: str = Field(default="", max_length=128, description="The task that the platform has put its run in.")
    prompt: str = Field(default="", max_length=65_536, description="What the user said, as the platform hands it over.")
    guardrail: dict[str, GuardrailSaid] = Field(default={}, description="What guardrails say of it, by name.")
    memory: MemorySaid | None = Field(default=None, description="What it finds at the key of a memory.")
    drift: Listed[str] = Field(default=(), description="MEMORY/KEY of all that its run has read and that has changed.")
    unverified: Listed[str] = Field(default=(), description="MEMORY/KEY of what could not be asked for again.")

    @model_validator(mode="after")
    def _one_body(self) -> PartOfCall:
        if self.args is not None and self.body is not None:
            raise ValueError("args and body are both given; keep one of them")
        if self.operation and self.body is not None:
            raise ValueError("operation and body are both given; keep one of them, with args")
        return self


class Described(PartOfCall):
    """A whole call: as ``PartOfCall``, with who calls what."""

    agent: str = Field(min_length=1, max_length=256, description="Id of the agent that calls.")
    tool: str = Field(description="The tool, by its name in the configuration.")


def misplaced(call: Described, tools: Sequence[Tool]) -> Mistake | None:
    """What is wrong with the call's tool among ``tools``, or None; the place is within the description."""
    protocols = {tool.name: tool.protocol for tool in tools}
    if call.operation and protocols.get(call.tool, "mcp") != "mcp":
        message = f"operation is for MCP servers, and {call.tool} speaks {protocols[call.tool]}"
        return Mistake(("operation",), message, "write method and path")
    if call.tool not in protocols:
        near = nearest(call.tool, protocols)
        hint = f"did you mean {near}?" if near else f"configured are {', '.join(protocols)}"
        return Mistake(("tool",), f"no tool named {call.tool!r} is configured", hint)
    return None
