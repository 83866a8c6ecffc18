"""What people do not see in a text, and models read: tags, marks of direction, selectors, escapes, letters that only
look like those around them.

Sources: Unicode 16 chapters 23.2 (layout controls), 23.4 (variation selectors), 23.9 (tags); UTS 39 5.1 (mixed
scripts); ECMA-48 (escape sequences).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from gateway.detect.finding import Finding, listed, snippet
from gateway.detect.texts import texts_of

PLAIN = re.compile(r"[\t\n\r\x20-\x7e]*\Z")
"""Texts that hold nothing of all this."""

TAGS = re.compile("[\U000e0000-\U000e007f]+")
FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f")
"""The flags of Scotland and its like are written in tags."""
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
ZERO_WIDTH = re.compile("[\u200b\u2060-\u2064\ufeff\u00ad\u180e\u115f\u1160\u3164\uffa0]")
JOINERS = re.compile("(?<=[!-~])[\u200c\u200d]+(?=[!-~])")
"""Between letters of ASCII they join nothing; in Persian, Indic scripts and emoji they do."""
SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
"""One selects a form of the character before it; bytes can be hidden in many."""
ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)?|\x1b[ -~]"
)
_COLOUR = re.compile(r"(?:\x1b\[|\x9b)(?!8m|[0-9;]*;8m)[0-9;]*m")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]")
_MOST_ESCAPES = 4096
_WORD = re.compile(r"[^\W\d_]{3,64}")

_ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"})
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһӏвкмнтАВЕКМНОРСТУХІЈЅαενορτυικΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijsdhlbkmhtABEKMHOPCTYXIJSaevoptuikABEZHIKMNOPTYX",
)
"""Letters of Cyrillic and Greek by those of Latin that they are taken for (UTS 39, confusables)."""

SCORES = {
    "tags": 0.95,
    "selectors": 0.8,
    "bidi": 0.6,
    "zero-width": 0.5,
    "joiners": 0.4,
    "escapes": 0.6,
    "colours": 0.1,
    "control": 0.3,
    "lookalikes": 0.5,
}
"""How seldom each is meant well. Colours are what programs print for terminals; a byte order mark
counts for nothing."""


def invisible(value: Any) -> list[dict[str, Any]]:
    """Characters in a value's texts that people do not see or cannot tell from others; ``kind`` is one of SCORES.

    The evidence of tags is what they spell.

    Raises:
        TooMuchError: the value is larger than what is looked through.
    """
    return listed(
        Finding(kind, SCORES[kind], evidence, path)
        for path, text in texts_of(value)
        for kind, _, evidence in unseen_in(text)
    )


def unseen_in(text: str) -> Iterator[tuple[str, int, str]]:
    """Kind, place and evidence of the first of each kind in a text."""
    if PLAIN.match(text):
        return
    flagless = FLAG.sub(lambda flag: " " * len(flag[0]), text) if "\U0001f3f4" in text else text
    if tags := TAGS.search(flagless):
        yield "tags", tags.start(), untagged(flagless)[:96]
    for kind, pattern in (("bidi", BIDI), ("selectors", SELECTORS), ("joiners", JOINERS), ("control", CONTROL)):
        if found := pattern.search(text):
            yield kind, found.start(), _names(found[0])
    if found := ZERO_WIDTH.search(text, 1 if text.startswith("\ufeff") else 0):
        yield "zero-width", found.start(), _names(found[0])
    if "\x1b" in text or "\x9b" in text:
        for kind, found in _escapes(text):
            yield kind, found.start(), found[0].replace("\x1b", "ESC")[:32]
    for found in _WORD.finditer(text):
        if not found[0].isascii() and len(scripts_of(found[0]) & _ALIKE) > 1:
            yield "lookalikes", found.start(), snippet(text, found.start(), found.end())
            return


def _escapes(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    told = set()
    for found in islice(ANSI.finditer(text), _MOST_ESCAPES):
        kind = "colours" if _COLOUR.fullmatch(found[0]) else "escapes"
        if kind not in told:
            told.add(kind)
            yield kind, found
        if len(told) > 1:
            return


def untagged(text: str) -> str:
    """What the tags in a text spell in ASCII."""
    return "".join(chr(ord(tag) - 0xE0000) for tag in text if 0xE0020 <= ord(tag) <= 0xE007E)


def unselected(text: str) -> str:
    """What runs of variation selectors in a text spell: each stands for a byte (16 below U+FE10, 240 from U+E0100)."""
    data = bytes(
        ord(one) - 0xFE00 if ord(one) < 0xE0100 else ord(one) - 0xE0100 + 16
        for run in SELECTORS.findall(text)
        for one in run
    )
    return data.decode("utf-8", "replace")


def folded(text: str) -> str:
    """The text as a person reads it: without what is not seen, lookalikes and styled letters as the plain ones."""
    if PLAIN.match(text):
        return text
    for pattern in (ANSI, TAGS, BIDI, ZERO_WIDTH, SELECTORS, JOINERS, CONTROL):
        text = pattern.sub("", text)
    text = unicodedata.normalize("NFKC", text)
    return _WORD.sub(_unmixed, text)


def _unmixed(word: re.Match[str]) -> str:
    mixed = not word[0].isascii() and len(scripts_of(word[0]) & _ALIKE) > 1
    return word[0].translate(_LOOKALIKES) if mixed else word[0]


@lru_cache(maxsize=4096)
def scripts_of(word: str) -> frozenset[str]:
    """The scripts of a word's letters, by the first words of their names."""
    return frozenset(unicodedata.name(letter, "").partition(" ")[0] for letter in word)


def _names(text: str) -> str:
    return " ".join(f"U+{ord(letter):04X}" for letter in text[:6]) + (" ..." if len(text) > 6 else "")
