"""A reader of protobuf's text format (protobuf.dev), as far as cel-spec's conformance cases use it."""

from __future__ import annotations

import re
from typing import Any

Message = dict[str, list[Any]]
"""Fields by name, each with all its values in order: messages, bytes (strings), and the text of all other scalars."""

_TOKEN = re.compile(
    r"""(?:\s|\#[^\n]*)* (?:
        (?P<string> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
      | (?P<name> \[[^\]\s]*[./][^\]\s]*\] )
      | (?P<word> [-+.\w]+ )
      | (?P<mark> [{}<>\[\]:,;] )
      | (?P<end> \Z ) )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_SIMPLE = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def parse(text: str) -> Message:
    """The message that a text says. Raises ValueError, with the line, for what this reader does not know."""
    reader = _Reader(text)
    message = reader.message("")
    if reader.kind != "end":
        raise reader.error("the end of the text")
    return message


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.next()

    def next(self) -> None:
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            raise self.error("a token")
        self.kind, self.token, self.at = found.lastgroup or "", found[found.lastgroup or ""], found.end()

    def error(self, wanted: str) -> ValueError:
        return ValueError(f"line {self.text.count(chr(10), 0, self.at) + 1}: expected {wanted} before here")

    def message(self, close: str) -> Message:
        """Fields up to ``close`` (empty: the end)."""
        fields: Message = {}
        while self.token != close:
            if self.kind not in ("word", "name"):
                raise self.error("a field")
            name = self.token
            self.next()
            if self.token == ":":
                self.next()
            fields.setdefault(name, []).extend(self.values())
            if self.token in (",", ";"):
                self.next()
        if close:
            self.next()
        return fields

    def values(self) -> list[Any]:
        if self.token != "[" or self.kind != "mark":
            return [self.value()]
        self.next()
        found = []
        while self.token != "]":
            found.append(self.value())
            if self.token == ",":
                self.next()
        self.next()
        return found

    def value(self) -> Any:
        if self.kind == "mark" and self.token in "{<":
            close = "}" if self.token == "{" else ">"
            self.next()
            return self.message(close)
        if self.kind == "string":
            pieces = b""
            while self.kind == "string":
                pieces += _unescaped(self.token[1:-1])
                self.next()
            return pieces
        if self.kind != "word":
            raise self.error("a value")
        word = self.token
        self.next()
        return word


def _unescaped(text: str) -> bytes:
    def replaced(found: re.Match[bytes]) -> bytes:
        octal, hexadecimal, short, long, other = found.groups()
        if octal:
            return bytes([int(octal, 8) & 0xFF])
        if hexadecimal:
            return bytes([int(hexadecimal, 16)])
        if short or long:
            return chr(int(short or long, 16)).encode("utf-8", "surrogatepass")
        return _SIMPLE.get(other, other)

    return _ESCAPE.sub(replaced, text.encode())
