"""What an answer says, as the expressions of a memory read it, whatever protocol it came by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from gateway.model import Answered, Call

MISSING: Any = object()
"""What is not there, or could not be read."""


class Said(Struct, frozen=True):
    """The value of an answer: JSON, or a text; MISSING where it is neither. ``failed``: the tool says by it that the
    call has failed."""

    value: Any = MISSING
    failed: bool = False


class Hears(Protocol):
    """Reads answers of one protocol."""

    def __call__(self, call: Call, answered: Answered, body: bytes) -> Said | None:
        """What the answer to the call says; None where the body does not hold it (yet)."""


def headers(answered: Answered) -> Mapping[str, str]:
    """Its header fields, names in lower case, repeats joined by a comma."""
    found: dict[str, str] = {}
    for name, value in answered.fields:
        key, text = name.lower().decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
