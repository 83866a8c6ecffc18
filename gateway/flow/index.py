"""What was heard, in the forms in which values are looked for: a few long strings, searched by ``bytes.find``.

Each form is made where a value of its kind is asked about first (0.1 to 0.3 ms for each KB); a search takes 0.3 ms for
a MB. Nothing here grows beyond a small multiple of what was heard, whatever that was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from gateway.flow.bodies import BETWEEN, WITHIN, records_in
from gateway.flow.forms import (
    address,
    addresses_in,
    days_in,
    hidden_in,
    host_of,
    hours_in,
    normal,
    numbers_in,
    phones_in,
    place,
    tokens,
    yearless_in,
)
from gateway.flow.looks import Look
from gateway.flow.whole import lead_of, wholes_in

AROUND = 30
"""Characters of evidence on either side."""
MOST_LEADING = 32
"""Records with one address that are looked at."""
_MOST_TRIES, _MOST_BEGINNINGS = 256, 32
_BORDERS = str.maketrans("\n\x1d", "  ")
"""What separates lines and records here, and may stand in what strangers write."""
_GLUED = re.compile(r"([^/@]+\.[a-z]{2,})\.[A-Z][a-z]+")
"""A host, and behind its full stop the first word of another sentence."""
_CONTINUES = frozenset("._-@/%+&=?#:~")
"""Signs by which an address goes on."""


class _form:  # noqa: N801 - used as a decorator
    """As ``cached_property``; the index is told how much it grows by the form."""

    def __init__(self, make: Callable[[Any], bytes]) -> None:
        self._make, self._name = make, make.__name__
        self.__doc__ = make.__doc__

    def __get__(self, index: Index, owner: type) -> bytes:
        made = index.__dict__[self._name] = self._make(index)
        index.grow(len(made))
        return made


class Index:
    """One result, or what somebody said."""

    def __init__(self, text: str, unread: Sequence[bytes] = (), grew: Callable[[int], object] = lambda _: None) -> None:
        """``unread`` is JSON with its records; ``grew`` is told of the bytes that are made of all this from now on."""
        hidden = list(hidden_in(text))
        if hidden:
            text = BETWEEN.join([text, *hidden])
        self._text = text.encode("utf-8", "surrogatepass")
        self._unread = unread
        self.size = len(self._text) + sum(map(len, unread))
        """Bytes."""
        self._grew = grew

    def grow(self, count: int) -> None:
        """It has so many bytes more."""
        self.size += count
        self._grew(count)

    def _whole(self) -> str:
        return self._text.decode("utf-8", "surrogatepass")

    @_form
    def _normal(self) -> bytes:
        """Its normal text, until its words are told apart: that takes longer, and most values are not in it at all."""
        text = self._whole()
        return normal(text)[: 2 * len(text)].encode("utf-8", "surrogatepass")  # one sign may stand for many

    def _flat(self) -> str:
        return self._normal.decode("utf-8", "surrogatepass")

    @_form
    def tokens(self) -> bytes:
        """Its words and signs, each between blanks."""
        made = tokens(self._flat())
        self.grow(-len(self.__dict__.pop("_normal")))
        return made

    def _says(self, needle: bytes) -> bool:
        if "tokens" not in self.__dict__ and not _may_begin(max(needle.split(), key=len, default=b""), self._normal):
            return False
        return needle in self.tokens

    @_form
    def words(self) -> bytes:
        """Its words alone, each between blanks."""
        told = b" ".join([token for token in self.tokens.split() if token[0] >= 0x80 or token.isalnum()])
        return b" " + told + b" "

    @_form
    def _figures(self) -> bytes:
        return _lines(numbers_in(self._flat()))

    @_form
    def _moments(self) -> bytes:
        flat = self._flat()
        return _lines([*days_in(flat), *yearless_in(flat), *hours_in(flat)])

    @_form
    def _phones(self) -> bytes:
        return _lines(phones_in(self._flat()))

    @_form
    def _exact(self) -> bytes:
        return _lines(addresses_in(self._whole()))

    @_form
    def _addresses(self) -> bytes:
        found = self._exact.decode("utf-8", "surrogatepass").split("\n")
        return _lines([form for each in found if each for form in _places(each)])

    @_form
    def _wholes(self) -> bytes:
        return _lines(wholes_in(self._whole()))

    @cached_property
    def _records(self) -> tuple[bytes, bytes]:
        """All of them; and, with the addresses in their texts, those that have some."""
        records = records_in(self._unread)
        plain = [tuple([field for field in record if field[:1] != WITHIN]) for record in records]
        leading = [record for record, fields in zip(records, plain, strict=True) if len(fields) < len(record)]
        made = tuple([b"".join([b"\x1d" + _lines(record) for record in some]) for some in (plain, leading)])
        self.grow(len(made[0]) + len(made[1]) - sum(map(len, self._unread)))
        self._unread = ()
        return made[0], made[1]

    def tells(self, look: Look) -> bool:
        """Whether the value stands here, in one of its forms."""
        for line in look.addresses:
            if line in self._addresses:
                return True
        for line in look.figures:
            if line in self._figures:
                return True
        for line in look.phones:
            if line in self._phones:
                return True
        for needle in look.needles:
            if self._says(needle):
                return True
        return bool(look.moments) and all(map(self._dated, look.moments))

    def _dated(self, moment: bytes) -> bool:
        """A time of day, or a day: of which whoever spoke of it may have left out the year."""
        return moment in self._moments or (moment.count(b"-") == 2 and b"\n-" + moment[5:] in self._moments)

    def verbatim(self, value: str, *, whole: bool) -> bool:
        """Whether the value stands here exactly as it is; an address (``whole``) not as a part of a longer one."""
        text, needle, at = self._text, value.encode("utf-8", "surrogatepass"), -1
        if whole and _line(value) in self._exact:
            return True
        for _ in range(_MOST_TRIES):
            at = text.find(needle, at + 1)
            if at < 0:
                return False
            before = text[max(0, at - 4) : at].decode("utf-8", "ignore")[-1:]
            after = text[at + len(needle) : at + len(needle) + 4].decode("utf-8", "ignore")[:1]
            if _apart(before, whole=whole) and _apart(after, whole=whole):
                return True
        return False

    def around(self, look: Look) -> str:
        """Some of the text around the value, as it came."""
        needle = look.value.encode("utf-8", "surrogatepass")
        at = self._text.find(needle)
        if at < 0:
            at = self._text.lower().find(needle.lower())
        if at >= 0:
            return _shown(self._text[max(0, at - AROUND) : at + len(needle) + AROUND])
        for form in look.needles:
            if (at := self.tokens.find(form)) >= 0:
                return _shown(self.tokens[max(0, at - AROUND) : at + len(form) + AROUND])
        return look.value[: 2 * AROUND]

    def records_with(self, fields: Iterable[str], most: int) -> list[tuple[str, ...]]:
        """The records that have one of these as a whole field; not more than ``most``."""
        return _found(self._records[0], [_line(field) for field in fields], most)

    def records_leading(self, look: Look) -> list[tuple[str, ...]]:
        """The records in a text of which this address stands."""
        if not look.leads:
            return []
        within = [b"\n" + WITHIN.encode() + line[1:] for line in look.addresses]
        return _found(self._records[1], within, MOST_LEADING)

    def wholly(self, look: Look) -> bool:
        """Whether it is a whole field of the answer, or not of the kind that must be."""
        lead = lead_of(look.value)
        return not lead or _line(lead) in self._wholes

    def fielded(self, field: str) -> int:
        """How many times something is a whole field of a record."""
        return self._records[0].count(_line(field))


def _may_begin(word: bytes, text: bytes) -> bool:
    """Whether a word of the text may begin so; of what is not ASCII, and of what stands there often, nobody looks."""
    at = -1
    for _ in range(_MOST_BEGINNINGS):
        at = text.find(word, at + 1)
        if at < 0:
            return False
        if not (at and text[at - 1 : at].isalnum()):
            return True
    return True


def _found(records: bytes, lines: Sequence[bytes], most: int) -> list[tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for line in lines:
        at = -1
        while len(found) < most and (at := records.find(line, at + 1)) >= 0:
            start, end = records.rfind(b"\x1d", 0, at), records.find(b"\x1d", at)
            record = records[start + 1 : end if end >= 0 else None]
            found[start] = tuple(record.decode("utf-8", "surrogatepass").strip("\n").split("\n"))
    return list(found.values())


def _places(found: str) -> list[str]:
    """The forms of an address that was found: itself, its host, and the file at its end."""
    form = address(found) or place(found)
    if glued := _GLUED.fullmatch(found):
        return [form, place(glued[1])]
    if "@" in form and "/" not in form:
        return [form, form.rpartition("@")[2]]
    last = form.rpartition("/")[2]
    return [form, host_of(form), *([last] if last != form and "." in last else [])]


def _lines(found: Iterable[str]) -> bytes:
    unique = [each.translate(_BORDERS) for each in dict.fromkeys(found) if each]
    return ("\n" + "\n".join(unique) + "\n").encode("utf-8", "surrogatepass")


def _line(value: str) -> bytes:
    return f"\n{value.translate(_BORDERS)}\n".encode("utf-8", "surrogatepass")


def _apart(sign: str, *, whole: bool) -> bool:
    return not sign.isalnum() and not (whole and sign in _CONTINUES and sign != "")


def _shown(piece: bytes) -> str:
    return " ".join(piece.decode("utf-8", "ignore").replace("\x1e", " ").split())
