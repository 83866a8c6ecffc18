"""The forms in which a credential that the gateway holds may come back: as it is, without its scheme, encoded."""

from __future__ import annotations

import html
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import orjson

LEAST = 6
"""Characters of a secret: anything shorter is found in texts that have nothing to do with it."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9_-]*) +(\S.*)")
_PAIR = re.compile(r"[^\s=,;]+=\"?([^\s,;\"]+)\"?")
_HEX = re.compile(r"%[0-9A-F]{2}")


def secrets_of(value: str) -> list[str]:
    """What is secret in a field's value: all of it, what follows a scheme (``Bearer``), the two parts that Basic
    encodes together and the password of these, the values of ``name=value`` pairs. The longest first."""
    found = [value]
    if scheme := _SCHEME.fullmatch(value):
        found.append(scheme[2])
        if scheme[1].lower() == "basic":
            found += _basic(scheme[2])
    found += _PAIR.findall(value)
    return sorted({text for text in found if len(text) >= LEAST}, key=len, reverse=True)


def _basic(encoded: str) -> list[str]:
    try:
        both = b64decode(encoded, validate=True).decode()
    except ValueError:
        return []
    return [both, both.partition(":")[2]]


def _written(signs: str, form: str) -> dict[int, str]:
    return {ord(sign): form.format(ord(sign)) for sign in signs}


_IN_JSON: tuple[dict[int, str], ...] = (
    {},
    {ord("/"): "\\/"},  # PHP
    _written("&<>", "\\u{:04x}"),  # Go
    _written("&<>='", "\\u{:04x}"),  # Gson
    _written("&<>+'`", "\\u{:04X}"),  # .NET
)
_IN_HTML: tuple[dict[int, str], ...] = ({}, _written("+", "&#{};"), _written("/=`", "&#x{:X};"))
"""Go's templates, Handlebars."""


def forms_of(secret: str) -> set[bytes]:
    """How a secret may be written: as it is, percent-encoded once or twice, in base64 (also within a longer text, at
    any offset), in hex, and as JSON, HTML and Python write it within quotes, by the habits of common libraries."""
    raw = secret.encode()
    forms = {raw, b64encode(raw), urlsafe_b64encode(raw), raw.hex().encode(), raw.hex().upper().encode()}
    forms |= {form.encode() for form in _percent(secret)}
    forms |= {repr(secret)[1:-1].encode()}
    forms |= {html.escape(secret).translate(signs).encode() for signs in _IN_HTML}
    inside = orjson.dumps(secret)[1:-1].decode()
    for written in {inside.translate(signs) for signs in _IN_JSON}:
        forms |= {written.encode(), orjson.dumps(written)[1:-1]}
    for offset in range(3):
        forms |= set(_base64(raw, offset))
    return {form for form in forms if len(form) >= LEAST}


def _percent(secret: str) -> Iterator[str]:
    for encoded in (quote(secret, safe=""), quote(secret), quote_plus(secret), quote(secret, safe="!'()*-._~")):
        for once in {encoded, _HEX.sub(lambda escape: escape[0].lower(), encoded)}:
            yield once
            yield once.replace("%", "%25")


def _base64(raw: bytes, offset: int) -> Iterator[bytes]:
    """What base64 makes of it after ``offset`` other bytes: the letters that hold nothing but bits of it."""
    first = (offset * 8 + 5) // 6
    end = (offset + len(raw)) * 8 // 6
    padded = bytes(offset) + raw
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(padded)[first:end]
