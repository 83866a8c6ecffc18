"""Names in certificates by which agents are known: SPIFFE ids and DNS names, and patterns of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

SPIFFE = "spiffe://"
_ID = re.compile(r"spiffe://[a-z0-9._-]{1,255}(?:/[A-Za-z0-9._-]+)+")
DNS = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
"""Not one with a wildcard, which is that of many."""
_LONGEST_ID = 2048
_PART = re.compile(r"\\\{([a-z_]+)\\\}|\\\*")


def spiffe_id(names: Iterable[str]) -> str:
    """The SPIFFE id among the names of a certificate, or nothing.

    It has exactly one URI (X.509-SVID, 2), in the form of the SPIFFE-ID standard, 2: no port, no query, no
    percent-encoding, no empty or dotted segments. An id without a path is that of an authority.
    """
    uris = [name for name in names if ":" in name]
    if len(uris) != 1 or len(uris[0]) > _LONGEST_ID or not _ID.fullmatch(uris[0]):
        return ""
    return "" if {".", ".."} & set(uris[0].split("/")) else uris[0]


def pattern_of(text: str) -> re.Pattern[str]:
    """What a pattern matches. ``{name}`` is one segment of a path or one label of a DNS name; ``*`` is one label, and
    at the end of a SPIFFE id all that follows, of one segment or more.

    Raises:
        ValueError: it is no such pattern.
    """
    uri = text.startswith(SPIFFE)
    if uri and "*" in text[:-1]:
        raise ValueError("* may stand at the end only; write {name} for one segment")
    segment = "[^/]+" if uri else "[^.]+"
    names: list[str] = []

    def part(found: re.Match[str]) -> str:
        if found[1] is None:
            return ".+" if uri else segment
        if found[1] in (*names, "id"):
            raise ValueError(f"{{{found[1]}}} is given twice, or is the whole name; choose another word")
        names.append(found[1])
        return f"(?P<{found[1]}>{segment})"

    return re.compile(_PART.sub(part, re.escape(text)))
