"""Records that the user has named: what else stands in them.

A value that is a whole field of a record, of which another whole field was named by the user ("the event 'Dental
check-up'": its id), is what the user spoke of. Text that strangers put into a field is never a whole field. What is
left to them is to write a whole record that bears the user's own words, and is the only one that does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.flow.forms import address, days_in, number, words
from gateway.flow.heard import Heard

MOST_RECORDS = 32
SHORTEST_NUMBER = 5
"""Digits of a number that tells a record from others."""


def names_of(heard: Heard, forms: Sequence[str], named: Callable[[str], bool]) -> str:
    """The field by which the user named a record of this result that holds one of the forms; empty for none."""
    for record in heard.index.records_with(forms, MOST_RECORDS):
        for field in record:
            if field not in forms and _tells(field) and named(field) and heard.index.fielded(field) == 1:
                return field
    return ""


def _tells(field: str) -> bool:
    """Whether a field may tell its record from others: several words, an address, a code; one word only where the user
    put it in quotation marks, which ``named`` looks at. No day, no short number."""
    if number(field):
        return len(field) >= SHORTEST_NUMBER
    if address(field):
        return True
    found = words(field)
    if any(days_in(field)) or sum(map(len, found)) < SHORTEST_NUMBER:
        return False
    return len(found) > 1 or (field.isalpha() and len(field) > 1) or any(map(str.isdigit, field))
