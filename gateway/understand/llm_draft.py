"""A request to a model on its way to what the model will get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.errors import Refused
from gateway.model import Caps
from gateway.understand.dialect import Endpoint
from gateway.understand.members import load


class Draft:
    """A request as it will be sent: its members, its bytes, what they ask for, and what was changed so far."""

    __slots__ = ("amendments", "args", "asked", "endpoint", "params", "sent")

    def __init__(self, endpoint: Endpoint, params: Mapping[str, str], args: dict[str, Any], sent: bytes) -> None:
        self.endpoint, self.params, self.args, self.sent = endpoint, params, args, sent
        self.asked = endpoint.asked(args, params)
        self.amendments: tuple[str, ...] = ()

    def take(self, amended: tuple[bytes, tuple[str, ...]]) -> None:
        """Other bytes, and in words what is other in them. No words: only what the gateway needs for itself, which
        ``args`` then has too."""
        self.sent, said = amended
        if said:
            self.amendments = (*self.amendments, *said)
            self.args = load(self.sent)
            self.asked = self.endpoint.asked(self.args, self.params)

    def bound(self, most: int) -> None:
        """Give the answer a bound, for a budget. Where it cannot have that one it stays as it is: then the bound of the
        endpoint's largest answers counts."""
        try:
            self.take(self.endpoint.amend(self.args, self.sent, self.asked, Caps("budget", max_tokens=most)))
        except Refused:
            return
