"""Personal data that can be told by its form: e-mail addresses, account numbers (IBAN), card numbers.

Names, addresses and telephone numbers have no form that could be told from other texts: mask them by the names of
their fields (``trace.redact``).
"""

from __future__ import annotations

from typing import NamedTuple

EMAIL = r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.)+[A-Za-z]{2,24}"
IBAN = r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?"
CARD = r"[2-6](?:[ -]?[0-9]){12,18}"


class Kind(NamedTuple):
    """``pattern`` is RE2 over bytes; what fits it is personal data where the check says so."""

    name: str
    pattern: str


KINDS = (Kind("email", EMAIL), Kind("iban", IBAN), Kind("card", CARD))

_REGISTRY = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 "
    "QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
)
_LENGTHS = {each[:2]: int(each[2:]) for each in _REGISTRY.split()}
"""Characters of an IBAN, by country (the SWIFT IBAN registry)."""


def iban_in(text: str) -> str:
    """The IBAN that ``text`` begins with (more may follow that only looks like it), or nothing (ISO 13616)."""
    wanted = _LENGTHS.get(text[:2], 0)
    taken, letters = 0, ""
    while taken < len(text) and len(letters) < wanted:
        letters += "" if text[taken] == " " else text[taken]
        taken += 1
    if not wanted or len(letters) != wanted:
        return ""
    digits = "".join(str(int(letter, 36)) for letter in letters[4:] + letters[:4])
    return text[:taken] if int(digits) % 97 == 1 else ""


def is_card(text: str) -> bool:
    """Whether it is the number of a card: a known beginning, a length that goes with it, the check digit (Luhn)."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    return _issued("".join(map(str, digits[:4])), len(digits)) and luhn(digits)


def luhn(digits: list[int]) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _issued(start: str, length: int) -> bool:
    if start[0] == "4":
        return length in (13, 16, 19)
    if start[:2] in ("34", "37"):
        return length == 15
    if start[:2] in ("36", "38", "39", "30"):
        return 14 <= length <= 19
    return length in (16, 17, 18, 19) and (start[0] in "56" or start[:2] == "35" or "2221" <= start <= "2720")
