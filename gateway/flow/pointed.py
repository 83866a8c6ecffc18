"""Addresses in records that the user pointed at: the link in Bob's message, the link in that mail.

A link within a text is a stranger's. But where the user named the message, by another field of its record, going where
it points is what was asked. That is enough to look at a page, not to pay or to tell anybody: whoever wrote that very
message may have written the link.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.flow.forms import days_in, number
from gateway.flow.heard import Heard
from gateway.flow.looks import Look

SHORTEST = 3
"""Characters of a field that may name its record."""


def points(heard: Heard, look: Look, named: Callable[[str], bool]) -> bool:
    """Whether the address stands in a record of this result that the user named by one of its fields."""
    return any(
        len(field) >= SHORTEST and not number(field) and not any(days_in(field)) and named(field)
        for record in heard.index.records_leading(look)
        for field in record
    )
