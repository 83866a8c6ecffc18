"""Texts that are written so that people do not read them: in base64, hex, percent or escapes, turned by 13 letters,
backwards. Decoding is bounded, and done only where it may give a text."""

from __future__ import annotations

import binascii
import codecs
import html
import re
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Iterator
from urllib.parse import unquote

import re2

from gateway.detect.patterns import options

LONGEST = 16_384
"""Characters around a word of a text that is turned or written backwards, which are turned back."""
_AROUND = LONGEST // 2
_TURNED = re2.compile(rb"(?i)\b(?:vtaber|qvfertneq|sbetrg|vafgehpgvbaf?|cebzcg|nffvfgnag)\b", options())
"""Some words of injections (ignore, disregard, forget, instructions, prompt, assistant), each letter 13 further on."""
_BACKWARDS = re2.compile(rb"(?i)\b(?:snoitcurtsni|erongi|draegrsid|tpmorp|tnatsissa)\b", options())
_SEPARATORS = re.compile(r"\\x|0x|[ :,]")
_AGAIN = re.compile(r"[A-Za-z0-9+/_=-]{24,}")
"""Encoded once more."""
_PRINTED = 0.9


def decoded(text: str) -> Iterator[tuple[str, int, str]]:
    """Of each coding: its name, its first place (about), and all that is written in it, piece by piece on lines."""
    data = text.encode("utf-8", "replace")
    for coding, pattern, decode in _CODINGS:
        place, pieces = -1, []
        for found in pattern.finditer(data):
            plain = decode(found[0].decode("ascii", "replace"))
            if plain and _is_text(plain):
                place = found.start() if place < 0 else place
                pieces.append(plain)
        if pieces:
            yield coding, place, "\n".join(pieces)
    if found := _TURNED.search(data):
        yield "rot13", found.start(), codecs.encode(_around(data, found.start()), "rot13")
    if found := _BACKWARDS.search(data):
        yield "backwards", found.start(), _around(data, found.start())[::-1]


def _around(data: bytes, place: int) -> str:
    return data[max(0, place - _AROUND) : place + _AROUND].decode("utf-8", "replace")


def _from_base64(text: str) -> str:
    bare = text[: len(text) - (len(text) % 4 == 1)]
    padded = bare + "=" * (-len(bare) % 4)
    try:
        raw = urlsafe_b64decode(padded) if "-" in bare or "_" in bare else b64decode(padded)
    except (binascii.Error, ValueError):
        return ""
    return _utf8(raw)


def _from_hex(text: str) -> str:
    digits = _SEPARATORS.sub("", text)
    return _utf8(bytes.fromhex(digits[: len(digits) // 2 * 2]))


def _from_escapes(text: str) -> str:
    return "".join(chr(int(text[at + 2 : at + 6], 16)) for at in range(0, len(text) - 5, 6))


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # Where a run was cut, its last character may be.
        return raw[: error.start].decode("utf-8") if error.start > len(raw) - 4 and error.start > 16 else ""


_CODINGS = tuple(
    [
        (coding, re2.compile(pattern.encode(), options()), decode)
        for coding, pattern, decode in (
            ("base64", r"[A-Za-z0-9+/_-]{24,}", _from_base64),
            ("hex", r"(?:[0-9a-fA-F]{2}(?:[ :,]|\\x|0x)?){16,}", _from_hex),
            ("percent", r"[\w.+-]*(?:%[0-9A-Fa-f]{2}[\w.+-]*){2,}", unquote),
            ("escapes", r"(?:\\u[0-9a-fA-F]{4}){6,}", _from_escapes),
            ("entities", r"(?:&#(?:x[0-9a-fA-F]{1,6}|[0-9]{1,7});\s?){6,}", html.unescape),
        )
    ]
)


def _is_text(text: str) -> bool:
    """Whether it reads as a text with words, and not as bytes that happen to be one."""
    if len(text) < 8 or (" " not in text.strip() and not _AGAIN.fullmatch(text)):
        return False
    return sum(letter.isprintable() or letter in "\n\t\r" for letter in text) >= _PRINTED * len(text)
