"""One form for what is written in many: texts, numbers, dates, and what hides in encodings."""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import orjson

BETWEEN = "\n\x1e\n"
"""Stands between two texts of one result, so that nothing is found across them."""
_BLANKS = re.compile(r"\s+")
_APART = re.compile(r"[\s.\-–/()_:]+")
_NUMBER = re.compile(r"(?<![\w.,])[-+]?\d{1,3}(?:[,' ]\d{3})+(?:\.\d+)?(?!\d)|[-+]?\d+(?:\.\d+)?")
_TOKEN = re.compile(r"[^\W_]+")
_NAMES = "janfebmaraprmayjunjulaugsepoctnovdec"
_MONTHS = {name: at // 3 + 1 for at in range(0, 36, 3) for name in [_NAMES[at : at + 3]]}
_DATES = (
    re.compile(r"\b(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})\b"),
    re.compile(r"\b(?P<d>\d{1,2})[./](?P<m>\d{1,2})[./](?P<y>\d{4})\b"),
    re.compile(r"\b(?P<d>\d{1,2})(?:st|nd|rd|th)?(?: of)? (?P<n>[a-z]{3})[a-z]*\.?,? (?P<y>\d{4})\b"),
    re.compile(r"\b(?P<n>[a-z]{3})[a-z]*\.? (?P<d>\d{1,2})(?:st|nd|rd|th)?,? (?P<y>\d{4})\b"),
)
_MOST_TEXTS = 20_000
LONGEST_FIELD = 200
"""Characters of a whole field: what is longer is free text, in which anything may stand."""
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")


def texts_of(value: Any) -> Iterator[str]:
    """Every text, number and name of a member in a JSON value, as text; not deeper than JSON goes in practice."""
    left = [value]
    for _ in range(_MOST_TEXTS):
        if not left:
            return
        item = left.pop()
        if isinstance(item, str):
            yield item
            if item[:1] in "{[" and len(item) > 2 and (inner := _json(item)) is not None:
                left.append(inner)
        elif isinstance(item, bool) or item is None:
            continue
        elif isinstance(item, int | float):
            yield str(item)
        elif isinstance(item, dict):
            left += reversed(item.values())
            left += reversed(list(item))
        elif isinstance(item, list | tuple):
            left += reversed(item)


Record = frozenset[str]
"""The whole fields of one JSON object, in normal form: texts and numbers, and those of lists in it."""


def records_of(value: Any) -> Iterator[Record]:
    """Every JSON object in a value, as its fields. What stands inside a text is no field of its own."""
    left = [value]
    for _ in range(_MOST_TEXTS):
        if not left:
            return
        item = left.pop()
        if isinstance(item, dict):
            yield frozenset(_fields(item))
            left += item.values()
        elif isinstance(item, list | tuple):
            left += item
        elif isinstance(item, str) and item[:1] in "{[" and len(item) > 2:
            left.append(_json(item))


def _fields(record: dict[str, Any]) -> Iterator[str]:
    for inner in record.values():
        for item in inner if isinstance(inner, list | tuple) else (inner,):
            if isinstance(item, str) and len(item) <= LONGEST_FIELD:
                yield normal(item)
            elif isinstance(item, int | float) and not isinstance(item, bool):
                yield number(item)


_CONTACTS = re.compile(
    r"""(?:https?://|www\.)[^\s<>"')\]]+            # URLs
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                # mail addresses
    | \b[A-Za-z]{2}\d{2}(?:[ ]?[A-Za-z0-9]{4}){3,7}[ ]?[A-Za-z0-9]{0,4}\b   # IBANs
    | (?<!\w)\+?\d(?:[\s().-]?\d){7,14}(?!\w)     # telephone numbers
    | \b(?:0x[0-9a-fA-F]{40}|bc1[0-9a-z]{25,60}|[13][1-9A-HJ-NP-Za-km-z]{25,34})\b""",
    re.VERBOSE,
)


def contacts_in(text: str) -> list[str]:
    """What in a free text leads elsewhere: URLs, addresses, accounts, telephone numbers."""
    return [found.rstrip(".,;:!?") for found in _CONTACTS.findall(text)]


def _json(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        return None


def heard_records(data: bytes, content_type: str) -> tuple[Record, ...]:
    """The records of an answer's body, where it is JSON, or events of JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    bodies = [data]
    if kind == "text/event-stream":
        bodies = [line[5:].strip() for line in data.split(b"\n") if line.startswith(b"data:")]
    return tuple([record for body in bodies for record in records_of(_json(body))])


def heard_text(data: bytes, content_type: str) -> str:
    """The texts of an answer's body, one after the other."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        lines = [line[5:].strip() for line in data.split(b"\n") if line.startswith(b"data:")]
        return BETWEEN.join([_body(line) for line in lines])
    return _body(data)


def _body(data: bytes) -> str:
    if data.lstrip()[:1] in (b"{", b"[", b'"') and (value := _json(data)) is not None:
        return BETWEEN.join(texts_of(value))
    return data.decode("utf-8", "replace")


def normal(text: str) -> str:
    """Without differences of case, width, entities and blanks."""
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _BLANKS.sub(" ", text.casefold()).strip()


def squeezed(text: str) -> str:
    """Without what stands between the groups of a long number or code (IBAN, card, telephone)."""
    return _APART.sub("", text)


def variants(value: str) -> tuple[str, ...]:
    """The normal forms in which a value may stand in what was heard: as it is, decoded, and without its wrapping."""
    forms = {normal(value): None}
    if "%" in value:
        forms[normal(unquote(value))] = None
    stripped = normal(value).removeprefix("mailto:").removeprefix("https://").removeprefix("http://").rstrip("/.,;")
    forms[stripped] = None
    if decoded := _decoded(value):
        forms[normal(decoded)] = None
    forms.pop("", None)
    return tuple(forms)


def _decoded(value: str) -> str:
    """What base64 or hex hides, where it is text."""
    if not _ENCODED.fullmatch(value):
        return ""
    padded = value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4)
    for decode in (bytes.fromhex, lambda text: base64.b64decode(text, validate=True)):
        try:
            text = decode(value if decode is bytes.fromhex else padded).decode("utf-8")
        except (ValueError, binascii.Error):
            continue
        if text.isprintable():
            return text
    return ""


def number(value: Any) -> str:
    """A number in one form; empty where it is none."""
    text = str(value).strip().lstrip("+$€£").replace(",", "").replace("'", "")
    try:
        found = float(text)
    except ValueError:
        return ""
    if found != found or found in (float("inf"), float("-inf")):
        return ""
    return str(int(found)) if found == int(found) and abs(found) < 1e15 else repr(found)


def numbers_in(text: str) -> frozenset[str]:
    """The numbers of a text, each in one form."""
    return frozenset(filter(None, [number(found.replace(" ", "")) for found in _NUMBER.findall(text)]))


def dates_in(text: str) -> frozenset[str]:
    """The days that a (normal) text names, as YYYY-MM-DD."""
    found = set()
    for pattern in _DATES:
        for match in pattern.finditer(text):
            groups = match.groupdict()
            month = int(groups["m"]) if groups.get("m") else _MONTHS.get(groups["n"], 0)
            if 1 <= month <= 12 and 1 <= int(groups["d"]) <= 31:
                found.add(f"{groups['y']}-{month:02d}-{int(groups['d']):02d}")
    return frozenset(found)


def tokens_in(text: str) -> list[str]:
    """The words of a (normal) text."""
    return _TOKEN.findall(text)
