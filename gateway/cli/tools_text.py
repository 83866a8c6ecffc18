"""What ``toolgate tools`` prints. Everything that a server says is made visible first: it is the text of strangers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from gateway.cli.pin_diff import Difference
from gateway.cli.pinning import Asked
from gateway.policy.visible import visible
from gateway.understand.annotations import facts_of
from gateway.understand.pins import State

_COLORS = {"+": "green", "-": "red", "@": "cyan", "!": "yellow"}
_FLAGS = (("readOnly", "read-only"), ("destructive", "destructive"), ("idempotent", "idempotent"))
_MOST_NAMES = 20


def counted(number: int) -> str:
    """``1 tool``, ``2 tools``."""
    return f"{number} tool{'' if number == 1 else 's'}"


def names_of(names: Iterable[str]) -> str:
    """Names for a message, a few of them."""
    shown = [visible(name) for name in names]
    return ", ".join(shown[:_MOST_NAMES]) + (", ..." if len(shown) > _MOST_NAMES else "") or "nothing"


def tell(differences: Sequence[Difference]) -> None:
    """Print differences, with colours on a terminal."""
    for one in differences:
        click.secho(f"{one.state}: {one.tool}", bold=True)
        if one.hidden:
            many = "character is" if one.hidden == 1 else "characters are"
            click.secho(f"  ! {one.hidden} hidden {many} in what is offered, shown as \\u....", fg=_COLORS["!"])
        for line in one.diff:
            click.secho(f"  {line}", fg=_COLORS.get(line[:1]))
        click.echo()


def report(asked: Asked) -> dict[str, Any]:
    """What differs at one server, for machines."""
    return {
        "error": asked.error or None,
        "version": asked.version or None,
        "differences": [
            {
                "tool": one.tool,
                "state": one.state,
                "approved": one.approved or None,
                "offered": one.found or None,
                "hidden_characters": one.hidden,
                "diff": "\n".join(one.diff),
            }
            for one in asked.differences
        ],
    }


def listed(asked: Asked) -> list[dict[str, Any]]:
    """The tools of one server, for machines; without a file of pins their state is unknown."""
    found = []
    for name, definition in asked.offered.items():
        state = _state(asked, name)
        facts = facts_of(definition.get("annotations"), state)
        annotations = {key.removeprefix("tool."): value for key, value in facts.items() if key != "tool.pin"}
        found.append({"tool": name, **annotations, "pin": state, "sha256": asked.digests[name]})
    return found


def table(all_asked: Sequence[Asked]) -> Iterator[str]:
    """The tools of several servers in columns: server, tool, hints, state."""
    rows = [
        (asked.name, one["tool"], ", ".join(_hints(one)), one["pin"]) for asked in all_asked for one in listed(asked)
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        yield "  ".join([*(row[column].ljust(widths[column]) for column in range(3)), row[3]])


def dump(value: dict[str, Any]) -> None:
    """Print JSON; beyond ASCII as escapes, so that nothing in it is hidden."""
    click.echo(json.dumps(value, indent=2))


def _state(asked: Asked, name: str) -> State:
    if asked.file is None:
        return "unknown"
    pin = asked.pins.tools.get(name)
    if pin is None:
        return "new"
    return "pinned" if pin.sha256 == asked.digests[name] else "changed"


def _hints(tool: dict[str, Any]) -> Iterator[str]:
    yield from (word for hint, word in _FLAGS if tool[hint])
    yield "open world" if tool["openWorld"] else "closed world"
