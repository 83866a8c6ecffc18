"""What people would not notice in a text, marked where it stands: hidden characters, and letters of another script that
look like those around them (Unicode UTS 39, 5.1: mixed-script detection, in a simple form)."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from markupsafe import Markup, escape

from gateway.policy.visible import escaped, hidden

_ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "FULLWIDTH", "MATHEMATICAL"})
"""Scripts whose letters are taken for each other's; the first word of a letter's name tells its script."""
_TOKEN = re.compile(r"[^\W_]+")
_ADDRESS = re.compile(r"[^\s\"'<>()\[\]{},;]*[@./][^\s\"'<>()\[\]{},;]*")
"""Of an address all parts count together: ``раура.com`` is no word of two scripts, and yet misleads."""
_PLAIN = re.compile(r"[\t\n\x20-\x7e]*\Z")


class Suspects:
    """Counts what was marked, for whoever shows several texts."""

    def __init__(self) -> None:
        self.hidden = 0
        """Characters that people do not see."""
        self.mixed = 0
        """Words and addresses of several scripts."""

    def __bool__(self) -> bool:
        return bool(self.hidden or self.mixed)

    def mark(self, text: str) -> Markup:
        """The text, escaped for HTML, with marks around what is suspicious."""
        if _PLAIN.match(text):
            return escape(text)
        parts: list[str] = []
        end = 0
        for start, stop, scripts in _mixed(text):
            self.mixed += 1
            title = f"letters of {' and '.join(scripts)}, which look alike"
            inner = self._revealed(text[start:stop])
            parts.append(self._revealed(text[end:start]))
            parts.append(Markup('<mark class="mixed" title="{}">{}</mark>').format(title, inner))
            end = stop
        parts.append(self._revealed(text[end:]))
        return Markup("").join(parts)

    def _revealed(self, text: str) -> Markup:
        """The text with each run of hidden characters as marked escapes."""
        parts: list[str] = []
        run = ""
        for character in text:
            if hidden(character):
                self.hidden += 1
                run += escaped(character)
                continue
            if run:
                parts.append(_hid(run))
                run = ""
            parts.append(escape(character))
        if run:
            parts.append(_hid(run))
        return Markup("").join(parts)


def _hid(run: str) -> Markup:
    return Markup('<mark class="unseen" title="characters that people do not see">{}</mark>').format(run)


def _mixed(text: str) -> list[tuple[int, int, list[str]]]:
    """Where words or addresses of several scripts stand."""
    found: list[tuple[int, int, list[str]]] = []
    for pattern in (_ADDRESS, _TOKEN):
        for match in pattern.finditer(text):
            scripts = sorted({_script(character) for character in match[0]} & _ALIKE)
            if len(scripts) > 1 and not any(start < match.end() and match.start() < stop for start, stop, _ in found):
                found.append((match.start(), match.end(), [script.capitalize() for script in scripts]))
    return sorted(found)


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    if not character.isalpha():
        return ""
    return unicodedata.name(character, "").partition(" ")[0]
