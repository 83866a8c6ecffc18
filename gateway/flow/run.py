"""What one run was told so far, and where a value in it comes from. Implements ``ports.Flow``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct

from gateway.flow.forms import contacts_in, dates_in, normal, number, tokens_in, variants
from gateway.flow.heard import Heard
from gateway.model import Call, FlowLabels

MOST_BYTES = 512 * 1024
"""Of what tools told; the oldest is forgotten first."""
MOST_WORDS = 256 * 1024
"""Bytes of what people said, which tools cannot push out."""
MOST_VALUES = 256
"""Values in one argument that are looked at; more are as if nothing had told them."""
SHORTEST_NAME = 5
"""Characters of a field by which somebody may name a record."""
LONGEST_PIECES = 256
"""Characters of a text that may be put together of what others told."""
PEOPLE = frozenset({"user", "system", "operator", "person"})
TRUSTED, UNTRUSTED = "trusted", "untrusted"


class Origin(Struct, frozen=True):
    """Where one value comes from."""

    sources: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    trusted: bool = False
    linked: bool = False
    """It is a whole field of a record that somebody trusted named by another of its fields."""
    verbatim: bool = False
    """It stands in what was heard as it is."""
    why: str = ""
    """What stands around it, where it was found first."""


class RunFlow:
    """The flow of one run. ``trusts`` says of a tool's results whether they count as trusted."""

    def __init__(self, labels: Callable[[Call], FlowLabels], trusts: Callable[[str], bool]) -> None:
        self._labels, self._trusts = labels, trusts
        self.labels: tuple[str, ...] = ()
        """Of all that its tools answered so far, also what has been forgotten."""
        self._words: list[Heard] = []
        self._results: list[Heard] = []
        self._size = self._words_size = 0

    @property
    def size(self) -> int:
        """Bytes that are remembered."""
        return self._size + self._words_size

    def hear(self, source: str, labels: Sequence[str], data: bytes, content_type: str) -> None:
        """A whole result, or what somebody said."""
        if source in PEOPLE:
            self._say(Heard(source, (), True, data[:MOST_WORDS], content_type))
            return
        trusted = UNTRUSTED not in labels and (TRUSTED in labels or self._trusts(source))
        heard = Heard(source, tuple(labels), trusted, data[:MOST_BYTES], content_type)
        self._results.append(heard)
        self._size += heard.size
        while self._size > MOST_BYTES:
            self._size -= self._results.pop(0).size

    def _say(self, heard: Heard) -> None:
        if self._words_size + heard.size <= MOST_WORDS and not any(
            one.size == heard.size and one.source == heard.source and one.text == heard.text for one in self._words
        ):
            self._words.append(heard)
            self._words_size += heard.size

    def mark(self, labels: Sequence[str]) -> None:
        """A tool is answering what has these labels."""
        if not set(labels) <= set(self.labels):
            self.labels = tuple(sorted({*self.labels, *labels}))

    def endorse(self, value: Any) -> None:
        """A person has vouched for the value."""
        self.hear("person", (), orjson.dumps(value, default=str), "application/json")

    def origin(self, value: Any) -> Mapping[str, Any]:
        """See ports.Flow; ``why`` is a piece of what told it."""
        found = self._origin(value)
        return {
            "sources": list(found.sources),
            "labels": list(found.labels),
            "trusted": found.trusted,
            "seen": bool(found.sources),
            "linked": found.linked,
            "verbatim": found.verbatim,
            "why": found.why,
        }

    def unproven(self, call: Call) -> Sequence[str]:
        """The call's directing arguments that are there and that nothing trusted told."""
        return [
            path
            for path in self._labels(call).directs
            for values in [list(_at(call.args, path.split(".")[1:]))]
            if values and not self._origin(values).linked
        ]

    def _origin(self, value: Any) -> Origin:
        scalars = list(_scalars(value))
        if len(scalars) > MOST_VALUES:
            return Origin()
        found = [self._of(scalar) for scalar in scalars]
        if not found:
            return Origin(trusted=True, linked=True)
        return Origin(
            tuple(dict.fromkeys([source for one in found for source in one.sources])),
            tuple(sorted({label for one in found for label in one.labels})),
            all(one.trusted for one in found),
            all(one.trusted or one.linked for one in found),
            all(one.verbatim for one in found),
            next((one.why for one in found if one.why), ""),
        )

    def _of(self, value: Any) -> Origin:
        if isinstance(value, bool):
            return Origin(trusted=True, linked=True)
        forms = variants(value) if isinstance(value, str) else ()
        figure = number(value)
        sources: dict[str, None] = {}
        labels: set[str] = set()
        trusted, why = False, ""
        for heard in (*self._words, *self._results):
            said = heard.says(forms) or ((figure and heard.counts(figure) and figure) or "")
            if said:
                sources[heard.source] = None
                labels.update(heard.labels)
                trusted, why = trusted or heard.trusted, why or said
        if not sources and isinstance(value, str):
            return self._of_pieces(value)
        exact = normal(value) if isinstance(value, str) else figure
        verbatim = any(heard.says((exact,)) for heard in (*self._words, *self._results)) if exact else False
        linked = trusted or bool(exact and self._named({exact, figure or exact}))
        return Origin(tuple(sources), tuple(sorted(labels)), trusted, linked, verbatim, why)

    def _named(self, forms: set[str]) -> str:
        """The field by which people named a record that has one of these as a whole field; empty for none."""
        for heard in self._results:
            for record in heard.records:
                if record.isdisjoint(forms):
                    continue
                for field in record - forms:
                    if _telling(field) and any(words.says((field,)) for words in self._words):
                        return field
        return ""

    def planted(self, call: Call) -> Sequence[str]:
        """What in the call's arguments leads elsewhere (URLs, addresses, accounts), also inside free text, and only
        what is not trusted told."""
        found = dict.fromkeys(
            [one for text in _scalars(call.args) if isinstance(text, str) for one in contacts_in(text)]
        )
        return [one for one in list(found)[:MOST_VALUES] if self._only_untrusted(one)]

    def _only_untrusted(self, value: str) -> bool:
        origin = self._of(value)
        return bool(origin.sources) and not origin.linked and not dates_in(normal(value))

    def _of_pieces(self, value: str) -> Origin:
        """Of a text that nobody told as a whole: trusted where each of its words was told by somebody trusted."""
        text = normal(value)
        words = tokens_in(text)
        if not words or len(text) > LONGEST_PIECES or "@" in text or "://" in text:
            return Origin()
        sources: dict[str, None] = {}
        for word in dict.fromkeys(words):
            told = [heard.source for heard in (*self._words, *self._results) if heard.trusted and heard.knows(word)]
            if not told:
                return Origin()
            sources.update(dict.fromkeys(told))
        return Origin(tuple(sources), (), True, True, False, "pieces")


def _telling(field: str) -> bool:
    """Whether a field tells its record from others: no short word, number or day."""
    return len(field) >= SHORTEST_NAME and not number(field) and not dates_in(field)


def _scalars(value: Any) -> Iterator[Any]:
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, Mapping):
            left += reversed(list(item.values()))
        elif isinstance(item, list | tuple):
            left += reversed(item)
        elif item is not None and item != "":
            yield item


def _at(value: Any, names: Sequence[str]) -> Iterator[Any]:
    """What stands at this path; ``*`` is each of a list or map."""
    if not names:
        if value is not None:
            yield value
        return
    name, rest = names[0], names[1:]
    if name == "*":
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        for one in inner:
            yield from _at(one, rest)
    elif isinstance(value, Mapping) and name in value:
        yield from _at(value[name], rest)
