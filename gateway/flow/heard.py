"""One thing that a run was told: by whom, with which labels, and how to find a value in it.

What it takes to find something is made when something is looked for: most results are never asked about.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from gateway.flow.forms import Record, dates_in, heard_records, heard_text, normal, numbers_in, squeezed, tokens_in

SHORTEST = 4
"""Characters from which on a value may be found as a part of a text; a shorter one only as a whole word."""
SHORTEST_CODE = 8
"""Characters of a code with digits that may be found without what stands between its groups."""


class Heard:
    """A whole result, or what somebody said."""

    def __init__(self, source: str, labels: tuple[str, ...], trusted: bool, data: bytes, content_type: str) -> None:
        self.source, self.labels, self.trusted = source, labels, trusted
        self.size = len(data)
        self._data, self._content_type = data, content_type

    @cached_property
    def text(self) -> str:
        """All of its texts, in normal form."""
        return normal(heard_text(self._data, self._content_type))

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Its JSON objects, each as its whole fields."""
        return heard_records(self._data, self._content_type)

    @cached_property
    def _squeezed(self) -> str:
        return squeezed(self.text)

    @cached_property
    def _numbers(self) -> frozenset[str]:
        return numbers_in(self.text)

    @cached_property
    def _dates(self) -> frozenset[str]:
        return dates_in(self.text)

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(tokens_in(self.text))

    def says(self, forms: Iterable[str]) -> str:
        """The text around the value, where it stands here in one of these normal forms; empty where it does not."""
        for form in forms:
            at = self._find(form)
            if at >= 0:
                return self.text[max(0, at - 30) : at + len(form) + 30]
            code = squeezed(form)
            if len(code) >= SHORTEST_CODE and any(map(str.isdigit, code)) and code in self._squeezed:
                return form
            if (days := dates_in(form)) and len(tokens_in(form)) <= 6 and days <= self._dates:
                return form
        return ""

    def _find(self, form: str) -> int:
        """Where it stands, between borders of words."""
        if len(form) < SHORTEST and form not in self._words:
            return -1
        text, at = self.text, -1
        while (at := text.find(form, at + 1)) >= 0:
            before, after = text[at - 1 : at], text[at + len(form) : at + len(form) + 1]
            if not (form[0].isalnum() and before.isalnum()) and not (form[-1].isalnum() and after.isalnum()):
                return at
        return -1

    def counts(self, number: str) -> bool:
        """Whether the number stands here, in whatever form."""
        return number in self._numbers

    def knows(self, word: str) -> bool:
        """Whether the word stands here, whole."""
        return word in self._words
