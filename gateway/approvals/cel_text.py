"""Values and paths written as CEL, for both engines. Quiet."""

from __future__ import annotations

import math
import re
from typing import Any

from gateway.policy.tokens import RESERVED

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LARGEST = 1 << 53


class Unwritable(ValueError):  # noqa: N818 - a finding
    """The value cannot be written as CEL that both engines read as the same."""


def text_literal(text: str) -> str:
    """The text as a literal; whatever people cannot see in it is written as its code.

    Raises:
        Unwritable: it has half a character (a lone surrogate).
    """
    return '"' + "".join([_ESCAPES.get(one) or _escaped(one) for one in text]) + '"'


def _escaped(character: str) -> str:
    if " " <= character <= "~":
        return character
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        raise Unwritable("half a character")
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def literal(value: Any) -> str:
    """A text, number, true, false or null, or a list of such, as a literal.

    Raises:
        Unwritable: it is something else, or a number that not everybody reads as the same.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return text_literal(value)
    if isinstance(value, int) and abs(value) <= _LARGEST:
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join([literal(one) for one in value]) + "]"
    raise Unwritable(f"{type(value).__name__} cannot be written")


def member(parent: str, name: str) -> str:
    """The path of this member of what ``parent`` is the path of. Raises Unwritable as ``text_literal``."""
    if _NAME.fullmatch(name) and name not in RESERVED:
        return f"{parent}.{name}"
    return f"{parent}[{text_literal(name)}]"


def absent(parent: str, name: str) -> str:
    """That there is no such member. Raises Unwritable as ``text_literal``."""
    if _NAME.fullmatch(name) and name not in RESERVED:
        return f"!has({parent}.{name})"
    return f"!({text_literal(name)} in {parent})"
