"""Whether what an agent passes on as its user's word is a result that it got.

Many agents put what tools answered into messages of the user. So a value there is the user's only where what stands
around it is not what stood around it in a result.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.flow.forms import words
from gateway.flow.heard import Heard
from gateway.flow.looks import Look

WINDOW = 4
"""Words on either side."""
_REACH = 400
"""Bytes in which they are looked for."""
_MOST_TRIES = 64
"""Places at which a value is looked at; where it stands at more, it counts as copied."""


def copied(said: Heard, look: Look, results: Sequence[Heard]) -> bool:
    """Whether the value was copied into what was said from one of these results, told before."""
    before = [one for one in results if one.at < said.at and one.index.tells(look)]
    if not before:
        return False
    spoken, value = said.index.words, words_of(look)
    if not value:
        return True
    at = -1
    for _ in range(_MOST_TRIES):
        at = spoken.find(value, at + 1)
        if at < 0:
            break
        if not any(_same(spoken, at, value, one.index.words) for one in before):
            return False
    return True


def words_of(look: Look) -> bytes:
    """The words of the value, each between blanks."""
    found = " ".join(words(look.value.casefold()))
    return f" {found} ".encode("utf-8", "surrogatepass") if found else b""


def _same(spoken: bytes, at: int, value: bytes, result: bytes) -> bool:
    end = at + len(value)
    ahead = spoken[max(0, at - _REACH) : at].split()[-WINDOW:]
    behind = spoken[end : end + _REACH].split()[:WINDOW]
    if len(ahead) < WINDOW and len(behind) < WINDOW:
        return b" ".join([b"", *ahead, value.strip(), *behind, b""]) in result
    return (len(ahead) == WINDOW and b" ".join([b"", *ahead, value.lstrip()]) in result) or (
        len(behind) == WINDOW and b" ".join([value.rstrip(), *behind, b""]) in result
    )
