"""What was approved of an MCP server: its tools, word for word, and digests that tell whether one is still the same.

The digest of a tool is the SHA-256 of its name, title, description, schemas and annotations as canonical JSON (RFC
8785, the JSON Canonicalization Scheme). What that cannot write (integers beyond 2^53, lone surrogates) is told apart
all the same: then it is that of JSON with sorted names, no spaces and all characters beyond ASCII escaped, which was
the digest of every tool in files of version 1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from typing import Any, Literal

import rfc8785
from msgspec import Struct

from gateway.policy.argument_shapes import Schemas, Shape, ToolArguments

COVERED = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
"""Members of a tool that a model or a client acts upon. Others (icons, ``_meta``) may change without notice."""

_BARE = re.compile(r"[A-Za-z0-9_.-]+")
"""Tools that are operations by their name alone."""

Action = Literal["refuse", "approve", "warn", ""]


class Pin(Struct, frozen=True):
    """One approved tool. ``definition`` are its covered members; ``pinned_at`` the day of the approval, for people."""

    sha256: str
    definition: Mapping[str, Any]
    pinned_at: str = ""


class Pins(Struct, frozen=True):
    """The approved tools of one server, by name. Not ``exists``: there is no such file yet, so nothing is approved."""

    server: str = ""
    tools: Mapping[str, Pin] = {}
    exists: bool = True
    url: str = ""
    """Where the server was when it was approved; empty: wherever it is."""
    version: int = 2
    """Of the file's format."""


class Pinning(Struct, frozen=True):
    """How a server's tools are held to what was approved.

    ``pins`` None: trust on first use, the first definition that is seen is the approved one. ``changed`` and ``new``
    say what becomes of a call to a tool that is not as approved, or not among the approved; ``""`` lets it pass.
    """

    pins: Pins | None = None
    changed: Action = "warn"
    new: Action = ""


def pinning(pins: Pins | None, changed: Action | None = None, new: Action | None = None) -> Pinning:
    """With the defaults for what is not said: refused where there is a file, else a change is warned of."""
    strict: tuple[Action, Action] = ("warn", "") if pins is None else ("refuse", "refuse")
    return Pinning(pins, strict[0] if changed is None else changed, strict[1] if new is None else new)


def arguments_of(pinned: Pinning) -> ToolArguments | None:
    """What the approved tools take, by their inputSchemas; None where nothing was approved.

    Not complete: resources, prompts and, where those are let through, tools that are new can be called as well.
    """
    if pinned.pins is None or not pinned.pins.tools:
        return None
    tools = pinned.pins.tools.items()
    schemas = {
        name if _BARE.fullmatch(name) else f"tools/call {name}": _shape_of(pin.definition.get("inputSchema"))
        for name, pin in tools
    }
    return ToolArguments(schemas, complete=False)


def _shape_of(schema: Any) -> Callable[[], Shape]:
    return cache(lambda: Schemas(schema).shape(schema))


def definition_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The covered members of a tool as a server lists it; a member that is null counts as left out."""
    return {member: tool[member] for member in COVERED if tool.get(member) is not None}


def digest_of(tool: Mapping[str, Any]) -> str:
    """The tool's digest in 64 hex digits.

    Raises:
        ValueError: it is nested deeper than can be written, as no tool that came by a strict parser is.
    """
    definition = definition_of(tool)
    try:
        return sha256(rfc8785.dumps(definition)).hexdigest()
    except ValueError:  # beyond what RFC 8785 can write
        return first_digest_of(tool)
    except RecursionError as error:
        raise ValueError(f"the tool cannot be written as JSON: {error}") from None


def first_digest_of(tool: Mapping[str, Any]) -> str:
    """The digest as files of version 1 have it. Raises ValueError as ``digest_of``."""
    try:
        text = json.dumps(definition_of(tool), sort_keys=True, separators=(",", ":"))
    except (RecursionError, TypeError) as error:
        raise ValueError(f"the tool cannot be written as JSON: {error}") from None
    return sha256(text.encode("ascii")).hexdigest()
