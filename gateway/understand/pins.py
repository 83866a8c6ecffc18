"""Whether the tools that an MCP server offers now are those that were approved.

A server can change the description of a tool after it was reviewed, and models do as descriptions say (a "rug pull").
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gateway.policy.pins import Action, Pinning

State = Literal["pinned", "changed", "new", "unknown"]
UNREADABLE = ""
"""The digest of a tool that has none, or two at once: equal to no other."""
Verdict = tuple[str, str]
_CLEAR: Verdict = ("", "")


class Change(Struct, frozen=True):
    """A tool that is not as approved. ``approved`` is empty for a new one, ``found`` where it has no single digest."""

    server: str
    tool: str
    state: State
    approved: str
    found: str

    def __str__(self) -> str:
        return detail(self.server, self.tool, self.state)


class Approvals:
    """What is approved of one server: by the file of pins, or, without one, what was seen first."""

    def __init__(self, server: str, rules: Pinning) -> None:
        self.server = server
        self.rules = rules
        self._first: dict[str, str] = {}
        self._settled = False

    def approved(self, name: str) -> str:
        """The approved digest of a tool, or empty."""
        pins = self.rules.pins
        if pins is None:
            return self._first.get(name, "")
        pin = pins.tools.get(name)
        return pin.sha256 if pin is not None else ""

    def expects(self, name: str) -> bool:
        """Whether the file of pins names the tool."""
        return self.rules.pins is not None and name in self.rules.pins.tools

    def state(self, name: str, digest: str) -> State:
        """The state of a tool that is listed with this digest. The first digest is remembered, file or not, so that
        taking the file away later does not approve what has changed meanwhile."""
        if digest != UNREADABLE and name not in self._first and not self._settled:
            self._first[name] = digest
        approved = self.approved(name)
        if not approved:
            return "new"
        return "pinned" if digest == approved else "changed"

    def settle(self) -> None:
        """A whole list was seen: tools that come up later were not there at first."""
        self._settled = True

    def unlisted(self, name: str) -> State:
        """The state of a tool that was not listed yet."""
        return "new" if self.rules.pins is not None and name not in self.rules.pins.tools else "unknown"

    def verdict(self, name: str, state: State) -> Verdict:
        """What becomes of a call to a tool in this state, and why; two empty texts where nothing is against it."""
        action: Action = ""
        if state == "changed":
            action = self.rules.changed
        elif state == "new":
            action = self.rules.new
        return (action, detail(self.server, name, state)) if action else _CLEAR


def detail(server: str, name: str, state: State) -> str:
    """The state in words, for agents and people."""
    shown = f"{name[:100]!r} of {server}"
    if state == "changed":
        return f"the definition of the tool {shown} is not the one that was approved"
    return f"the tool {shown} is not among those that were approved"
