"""Personal data in texts, as far as its form tells: what has a check digit or a registry is checked by it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from gateway.detect.finding import Finding, listed, masked
from gateway.detect.patterns import Patterns
from gateway.detect.personal import CARD, EMAIL, IBAN, iban_in, is_card
from gateway.detect.texts import texts_of

LEAST = 6
_MOST_EACH = 256
_PHONE = r"(?:^|[^0-9A-Za-z+])(\+[1-9][0-9]{0,2}[ ./-]?\(?[0-9]{1,4}\)?(?:[ ./-]?[0-9]{2,5}){1,5})"
_SSN = r"(?:^|[^0-9-])([0-9]{3}-[0-9]{2}-[0-9]{4})"
_TAX = r"(?:^|[^0-9])([1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3})"
_KINDS = (("email", EMAIL), ("iban", IBAN), ("card", CARD), ("phone", _PHONE), ("us-ssn", _SSN), ("de-tax-id", _TAX))
_SCORES = {"email": 0.9, "iban": 0.99, "card": 0.95, "phone": 0.6, "us-ssn": 0.7, "de-tax-id": 0.6}
"""An IBAN's two check digits let one in a hundred through, a card's and a tax number's one in ten (of those with the
right form); a telephone number has none, and is told by its + alone."""
_LONGEST_PHONE, _SHORTEST_PHONE = 15, 8


def pii(value: Any) -> list[dict[str, Any]]:
    """Personal data in a value's texts: ``kind`` is email, iban, card, phone (+49 ...), us-ssn or de-tax-id.

    Names, addresses and local telephone numbers have no form of their own, and are not found.

    Raises:
        TooMuchError: the value is larger than what is looked through.
    """
    return listed(
        Finding(kind, _SCORES[kind], masked(data[start:end].decode("latin-1")), path)
        for path, text in texts_of(value)
        if len(text) >= LEAST
        for data in (text.encode("utf-8", "replace"),)
        for kind, start, end in personal_in(data, _MOST_EACH)
    )


def personal_in(data: bytes, most: int) -> Iterator[tuple[str, int, int]]:
    """Kind, begin and end of personal data in a text: at most ``most`` of each kind."""
    for number in kinds().which(data):
        kind = _KINDS[number][0]
        for match in kinds().found(number, data, most):
            group = 1 if match.groups() else 0
            start = match.start(group)
            if kept := _checked(kind, match[group].decode("latin-1")):
                yield kind, start, start + len(kept)


@lru_cache(maxsize=1)
def kinds() -> Patterns:
    """All kinds, compiled when they are first looked for."""
    return Patterns([pattern for _, pattern in _KINDS], latin=True)


def _checked(kind: str, found: str) -> str:
    """What of the text is personal data; nothing where its check digits say that it is none."""
    if kind == "iban":
        return iban_in(found)
    passes = {"card": is_card, "phone": _is_phone, "us-ssn": _is_ssn, "de-tax-id": _is_tax_id}.get(kind)
    return found if passes is None or passes(found) else ""


def _is_phone(text: str) -> bool:
    """ITU-T E.164: at most 15 digits."""
    return _SHORTEST_PHONE <= sum(letter.isdigit() for letter in text) <= _LONGEST_PHONE


def _is_ssn(text: str) -> bool:
    """As the Social Security Administration issues them: no part of zeros only, no area 666 or from 900 on."""
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _is_tax_id(text: str) -> bool:
    """The German tax number (IdNr): of its first ten digits one comes twice or thrice; the last is a check digit
    (ISO 7064, MOD 11,10)."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    counts = [digits[:10].count(digit) for digit in range(10)]
    if sorted(counts, reverse=True)[:2] not in ([2, 1], [3, 1]):
        return False
    product = 10
    for digit in digits[:10]:
        total = (digit + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == digits[10]
