"""Texts without what people do not see, or with masks over what must not be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import re2

from gateway.detect.credentials import secrets_in
from gateway.detect.patterns import options
from gateway.detect.private import personal_in
from gateway.detect.unseen import ANSI, BIDI, CONTROL, FLAG, JOINERS, PLAIN, SELECTORS, TAGS, ZERO_WIDTH

COMMENT = "<!--"
_IMAGE = re2.compile(rb"(?i)!\[[^\]\n]*\](?:\([^)\n]*\)|\[[^\]\n]*\])|<img\b[^>]*>", options())
_NO_IMAGE = b"{image left out}"
_UNSEEN = (ANSI, BIDI, ZERO_WIDTH, SELECTORS, JOINERS, CONTROL, re.compile("\x1b"))


def stripped(text: str) -> str:
    """The text without invisible characters, escape sequences, HTML comments and images (Markdown, HTML), which
    would be loaded from where they name. Honest flags and emoji stay."""
    if not PLAIN.match(text):
        text = _without_tags(text)
        for pattern in _UNSEEN:
            text = pattern.sub("", text)
    if COMMENT in text:
        text = "".join(_without_comments(text))
    if "![" in text or "<" in text:
        text = _IMAGE.sub(_NO_IMAGE, text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
    return text


def _without_tags(text: str) -> str:
    if FLAG.search(text) is None:
        return TAGS.sub("", text)
    flags = FLAG.findall(text)
    pieces = [TAGS.sub("", piece) for piece in FLAG.split(text)]
    return "".join([piece + flag for piece, flag in zip(pieces, [*flags, ""], strict=True)])


def _without_comments(text: str) -> Iterator[str]:
    """A blank stands for each: what is before and after it must not become one together. One without an end is
    shown."""
    start = text.find(COMMENT)
    last = text.rfind("-->")
    at = 0
    while start >= 0:
        yield text[at:start] + " "
        at = text.find("-->", start + 4) + 3 if start + 4 <= last else start + 4
        start = text.find(COMMENT, at)
    yield text[at:]


SECRETS, PERSONAL = "secrets", "pii"


def masked_in(text: str, only: Iterable[str]) -> str:
    """The text with ``[redacted:KIND]`` over what detectors find in it: ``secrets``, ``pii``."""
    data = text.encode("utf-8", "surrogatepass")
    spans: list[tuple[int, int, str]] = []
    if SECRETS in only:
        spans += [(start, end, kind) for kind, _, start, end in secrets_in(data, most=len(data))]
    if PERSONAL in only:
        spans += [(start, end, kind) for kind, start, end in personal_in(data, most=len(data))]
    if not spans:
        return text
    pieces, at = [], 0
    for start, end, kind in sorted(spans):
        if start >= at:
            pieces += [data[at:start], b"[redacted:%b]" % kind.encode()]
        at = max(at, end)
    return b"".join([*pieces, data[at:]]).decode("utf-8", "replace")
