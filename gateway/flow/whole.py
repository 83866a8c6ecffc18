"""What a trusted tool vouches for: the addresses and codes that it gives as such, not those within a longer text.

A register's answer is its own; the free text in it is somebody's, who may have written an address into a name or a
subject. Words are another matter: a name of two words is no less of a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.flow.bodies import BETWEEN, LONGEST_FIELD
from gateway.flow.forms import address, code, phone

_PARTS = re.compile(r"[;,|\t]\s*|:\s+")


def lead_of(value: str) -> str:
    """An address, account or telephone number in one form; empty where the value is none."""
    return address(value) or code(value) or phone(value)


def wholes_in(text: str) -> Iterator[str]:
    """The addresses and codes that are whole fields of an answer: of a single text, the parts of its lines."""
    fields = text.split(BETWEEN)
    if len(fields) == 1:
        fields = [part for line in text.splitlines() for part in (line, *_PARTS.split(line))]
    return filter(None, [lead_of(field.strip()) for field in fields if len(field) <= LONGEST_FIELD])
