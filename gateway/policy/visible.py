"""Text of strangers made visible: what a terminal, an editor or a review would hide is written as its escape.

Descriptions of tools are read by models, who also see characters that people do not: zero-width ones, the Unicode tags,
variation selectors, marks that turn the direction of writing, escape sequences of terminals.
"""

from __future__ import annotations

import re
import unicodedata

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_KEPT = frozenset("\n\t")
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and symbols without a shape: Hangul fillers, the empty Braille pattern."""
_SUSPECT = re.compile(r"[^\t\n\x20-\x7e]")


def hidden(character: str) -> bool:
    """Whether people do not see this character, or cannot tell it from a space."""
    category = unicodedata.category(character)
    if category == "Zs":
        return character != " "
    if category in _HIDDEN_CATEGORIES:
        return character not in _KEPT
    return character in _BLANK or _is_selector(ord(character))


def _is_selector(code: int) -> bool:
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or 0x180B <= code <= 0x180F


def visible(text: str) -> str:
    r"""The text with hidden characters as ``\u200b``; beyond U+FFFF as two, as JSON writes them."""
    return _SUSPECT.sub(lambda found: escaped(found[0]) if hidden(found[0]) else found[0], text)


def escaped(character: str) -> str:
    """A character as JSON's escape."""
    code = ord(character)
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"


def count_hidden(text: str) -> int:
    """How many hidden characters the text has."""
    return sum(map(hidden, _SUSPECT.findall(text)))
