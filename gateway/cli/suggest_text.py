"""Suggested grants and tasks as policy files: written to be read, changed and committed by people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from gateway.policy.pins_text import quoted
from gateway.policy.visible import visible
from gateway.rehearse.least import Allowed, Unused, Wanted
from gateway.rehearse.usage import Usage

_ODD = re.compile(r"[^A-Za-z0-9._-]+")


class Document(Struct, frozen=True):
    """One suggested document, as text."""

    name: str
    text: str


def header(usage: Usage, hint: str) -> str:
    """What it is made of."""
    lines = [
        f"Suggested by toolgate suggest grants from {usage.calls} permitted calls, {usage.first} to {usage.last}.",
        "It allows what was used, good or bad: read it before you use it.",
        hint,
    ]
    return "".join(f"# {line}\n" for line in lines if line)


def grants_text(wanted: Sequence[Wanted]) -> list[Document]:
    """A grant for each tool, and agents that use it in the same way."""
    found: list[Document] = []
    for one in wanted:
        name = _name(f"{one.agents[0]}{'-and-more' if len(one.agents) > 1 else ''}-{one.tool}", found)
        spec = f"spec:\n  agents: {_list(one.agents)}\n  tools: {_list([one.tool])}\n  operations:\n"
        found.append(Document(name, _head("Grant", name) + spec + _operations(one.allowed, "    ")))
    return found


def task_text(name: str, wanted: Sequence[Wanted], usage: Usage) -> Document:
    """One task that allows what all of them used."""
    agents = sorted({agent for one in wanted for agent in one.agents})
    by_tool: dict[str, dict[str, Allowed]] = {}
    for one in wanted:
        for allowed in one.allowed:
            by_tool.setdefault(one.tool, {}).setdefault(allowed.pattern, allowed)
    entries = ""
    for tool, allowed_of in sorted(by_tool.items()):
        entries += f"    - tools: {_list([tool])}\n      operations:\n"
        entries += _operations([allowed_of[pattern] for pattern in sorted(allowed_of)], "        ")
    budget = f"  budget: {{calls: {usage.most_in_a_run}}}  # what the run with most calls made\n"
    spec = f"spec:\n  agents: {_list(agents)}\n{budget if usage.most_in_a_run else ''}  allow:\n{entries}"
    return Document(name, _head("Task", name) + spec)


def unused_text(unused: Iterable[Unused]) -> list[str]:
    """What present grants allow that nobody used, for people."""
    lines = []
    for one in unused:
        since = f"last used {one.last}" if one.last else "never used"
        lines.append(visible(f"grant {one.grant}{f': {one.what}' if one.what else ''}: {since}"))
    return lines


def _head(kind: str, name: str) -> str:
    return f"apiVersion: toolgate/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n"


def _operations(allowed: Iterable[Allowed], indent: str) -> str:
    lines = []
    for one in allowed:
        calls = "1 call" if one.calls == 1 else f"{one.calls} calls"
        more = f", {one.variants} different; as template {one.template} it is narrower" if one.template else ""
        lines.append(f"{indent}- {quoted(one.pattern)}  # {visible(f'{calls}, last {one.last}{more}')}\n")
    return "".join(lines)


def _list(names: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, names))}]"


def _name(wanted: str, taken: Iterable[Document]) -> str:
    """A name that a document may have, unlike the others."""
    base = _ODD.sub("-", wanted).strip("-._")[:100] or "grant"
    names, name, number = {document.name for document in taken}, f"used-{base}", 1
    while name in names:
        number += 1
        name = f"used-{base}-{number}"
    return name
