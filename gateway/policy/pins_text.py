"""The file of pins as text: written to be read in a review, in the order of names, with nothing hidden."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.policy.pins import Pin, Pins
from gateway.policy.visible import hidden, visible

VERSION = 2
_HEAD = """\
# The approved tools of one MCP server, as they described themselves. Written by: toolgate tools pin
# A tool that changes, or is not in here, is refused or asked for, as pins: in the configuration says.
"""
_DESCRIPTION_LINES = 40


def text_of(pins: Pins) -> str:
    """The whole file; the same pins always give the same text."""
    tools = "".join(_entry(name, pins.tools[name]) for name in sorted(pins.tools))
    url = f"url: {quoted(pins.url)}\n" if pins.url else ""
    return f"{_HEAD}version: {VERSION}\nserver: {quoted(pins.server)}\n{url}tools:{'' if tools else ' {}'}\n{tools}"


def description_of(definition: Mapping[str, Any]) -> str:
    """What the file shows of a description: its first lines, for people. The definition has all of it."""
    description = definition.get("description")
    if not isinstance(description, str):
        return ""
    lines = [line.rstrip() for line in visible(description).strip("\n").split("\n")]
    more = len(lines) - _DESCRIPTION_LINES
    return "\n".join(lines[:_DESCRIPTION_LINES] + ([f"({more} more lines)"] if more > 0 else [])).strip()


def definition_text(definition: Mapping[str, Any]) -> str:
    """A definition as JSON on several lines, sorted, with hidden characters as escapes: it reads back as the same."""
    return visible(json.dumps(definition, indent=2, sort_keys=True, ensure_ascii=False))


def _entry(name: str, pin: Pin) -> str:
    lines = [f"  {quoted(name)}:", f"    sha256: {pin.sha256}"]
    if pin.pinned_at:
        lines.append(f"    pinned_at: {quoted(pin.pinned_at)}")
    if description := description_of(pin.definition):
        lines += ["    description: |2-", *_block(description)]
    lines += ["    definition: |2-", *_block(definition_text(pin.definition))]
    return "\n".join(lines) + "\n"


def _block(text: str) -> list[str]:
    return [f"      {line}" if line else "" for line in text.split("\n")]


def quoted(text: str) -> str:
    r"""A YAML scalar in double quotes; its escapes are those of JSON, but for ``\U`` beyond U+FFFF."""
    return '"' + "".join([one if _plain(one) else f"\\U{ord(one):08x}" for one in text]) + '"'


def _plain(character: str) -> bool:
    return character.isprintable() and character not in '"\\' and not hidden(character)
