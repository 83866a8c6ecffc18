"""Values that nobody told as a whole, put together by the model of what trusted sources told.

Of a text each word, number, day, hour and address must have been told by somebody trusted, and what joins them must be
harmless. A mail address needs a domain that the operator vouches for as such; a URL a host that was told as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.flow.forms import (
    address,
    addresses_in,
    code,
    days_in,
    host_of,
    hours_in,
    normal,
    number,
    tokens,
    without_moments,
    words,
)
from gateway.flow.looks import Look, look_for
from gateway.flow.origins import NOWHERE, Origin

LONGEST = 256
"""Characters of a text that may be put together."""
_JOINS = re.compile(r"[\w\s,.:/()'&+<>\"-]*")
"""What may stand between words; no wild cards, no home of others, nothing that a shell takes for more."""
_URL_JOINS = re.compile(r"[\w/.,:?&=+#~-]*")
_FILE = re.compile(r"\.(?:txt|pdf|docx?|xlsx?|pptx?|csv|json|xml|ya?ml|png|jpe?g|gif|html?|log)$", re.IGNORECASE)
"""Endings of files that are no domains."""

Proves = Callable[[Look], str]
"""The trusted source that tells what is looked for; empty for none."""


def pieces_of(look: Look, proves: Proves, owns: Callable[[str], bool]) -> Origin:
    """Its origin, trusted where all of its pieces are; else nowhere. ``owns``: whether a domain is the operator's."""
    value = look.value
    if len(value) > LONGEST or look.moments or look.figures:
        return _of_moments(look, proves) if look.moments else NOWHERE
    if look.leads and not _FILE.search(value):
        led = address(value)
        return _mail(led, proves, owns) if "@" in led.partition("/")[0] else _url(led, proves)
    flat = _FILE.sub("", normal(value))
    if ".." in flat or not _JOINS.fullmatch(flat) or code(value):
        return NOWHERE
    looks = []
    for each in addresses_in(flat):
        looks.append(look_for(each))
        flat = flat.replace(each, " ")
    looks += [look_for(moment) for moment in (*days_in(flat), *hours_in(flat))]
    return _all([*looks, *map(_word, words(without_moments(flat)))], proves)


def _of_moments(look: Look, proves: Proves) -> Origin:
    return _all([Look(look.value, moments=(each,)) for each in look.moments], proves)


def _mail(mail: str, proves: Proves, owns: Callable[[str], bool]) -> Origin:
    local, _, domain = mail.rpartition("@")
    return _all(list(map(_word, words(local))), proves) if owns(domain) else NOWHERE


def _url(url: str, proves: Proves) -> Origin:
    host = host_of(url)
    rest = url[len(host) :]
    if not url.startswith(host) or not host or not rest or ".." in rest or not _URL_JOINS.fullmatch(rest):
        return NOWHERE
    return _all([look_for(host), *map(_word, words(rest))], proves)


def _word(word: str) -> Look:
    """A word, or a number in it that counts as one."""
    figure = number(word)
    return Look(word, figures=(f"\n{figure}\n".encode(),)) if figure else Look(word, needles=(tokens(word),))


def _all(looks: list[Look], proves: Proves) -> Origin:
    sources: dict[str, None] = {}
    for look in dict.fromkeys(looks):
        source = proves(look)
        if not source:
            return NOWHERE
        sources[source] = None
    return Origin(tuple(sources), (), True, True, False, "put together of what they told") if sources else NOWHERE
