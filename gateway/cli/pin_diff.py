"""What differs between the tools that a server offers and those that were approved, for people and for machines."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from gateway.policy.pins import Pin, Pins, definition_of, digest_of
from gateway.policy.pins_text import VERSION, definition_text
from gateway.policy.visible import count_hidden, visible
from gateway.understand.catalogue import LONGEST_NAME


class Difference(Struct, frozen=True):
    """One tool that is not as approved. ``state`` is changed, new, or gone; ``diff`` are the lines of a unified diff
    with hidden characters as escapes, of which the offered definition has ``hidden``."""

    tool: str
    state: str
    approved: str
    found: str
    diff: tuple[str, ...]
    hidden: int = 0


def offered(tools: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The definitions of the tools by name, in the server's order.

    Raises:
        ValueError: a tool that could not be told apart or be pinned; says which.
    """
    found: dict[str, dict[str, Any]] = {}
    for tool in tools:
        name, definition = tool["name"], definition_of(tool)
        if len(name) > LONGEST_NAME or count_hidden(name) or not name.isprintable():
            raise ValueError(f"the tool {visible(name[:80])!r} has a name that is too long or has hidden characters")
        if found.setdefault(name, definition) != definition:
            raise ValueError(f"the tool {name!r} is listed twice, with two definitions")
    return found


def differences(pins: Pins, tools: Mapping[str, Mapping[str, Any]], digests: Mapping[str, str]) -> list[Difference]:
    """Every tool that is not as approved: those offered in the server's order, then those that are gone."""
    found = []
    for name, definition in tools.items():
        pin, digest = pins.tools.get(name), digests[name]
        if pin is None:
            found.append(_difference(name, "new", {}, definition, "", digest))
        elif pin.sha256 != digest:
            found.append(_difference(name, "changed", pin.definition, definition, pin.sha256, digest))
    for name, pin in pins.tools.items():
        if name not in tools:
            found.append(_difference(name, "gone", pin.definition, {}, pin.sha256, ""))
    return found


def pinned(
    pins: Pins, server: str, tools: Mapping[str, dict[str, Any]], names: Sequence[str], day: str, url: str
) -> Pins:
    """The pins after these tools were approved; all tools where no names are given, so that gone ones are left out.
    ``url`` is where the server is; a file without one keeps to be for any.

    ``day`` is put to what is approved anew; what did not change keeps its own.
    """
    kept = {name: pin for name, pin in pins.tools.items() if name in tools or names}
    for name in names or tools:
        if name not in tools:
            kept.pop(name, None)
            continue
        digest = digest_of(tools[name])
        if name not in kept or kept[name].sha256 != digest:
            kept[name] = Pin(digest, tools[name], day)
    return Pins(server, kept, url=pins.url if pins.exists and pins.version == VERSION else url)


def _difference(
    name: str, state: str, before: Mapping[str, Any], after: Mapping[str, Any], approved: str, found: str
) -> Difference:
    lines = difflib.unified_diff(_lines(before), _lines(after), "approved", "offered", lineterm="", n=2)
    return Difference(name, state, approved, found, tuple(lines), _hidden(after))


def _lines(definition: Mapping[str, Any]) -> list[str]:
    """The description line by line, as people read it, then the rest as JSON."""
    if not definition:
        return []
    rest = {key: value for key, value in definition.items() if key not in ("name", "description")}
    description = definition.get("description")
    if isinstance(description, str):
        return [*visible(description).split("\n"), "", *definition_text(rest).split("\n")]
    return definition_text({key: value for key, value in definition.items() if key != "name"}).split("\n")


def _hidden(value: Any) -> int:
    if isinstance(value, str):
        return count_hidden(value)
    if isinstance(value, Mapping):
        return sum(_hidden(key) + _hidden(item) for key, item in value.items())
    return sum(map(_hidden, value)) if isinstance(value, list) else 0
