"""Parts of HTML and Markdown that a page does not show: comments, elements that styles hide, what attributes say."""

from __future__ import annotations

from collections.abc import Iterator

import re2

from gateway.detect.patterns import options

_STYLES = (
    r"display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0(?:\.0+)?\s*[;\"']"
    r"|font-size\s*:\s*[01](?:px|pt|em|%)?\s*[;\"']|(?:left|top|text-indent)\s*:\s*-\d{3,5}"
    r"|[;\"'\s]color\s*:\s*(?:white|transparent|#fff(?:fff)?)\b"
)
STYLED = re2.compile(
    rf"(?is)<(\w+)(?:\s[^>]*(?:{_STYLES})|\s(?:[^>]*\s)?hidden\b|\s[^>]*aria-hidden=[\"']true)[^>]*>".encode(),
    options(),
)
_ATTRIBUTE = re2.compile(rb"(?is)\b(?:alt|title|aria-label|content)\s*=\s*\"([^\"]{24,1000})", options())
_MARKDOWN_COMMENT = re2.compile(rb"(?m)^\[[^\]\n]{1,64}\]:\s*(?:#|<>)\s+[(\"'](.{8,1000})[)\"']\s*$", options())


def hidden_in(text: str) -> tuple[int, str]:
    """The first place (about) of what is not shown, and all of it, part by part on lines."""
    if "<" not in text and "]:" not in text:
        return 0, ""
    data = text.encode("utf-8", "replace")
    parts = [*_comments(data), *_styled(data), *_given(data)]
    if not parts:
        return 0, ""
    return min(place for place, _ in parts), b"\n".join([part for _, part in parts]).decode("utf-8", "replace")


def _comments(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = data.find(b"<!--")
    while place >= 0:
        end = data.find(b"-->", place + 4)
        yield place, data[place + 4 : end if end >= 0 else len(data)]
        place = data.find(b"<!--", end) if end >= 0 else -1


def _styled(data: bytes) -> Iterator[tuple[int, bytes]]:
    """What follows a tag that hides it, up to the end of the element (or, with others within, of the first of them)."""
    lower, place = data.lower(), 0
    for found in STYLED.finditer(data):
        if found.start() < place:
            continue
        end = lower.find(b"</" + found[1].lower(), found.end())
        place = end if end >= 0 else len(data)
        yield found.start(), data[found.end() : place]


def _given(data: bytes) -> Iterator[tuple[int, bytes]]:
    for pattern in (_ATTRIBUTE, _MARKDOWN_COMMENT):
        for found in pattern.finditer(data):
            yield found.start(), found[1]
